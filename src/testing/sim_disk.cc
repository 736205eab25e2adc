#include "testing/sim_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

namespace inferq::testing {

using base::Code;
using base::Fail;
using base::OpenMode;
using base::Result;

namespace {

constexpr uint64_t kSector = 512;

std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    size_t slash = std::min(path.find('/'), path.size());
    std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return parts;
}

std::unexpected<base::Error> Errno(int errno_value, std::string_view what) {
  return std::unexpected(base::ErrnoError(errno_value, fmt::format("sim disk: {}", what)));
}

void Apply(std::string& image, uint64_t offset, std::string_view data) {
  if (image.size() < offset + data.size()) image.resize(offset + data.size());
  std::memcpy(image.data() + offset, data.data(), data.size());
}

/// How much of what was not synced a crash keeps; drawn for each file and directory, so that the
/// clean cases (all, nothing) occur as often as the mixed ones.
enum class Keep : uint8_t { kAll, kNothing, kSome };

Keep DrawKeep(base::Rng& rng, CrashMode mode) {
  if (mode == CrashMode::kStrict) return Keep::kNothing;
  uint64_t draw = rng.Below(4);
  return draw == 0 ? Keep::kAll : draw == 1 ? Keep::kNothing : Keep::kSome;
}

size_t DrawPrefix(base::Rng& rng, Keep keep, size_t size) {
  if (keep == Keep::kAll) return size;
  return keep == Keep::kNothing ? 0 : rng.Below(size + 1);
}

/// Applies a write sector by sector: each is kept, lost, or torn (its first bytes only).
void ApplyTorn(std::string& image, uint64_t offset, std::string_view data, base::Rng& rng) {
  while (!data.empty()) {
    size_t length = std::min<size_t>(kSector - offset % kSector, data.size());
    uint64_t draw = rng.Below(5);
    size_t kept = draw < 2 ? length : draw < 4 ? 0 : rng.Below(length);
    if (kept > 0) Apply(image, offset, data.substr(0, kept));
    data.remove_prefix(length);
    offset += length;
  }
}

}  // namespace

/// A handle. Dies with the crash that follows its Open.
class SimFile final : public base::File {
 public:
  SimFile(SimDisk& disk, SimDisk::NodePtr node, uint64_t epoch, bool writable)
      : disk_(disk), node_(std::move(node)), epoch_(epoch), writable_(writable) {}

  Result<size_t> ReadAt(uint64_t offset, char* out, size_t size) override {
    base::MutexLock lock(disk_.mu_);
    INFERQ_TRY(disk_.CheckHandle(epoch_));
    const std::string& image = node_->current;
    if (offset >= image.size()) return size_t{0};
    size_t count = std::min<size_t>(size, image.size() - offset);
    std::copy_n(image.data() + offset, count, out);
    return count;
  }

  Result<> WriteAt(uint64_t offset, std::string_view data) override {
    base::MutexLock lock(disk_.mu_);
    INFERQ_TRY(CheckWritable());
    return disk_.Write(*node_, offset, data);
  }

  Result<> Sync() override {
    base::MutexLock lock(disk_.mu_);
    INFERQ_TRY(disk_.CheckHandle(epoch_));
    return disk_.Sync(*node_);
  }

  Result<> Truncate(uint64_t size) override {
    base::MutexLock lock(disk_.mu_);
    INFERQ_TRY(CheckWritable());
    return disk_.Truncate(*node_, size);
  }

  Result<uint64_t> Size() override {
    base::MutexLock lock(disk_.mu_);
    INFERQ_TRY(disk_.CheckHandle(epoch_));
    return uint64_t{node_->current.size()};
  }

 private:
  Result<> CheckWritable() REQUIRES(disk_.mu_) {
    INFERQ_TRY(disk_.CheckHandle(epoch_));
    if (!writable_) return Errno(EBADF, "the file is open for reading only");
    return {};
  }

  SimDisk& disk_;
  SimDisk::NodePtr node_;
  uint64_t epoch_;
  bool writable_;
};

SimDisk::SimDisk() : root_(std::make_shared<Node>()) { root_->is_directory = true; }
SimDisk::~SimDisk() = default;

