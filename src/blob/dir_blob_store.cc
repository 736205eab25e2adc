#include "blob/dir_blob_store.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace inferq::blob {

using base::Code;
using base::Fail;
using base::MutexLock;
using base::OpenMode;
using base::Result;
using model::Extent;

namespace {

constexpr BlobId kIdsPerRun = 1024;
constexpr std::string_view kUnsealedSuffix = ".part";
constexpr std::string_view kSealedSuffix = ".blob";
constexpr std::string_view kLogSuffix = ".log";

bool IsLogName(std::string_view name) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, allowed);
}

/// The whole of `text` as a number; nullopt when it is not one.
std::optional<uint64_t> ParseNumber(std::string_view text, int base) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::unexpected<base::Error> NoSuchBlob(BlobId id) {
  return Fail(Code::kNotFound, "blob {} does not exist", id);
}

std::unexpected<base::Error> TooShort(const Extent& extent, uint64_t size) {
  return Fail(Code::kDataLoss, "blob {} has {} bytes, too few for {} bytes at {}", extent.blob,
              size, extent.length, extent.offset);
}

bool Contains(uint64_t size, const Extent& extent) {
  return extent.offset <= size && extent.length <= size - extent.offset;
}

}  // namespace

Result<std::unique_ptr<BlobStore>> DirBlobStore::Open(base::FileSystem& fs, std::string dir) {
  std::unique_ptr<DirBlobStore> store(new DirBlobStore(fs, std::move(dir)));
  INFERQ_TRY(store->Recover());
  return store;
}

Result<> DirBlobStore::Recover() {
  MutexLock lock(mu_);
  INFERQ_TRY(fs_.CreateDirectory(dir_));
  INFERQ_TRY(fs_.SyncDirectory(base::DirectoryOf(dir_)));
  INFERQ_ASSIGN(auto names, fs_.List(dir_));
  std::string ids = dir_ + "/ids";
  INFERQ_ASSIGN(bool has_ids, fs_.Exists(ids));
  if (has_ids) {
    INFERQ_ASSIGN(std::string text, base::ReadFile(fs_, ids));
    if (text.ends_with('\n')) text.pop_back();
    auto number = ParseNumber(text, 10);
    if (!number || *number == 0) return Fail(Code::kDataLoss, "{}: \"{}\" is no number", ids, text);
    next_id_ = reserved_ = *number;
  }
  for (const std::string& name : names) INFERQ_TRY(RecoverFile(name));
  if (!blobs_.empty() && blobs_.rbegin()->first >= next_id_) {
    return Fail(
        Code::kDataLoss,
        "{} is missing or older than blob {}: a number could be given out twice. Restore it, or "
        "write a number into it that is above those of all blobs there ever were",
        ids, blobs_.rbegin()->first);
  }
  return {};
}

Result<> DirBlobStore::RecoverFile(const std::string& name) {
  std::string path = dir_ + "/" + name;
  if (name == "ids.tmp") return fs_.Remove(path);
  if (name.size() <= 16) return {};
  auto id = ParseNumber(std::string_view(name).substr(0, 16), 16);
  if (!id || *id == 0) return {};
  std::string_view suffix = std::string_view(name).substr(16);
  if (suffix == kUnsealedSuffix) return fs_.Remove(path);
  if (suffix == kSealedSuffix) {
    blobs_[*id] = {Kind::kSealed, path, std::nullopt, nullptr};
    return {};
  }
  if (!suffix.starts_with('.') || !suffix.ends_with(kLogSuffix)) return {};
  suffix.remove_prefix(1);
  if (suffix.size() <= kLogSuffix.size()) return {};
  suffix.remove_suffix(kLogSuffix.size());
  if (!IsLogName(suffix)) return {};
  INFERQ_ASSIGN(FilePtr file, fs_.Open(path, OpenMode::kReadWrite));
  INFERQ_ASSIGN(uint64_t size, file->Size());
  if (!logs_.emplace(suffix, *id).second) {
    return Fail(Code::kDataLoss, "{}: there are two logs \"{}\"", dir_, suffix);
  }
  blobs_[*id] = {Kind::kLog, path, size};
  return {};
}

std::string DirBlobStore::PathOf(BlobId id, std::string_view suffix) const {
  return fmt::format("{}/{:016x}{}", dir_, id, suffix);
}

Result<BlobId> DirBlobStore::NextId() {
  if (next_id_ == reserved_) {
    BlobId bound = reserved_ + kIdsPerRun;
    MutexLock sync_lock(sync_mu_);
    auto written = base::WriteFileAtomically(fs_, dir_ + "/ids", std::to_string(bound));
    if (!written) {
      if (written.error().code() != Code::kResourceExhausted) names_failed_ = true;
      return std::unexpected(std::move(written).error());
    }
    reserved_ = bound;
  }
  return next_id_++;
}

Result<> DirBlobStore::CheckNames() const {
  if (!names_failed_) return {};
  return Fail(Code::kUnavailable, "blob store {}: syncing the directory failed, restart", dir_);
}

