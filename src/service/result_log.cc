#include "service/result_log.h"

#include <charconv>

#include "base/check.h"

namespace inferq::service {
namespace {

constexpr size_t kOneWrite = size_t{256} << 10;

std::string SegmentName(const std::string& name, uint64_t number) {
  return number == 1 ? name : fmt::format("{}-{}", name, number);
}

// The inverse; nullopt when `log` is no segment of `name`.
std::optional<uint64_t> SegmentNumber(const std::string& name, std::string_view log) {
  if (log == name) return 1;
  if (!log.starts_with(name + "-")) return std::nullopt;
  std::string_view digits = log.substr(name.size() + 1);
  uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  bool is_one = number > 1 && SegmentName(name, number) == log;
  return is_one ? std::optional(number) : std::nullopt;
}

}  // namespace

Awaitable<base::Result<std::unique_ptr<ResultLog>>> ResultLog::Open(runtime::Runtime& runtime,
                                                                    blob::BlobStore& blobs,
                                                                    Options options) {
  INFERQ_CHECK(options.segment_bytes > 0);
  auto find = [blobs = &blobs, name = options.name] { return Find(*blobs, name); };
  INFERQ_CO_ASSIGN(Segments segments, co_await runtime.RunBlocking(runtime::kResultLane, find));
  co_return std::unique_ptr<ResultLog>(
      new ResultLog(runtime, blobs, std::move(options), std::move(segments)));
}

base::Result<ResultLog::Segments> ResultLog::Find(blob::BlobStore& blobs, const std::string& name) {
  Segments segments;
  for (const blob::Log& log : blobs.Logs()) {
    if (auto number = SegmentNumber(name, log.name)) segments[*number] = log.id;
  }
  if (!segments.empty()) return segments;
  INFERQ_ASSIGN(segments[1], blobs.OpenLog(SegmentName(name, 1)));
  return segments;
}

Awaitable<base::Result<model::Extent>> ResultLog::Append(std::string line) {
  auto mine = std::make_shared<Pending>();
  mine->line = std::move(line);
  waiting_.push_back(mine);
  while (!mine->done) {
    if (writing_) {
      co_await written_.Wait();
    } else {
      co_await WriteGroup();
    }
  }
  co_return std::move(mine->extent);
}

// Whoever finds no write under way writes for everyone who waits.
Awaitable<void> ResultLog::WriteGroup() {
  writing_ = true;
  auto [number, segment] = *segments_.rbegin();
  auto write = std::make_shared<Write>(std::exchange(waiting_, {}), number, segment);
  base::Result<> written;
  if (failure_) {
    written = std::unexpected(*failure_);
  } else {
    auto work = [write, blobs = &blobs_, options = options_] {
      return WriteAll(*blobs, options, *write);
    };
    written = co_await runtime_.RunBlocking(options_.lane, work);
  }
  Settle(*write, std::move(written));
  writing_ = false;
  written_.NotifyAll();
}

base::Result<> ResultLog::WriteAll(blob::BlobStore& blobs, const Options& options, Write& write) {
  INFERQ_TRY(Rotate(blobs, options, write));
  Group& group = write.group;
  for (size_t begin = 0, end = 0; begin < group.size(); begin = end) {
    size_t bytes = 0;
    while (end < group.size() && (end == begin || bytes + group[end]->line.size() <= kOneWrite)) {
      bytes += group[end++]->line.size();
    }
    INFERQ_TRY(AppendRun(blobs, write.segment, std::span(group).subspan(begin, end - begin)));
  }
  auto synced = blobs.Sync(write.segment);
  write.final_failure = !synced;  // in a new segment the failure would be forgotten
  return synced;
}

// In one write, which costs more than its bytes do.
base::Result<> ResultLog::AppendRun(blob::BlobStore& blobs, blob::BlobId segment,
                                    std::span<std::shared_ptr<Pending>> run) {
  std::string joined;
  for (size_t i = 0; run.size() > 1 && i < run.size(); ++i) joined += run[i]->line;
  INFERQ_ASSIGN(model::Extent rest, blobs.Append(segment, run.size() > 1 ? joined : run[0]->line));
  for (auto& pending : run) {
    pending->extent = model::Extent{rest.blob, rest.offset, pending->line.size()};
    rest.offset += pending->line.size();
  }
  return {};
}

base::Result<> ResultLog::Rotate(blob::BlobStore& blobs, const Options& options, Write& write) {
  INFERQ_ASSIGN(uint64_t size, blobs.Size(write.segment));
  if (size < options.segment_bytes) return {};
  blobs.RestLog(write.segment);
  INFERQ_ASSIGN(write.segment, blobs.OpenLog(SegmentName(options.name, write.number + 1)));
  ++write.number;
  return {};
}

void ResultLog::Settle(Write& write, base::Result<> written) {
  segments_[write.number] = write.segment;
  if (write.final_failure) failure_ = written.error();
  if (written) unrecorded_[write.segment] += write.group.size();
  for (auto& pending : write.group) {
    if (!written) pending->extent = std::unexpected(written.error());
    pending->done = true;
  }
}

void ResultLog::Recorded(const model::Extent& extent) {
  auto found = unrecorded_.find(extent.blob);
  INFERQ_CHECK(found != unrecorded_.end());
  if (--found->second == 0) unrecorded_.erase(found);
}

std::vector<blob::BlobId> ResultLog::segments() const {
  std::vector<blob::BlobId> all;
  for (const auto& [number, segment] : segments_) all.push_back(segment);
  return all;
}

Awaitable<base::Result<uint64_t>> ResultLog::Reclaim(std::function<bool(blob::BlobId)> in_use) {
  Segments unused;
  for (const auto& [number, segment] : segments_) {
    bool kept = segment == current() || unrecorded_.contains(segment) || in_use(segment);
    if (!kept) unused[number] = segment;
  }
  for (const auto& [number, segment] : unused) {
    auto remove = [blobs = &blobs_, segment] { return blobs->Delete(segment); };
    INFERQ_CO_TRY(co_await runtime_.RunBlocking(runtime::kAnyLane, remove));
    segments_.erase(number);
  }
  co_return unused.size();
}

}  // namespace inferq::service