Result<> SimDisk::CheckPower() const {
  if (crashed_) return Fail(Code::kUnavailable, "sim disk: the power is off");
  return {};
}

Result<> SimDisk::CheckHandle(uint64_t epoch) const {
  INFERQ_TRY(CheckPower());
  if (epoch != epoch_) return Fail(Code::kUnavailable, "sim disk: opened before the crash");
  return {};
}

Result<> SimDisk::Begin(Kind kind, std::string_view what, bool* partly) {
  ++operations_;
  *partly = false;
  if (operations_ == crash_at_) {
    crashed_ = true;
    *partly = kind != Kind::kSync;
    return Fail(Code::kUnavailable, "sim disk: the power fails at operation {} ({})", operations_,
                what);
  }
  if (!fault_ || operations_ < fault_at_) return {};
  bool fits =
      (*fault_ == DiskFault::kNoSpace && (kind == Kind::kWrite || kind == Kind::kCreate)) ||
      (*fault_ == DiskFault::kWriteError && (kind == Kind::kWrite || kind == Kind::kTruncate)) ||
      (*fault_ == DiskFault::kSyncError && kind == Kind::kSync);
  if (!fits) return {};
  int errno_value = *fault_ == DiskFault::kNoSpace ? ENOSPC : EIO;
  fault_.reset();
  fault_struck_ = true;
  *partly = kind == Kind::kWrite;
  return Errno(errno_value, what);
}

Result<SimDisk::Place> SimDisk::Find(const std::string& path) const {
  INFERQ_TRY(CheckPower());
  Place place{nullptr, "", root_};
  for (std::string& part : SplitPath(path)) {
    if (!place.node) return Errno(ENOENT, path);
    if (!place.node->is_directory) return Errno(ENOTDIR, path);
    place.directory = std::move(place.node);
    place.name = std::move(part);
    auto found = place.directory->names.find(place.name);
    place.node = found == place.directory->names.end() ? nullptr : found->second;
  }
  return place;
}

Result<SimDisk::Place> SimDisk::FindExisting(const std::string& path) const {
  INFERQ_ASSIGN(Place place, Find(path));
  if (!place.node) return Errno(ENOENT, path);
  return place;
}

void SimDisk::ApplyNames(std::map<std::string, NodePtr>& names, const NameChange& change) {
  for (const auto& [name, node] : change) {
    if (node) {
      names[name] = node;
    } else {
      names.erase(name);
    }
  }
}

Result<> SimDisk::ChangeNames(Kind kind, std::string_view what, Node& directory,
                              NameChange change) {
  bool partly = false;
  Result<> begun = Begin(kind, what, &partly);
  if (!begun && !partly) return begun;
  ApplyNames(directory.names, change);
  directory.name_changes.push_back(std::move(change));
  return begun;
}

Result<std::unique_ptr<base::File>> SimDisk::Open(const std::string& path, OpenMode mode) {
  base::MutexLock lock(mu_);
  INFERQ_ASSIGN(Place place, Find(path));
  if (!place.node && mode == OpenMode::kRead) return Errno(ENOENT, path);
  if (place.node && mode == OpenMode::kCreateNew) return Errno(EEXIST, path);
  if (place.node && place.node->is_directory) return Errno(EISDIR, path);
  if (!place.node) {
    place.node = std::make_shared<Node>();
    INFERQ_TRY(
        ChangeNames(Kind::kCreate, "create " + path, *place.directory, {{place.name, place.node}}));
  }
  return std::make_unique<SimFile>(*this, place.node, epoch_, mode != OpenMode::kRead);
}

Result<bool> SimDisk::Exists(const std::string& path) {
  base::MutexLock lock(mu_);
  auto place = Find(path);
  if (!place && place.error().code() == Code::kNotFound) return false;
  if (!place) return std::unexpected(std::move(place).error());
  return place->node != nullptr;
}

Result<> SimDisk::Remove(const std::string& path) {
  base::MutexLock lock(mu_);
  INFERQ_ASSIGN(Place place, FindExisting(path));
  if (!place.directory) return Errno(EBUSY, path);
  if (place.node->is_directory && !place.node->names.empty()) return Errno(ENOTEMPTY, path);
  return ChangeNames(Kind::kName, "remove " + path, *place.directory, {{place.name, nullptr}});
}