Result<> DirBlobStore::SyncNames() {
  MutexLock lock(sync_mu_);
  INFERQ_TRY(CheckNames());
  auto synced = fs_.SyncDirectory(dir_);
  if (!synced) names_failed_ = true;
  return synced;
}

Result<BlobId> DirBlobStore::Create() {
  INFERQ_TRY(CheckNames());
  BlobId id = 0;
  {
    MutexLock lock(mu_);
    INFERQ_ASSIGN(id, NextId());
  }
  std::string path = PathOf(id, kUnsealedSuffix);
  INFERQ_ASSIGN(FilePtr file, fs_.Open(path, OpenMode::kCreateNew));
  auto writer = std::make_shared<Writer>(std::move(file));
  MutexLock lock(mu_);
  blobs_[id] = {Kind::kUnsealed, std::move(path), 0, std::move(writer)};
  return id;
}

Result<BlobId> DirBlobStore::OpenLog(std::string_view name) {
  if (!IsLogName(name)) {
    return Fail(Code::kInvalidArgument, "log name \"{}\" is not of the form [a-z0-9_-]{{1,64}}",
                name);
  }
  // Held throughout, so that two callers make one log. Logs are made once in the life of a store.
  MutexLock lock(mu_);
  if (auto found = logs_.find(name); found != logs_.end()) return found->second;
  INFERQ_TRY(CheckNames());
  INFERQ_ASSIGN(BlobId id, NextId());
  std::string path = PathOf(id, fmt::format(".{}{}", name, kLogSuffix));
  INFERQ_ASSIGN(FilePtr file, fs_.Open(path, OpenMode::kCreateNew));
  INFERQ_TRY(SyncNames());
  auto writer = std::make_shared<Writer>(std::move(file));
  blobs_[id] = {Kind::kLog, std::move(path), 0, std::move(writer)};
  logs_.emplace(name, id);
  return id;
}

Result<DirBlobStore::Blob> DirBlobStore::Find(BlobId id) {
  MutexLock lock(mu_);
  auto found = blobs_.find(id);
  if (found == blobs_.end()) return NoSuchBlob(id);
  return found->second;
}

Result<std::shared_ptr<DirBlobStore::Writer>> DirBlobStore::WriterOf(BlobId id) {
  INFERQ_ASSIGN(Blob blob, Find(id));
  if (!blob.writer && blob.kind == Kind::kLog) return WakeLog(id, blob);
  if (!blob.writer) return Fail(Code::kFailedPrecondition, "blob {} is sealed", id);
  if (!blob.writer->failure.empty()) {
    return Fail(Code::kUnavailable, "blob {} failed before ({}), restart", id,
                blob.writer->failure);
  }
  return blob.writer;
}

Result<std::shared_ptr<DirBlobStore::Writer>> DirBlobStore::WakeLog(BlobId id, const Blob& blob) {
  INFERQ_ASSIGN(FilePtr file, fs_.Open(blob.path, OpenMode::kReadWrite));
  auto writer = std::make_shared<Writer>(std::move(file), *blob.size);
  MutexLock lock(mu_);
  blobs_[id].writer = writer;
  return writer;
}

void DirBlobStore::RestLog(BlobId blob) {
  std::shared_ptr<Writer> writer;  // closed after the lock is released
  MutexLock lock(mu_);
  auto found = blobs_.find(blob);
  if (found == blobs_.end() || found->second.kind != Kind::kLog || !found->second.writer) return;
  if (found->second.writer->synced) writer = std::move(found->second.writer);
}

void DirBlobStore::SetSize(BlobId id, uint64_t size) {
  MutexLock lock(mu_);
  auto found = blobs_.find(id);
  if (found != blobs_.end()) found->second.size = size;
}

Result<Extent> DirBlobStore::Append(BlobId blob, std::string_view bytes) {
  INFERQ_ASSIGN(auto writer, WriterOf(blob));
  writer->synced = false;
  Extent extent{blob, writer->size, bytes.size()};
  if (auto written = writer->file->WriteAt(writer->size, bytes); !written) {
    // The next Append overwrites what was written of it; if none comes, Sync cuts it off.
    writer->longer = true;
    return std::unexpected(std::move(written).error());
  }
  writer->size += bytes.size();
  SetSize(blob, writer->size);
  return extent;
}

Result<> DirBlobStore::SyncWriter(Writer& writer) {
  writer.synced = false;
  auto synced = writer.longer ? writer.file->Truncate(writer.size) : Result<>();
  if (synced) synced = writer.file->Sync();
  if (!synced) {
    writer.failure = synced.error().message();
    return synced;
  }
  writer.longer = false;
  writer.synced = true;
  return {};
}

Result<> DirBlobStore::Sync(BlobId blob) {
  INFERQ_ASSIGN(auto writer, WriterOf(blob));
  return SyncWriter(*writer);
}