Result<> SimDisk::Rename(const std::string& from, const std::string& to) {
  base::MutexLock lock(mu_);
  INFERQ_ASSIGN(Place source, FindExisting(from));
  INFERQ_ASSIGN(Place target, Find(to));
  if (!source.directory || source.directory != target.directory) {
    return Fail(Code::kUnimplemented, "sim disk: {} to {}: only renames inside a directory", from,
                to);
  }
  if (target.node && (target.node->is_directory || source.node->is_directory)) {
    return Errno(EEXIST, to);
  }
  if (source.name == target.name) return {};
  return ChangeNames(Kind::kName, "rename " + from, *source.directory,
                     {{source.name, nullptr}, {target.name, source.node}});
}

Result<> SimDisk::CreateDirectory(const std::string& path) {
  base::MutexLock lock(mu_);
  INFERQ_ASSIGN(Place place, Find(path));
  if (place.node && place.node->is_directory) return {};
  if (place.node) return Errno(EEXIST, path);
  auto made = std::make_shared<Node>();
  made->is_directory = true;
  return ChangeNames(Kind::kCreate, "mkdir " + path, *place.directory, {{place.name, made}});
}

Result<std::vector<std::string>> SimDisk::List(const std::string& path) {
  base::MutexLock lock(mu_);
  INFERQ_ASSIGN(Place place, FindExisting(path));
  if (!place.node->is_directory) return Errno(ENOTDIR, path);
  std::vector<std::string> names;
  for (const auto& [name, node] : place.node->names) names.push_back(name);
  return names;
}

Result<> SimDisk::SyncDirectory(const std::string& path) {
  base::MutexLock lock(mu_);
  INFERQ_ASSIGN(Place place, FindExisting(path));
  if (!place.node->is_directory) return Errno(ENOTDIR, path);
  bool partly = false;
  Result<> begun = Begin(Kind::kSync, "sync directory " + path, &partly);
  if (begun) {
    for (const NameChange& change : place.node->name_changes) {
      ApplyNames(place.node->durable_names, change);
    }
    place.node->name_changes.clear();
  }
  return begun;
}

uint64_t SimDisk::Used() const {
  uint64_t total = 0;
  std::vector<const Node*> nodes{root_.get()};
  for (size_t i = 0; i < nodes.size(); ++i) {
    total += nodes[i]->current.size();
    for (const auto& [name, child] : nodes[i]->names) nodes.push_back(child.get());
  }
  return total;
}

uint64_t SimDisk::Fitting(uint64_t wanted, uint64_t growth) const {
  if (capacity_ == UINT64_MAX || growth == 0) return wanted;
  uint64_t free = capacity_ - std::min(capacity_, Used());
  return growth <= free ? wanted : wanted - std::min(wanted, growth - free);
}

Result<> SimDisk::Write(Node& node, uint64_t offset, std::string_view data) {
  bool partly = false;
  Result<> begun = Begin(Kind::kWrite, fmt::format("write of {} bytes", data.size()), &partly);
  if (!begun && !partly) return begun;
  if (!begun && !crashed_) data = data.substr(0, data.size() / 2);
  uint64_t size = node.current.size();
  uint64_t growth = offset + data.size() > size ? offset + data.size() - size : 0;
  uint64_t fitting = Fitting(data.size(), growth);
  if (begun && fitting < data.size()) {
    begun = Errno(ENOSPC, fmt::format("write of {} bytes", data.size()));
  }
  data = data.substr(0, fitting);
  if (data.empty()) return begun;
  Apply(node.current, offset, data);
  node.changes.push_back({offset, std::string(data)});
  return begun;
}

Result<> SimDisk::Truncate(Node& node, uint64_t size) {
  bool partly = false;
  Result<> begun = Begin(Kind::kTruncate, fmt::format("truncate to {}", size), &partly);
  if (!begun && !partly) return begun;
  node.current.resize(size);
  node.changes.push_back({size, std::nullopt});
  return begun;
}