Result<> DirBlobStore::Seal(BlobId blob) {
  INFERQ_ASSIGN(Blob found, Find(blob));
  if (found.kind == Kind::kLog) return Fail(Code::kFailedPrecondition, "blob {} is a log", blob);
  INFERQ_ASSIGN(auto writer, WriterOf(blob));
  INFERQ_TRY(CheckNames());
  INFERQ_TRY(SyncWriter(*writer));
  std::string sealed = PathOf(blob, kSealedSuffix);
  auto named = fs_.Rename(found.path, sealed);
  if (!named) {
    writer->failure = named.error().message();
    return named;
  }
  {
    MutexLock lock(mu_);
    blobs_[blob].path = sealed;
  }
  named = SyncNames();
  if (!named) {
    writer->failure = named.error().message();
    return named;
  }
  MutexLock lock(mu_);
  blobs_[blob] = {Kind::kSealed, std::move(sealed), writer->size, nullptr};
  return {};
}

Result<> DirBlobStore::TruncateLog(BlobId blob, uint64_t size) {
  INFERQ_ASSIGN(Blob found, Find(blob));
  if (found.kind != Kind::kLog) return Fail(Code::kFailedPrecondition, "blob {} is no log", blob);
  INFERQ_ASSIGN(auto writer, WriterOf(blob));
  if (size > writer->size) {
    return Fail(Code::kOutOfRange, "log {} has {} bytes and cannot be cut to {}", blob,
                writer->size, size);
  }
  writer->synced = false;
  if (auto cut = writer->file->Truncate(size); !cut) {
    writer->failure = cut.error().message();
    return cut;
  }
  writer->size = size;
  SetSize(blob, size);
  return {};
}

Result<uint64_t> DirBlobStore::Size(BlobId blob) {
  INFERQ_ASSIGN(Blob found, Find(blob));
  if (found.size) return *found.size;
  INFERQ_ASSIGN(FilePtr file, TakeFile(blob));
  INFERQ_ASSIGN(uint64_t size, file->Size());
  SetSize(blob, size);
  GiveBackFile(blob, std::move(file));
  return size;
}

Result<std::string> DirBlobStore::Read(const Extent& extent) {
  if (extent.length == 0) return std::string();
  INFERQ_ASSIGN(uint64_t size, Size(extent.blob));
  if (!Contains(size, extent)) return TooShort(extent, size);
  INFERQ_ASSIGN(FilePtr file, TakeFile(extent.blob));
  std::string bytes(extent.length, '\0');
  INFERQ_ASSIGN(size_t read, file->ReadAt(extent.offset, bytes.data(), bytes.size()));
  if (read < bytes.size()) return TooShort(extent, extent.offset + read);
  GiveBackFile(extent.blob, std::move(file));
  return bytes;
}

Result<DirBlobStore::FilePtr> DirBlobStore::TakeFile(BlobId id) {
  std::string tried;
  while (true) {
    std::string path;
    {
      MutexLock lock(mu_);
      auto found = blobs_.find(id);
      if (found == blobs_.end()) return NoSuchBlob(id);
      auto idle = std::ranges::find(idle_files_, id, &std::pair<BlobId, FilePtr>::first);
      if (idle != idle_files_.end()) {
        FilePtr file = std::move(idle->second);
        idle_files_.erase(idle);
        return file;
      }
      path = found->second.path;
    }
    auto file = fs_.Open(path, OpenMode::kRead);
    // A Seal may have renamed it in between: once more with the new name.
    if (file || file.error().code() != Code::kNotFound || path == tried) return file;
    tried = path;
  }
}

void DirBlobStore::GiveBackFile(BlobId id, FilePtr file) {
  FilePtr oldest;  // closed after the lock is released
  MutexLock lock(mu_);
  if (!blobs_.contains(id)) return;
  idle_files_.emplace_front(id, std::move(file));
  if (idle_files_.size() <= kOpenFilesMax) return;
  oldest = std::move(idle_files_.back().second);
  idle_files_.pop_back();
}

Result<> DirBlobStore::Delete(BlobId blob) {
  auto found = Find(blob);
  if (!found) return {};
  INFERQ_TRY(CheckNames());
  auto removed = fs_.Remove(found->path);
  if (!removed && removed.error().code() != Code::kNotFound) return removed;
  INFERQ_TRY(SyncNames());
  MutexLock lock(mu_);
  blobs_.erase(blob);
  std::erase_if(logs_, [&](auto& log) { return log.second == blob; });
  std::erase_if(idle_files_, [&](auto& idle) { return idle.first == blob; });
  return {};
}

Result<std::vector<BlobId>> DirBlobStore::List() {
  MutexLock lock(mu_);
  std::vector<BlobId> ids;
  for (const auto& [id, blob] : blobs_) {
    if (blob.kind != Kind::kUnsealed) ids.push_back(id);
  }
  return ids;
}

std::vector<Log> DirBlobStore::Logs() {
  MutexLock lock(mu_);
  std::vector<Log> logs;
  for (const auto& [name, id] : logs_) logs.push_back({.name = name, .id = id});
  return logs;
}

}  // namespace inferq::blob