Result<> SimDisk::Sync(Node& node) {
  bool partly = false;
  Result<> begun = Begin(Kind::kSync, "sync", &partly);
  if (begun) {
    for (const Change& change : node.changes) {
      if (change.data) {
        Apply(node.durable, change.offset, *change.data);
      } else {
        node.durable.resize(change.offset);
      }
    }
  }
  // After an error the pages count as clean: never written, unless they are changed again.
  if (!crashed_) node.changes.clear();
  return begun;
}

std::vector<SimDisk::NodePtr> SimDisk::AllNodes() const {
  std::vector<NodePtr> nodes{root_};
  std::set<Node*> seen{root_.get()};
  auto add = [&](const NodePtr& node) {
    if (node && seen.insert(node.get()).second) nodes.push_back(node);
  };
  for (size_t i = 0; i < nodes.size(); ++i) {
    NodePtr node = nodes[i];  // NOLINT(performance-*): add() moves the vector's elements
    for (const auto& [name, child] : node->durable_names) add(child);
    for (const NameChange& change : node->name_changes) {
      for (const auto& [name, child] : change) add(child);
    }
    for (const auto& [name, child] : node->names) add(child);
  }
  return nodes;
}

void SimDisk::CrashFile(Node& node, CrashMode mode, base::Rng& rng) {
  Keep keep = DrawKeep(rng, mode);
  auto truncations = std::ranges::count_if(node.changes, [](auto& c) { return !c.data; });
  size_t kept = DrawPrefix(rng, keep, static_cast<size_t>(truncations));
  for (const Change& change : node.changes) {
    if (!change.data) {
      if (kept == 0) continue;
      node.durable.resize(change.offset);
      --kept;
    } else if (keep == Keep::kAll) {
      Apply(node.durable, change.offset, *change.data);
    } else if (keep == Keep::kSome) {
      ApplyTorn(node.durable, change.offset, *change.data, rng);
    }
  }
  // The length may reach the disk before the bytes do, which then read as zeros.
  bool grow = keep == Keep::kSome && !node.changes.empty() && rng.Chance(0.25);
  if (grow && node.durable.size() < node.current.size()) node.durable.resize(node.current.size());
  node.changes.clear();
  node.current = node.durable;
}

void SimDisk::CrashDirectory(Node& node, CrashMode mode, base::Rng& rng) {
  size_t kept = DrawPrefix(rng, DrawKeep(rng, mode), node.name_changes.size());
  for (size_t i = 0; i < kept; ++i) ApplyNames(node.durable_names, node.name_changes[i]);
  node.name_changes.clear();
  node.names = node.durable_names;
}

void SimDisk::Crash(base::Rng& rng, CrashMode mode) {
  base::MutexLock lock(mu_);
  for (const NodePtr& node : AllNodes()) {
    if (mode == CrashMode::kProcess) break;
    if (node->is_directory) {
      CrashDirectory(*node, mode, rng);
    } else {
      CrashFile(*node, mode, rng);
    }
  }
  ++epoch_;
  crashed_ = false;
  crash_at_ = 0;
  capacity_ = UINT64_MAX;
  fault_.reset();
}

void SimDisk::SyncAll() {
  base::MutexLock lock(mu_);
  for (const NodePtr& node : AllNodes()) {
    node->durable = node->current;
    node->changes.clear();
    node->durable_names = node->names;
    node->name_changes.clear();
  }
}

void SimDisk::CrashAtOperation(uint64_t n) {
  base::MutexLock lock(mu_);
  crash_at_ = n;
}

bool SimDisk::crashed() const {
  base::MutexLock lock(mu_);
  return crashed_;
}

void SimDisk::FailOperation(uint64_t n, DiskFault fault) {
  base::MutexLock lock(mu_);
  fault_at_ = n;
  fault_ = fault;
  fault_struck_ = false;
}

bool SimDisk::fault_struck() const {
  base::MutexLock lock(mu_);
  return fault_struck_;
}

void SimDisk::SetCapacity(uint64_t bytes) {
  base::MutexLock lock(mu_);
  capacity_ = bytes;
}

uint64_t SimDisk::used() const {
  base::MutexLock lock(mu_);
  return Used();
}

uint64_t SimDisk::operations() const {
  base::MutexLock lock(mu_);
  return operations_;
}

}  // namespace inferq::testing
