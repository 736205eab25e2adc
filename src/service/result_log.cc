#include "service/result_log.h"

namespace inferq::service {
namespace {

constexpr size_t kOneWrite = size_t{256} << 10;

}  // namespace

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
  auto group = std::make_shared<Group>(std::exchange(waiting_, {}));
  auto work = [group, blobs = &blobs_, log = log_] { return AppendAll(*blobs, log, *group); };
  base::Result<> written = co_await runtime_.RunBlocking(lane_, work);
  for (auto& pending : *group) {
    if (!written) pending->extent = std::unexpected(written.error());
    pending->done = true;
  }
  writing_ = false;
  written_.NotifyAll();
}

base::Result<> ResultLog::AppendAll(blob::BlobStore& blobs, blob::BlobId log, Group& group) {
  for (size_t begin = 0, end = 0; begin < group.size(); begin = end) {
    size_t bytes = 0;
    while (end < group.size() && (end == begin || bytes + group[end]->line.size() <= kOneWrite)) {
      bytes += group[end++]->line.size();
    }
    INFERQ_TRY(AppendRun(blobs, log, std::span(group).subspan(begin, end - begin)));
  }
  return blobs.Sync(log);
}

// In one write, which costs more than its bytes do.
base::Result<> ResultLog::AppendRun(blob::BlobStore& blobs, blob::BlobId log,
                                    std::span<std::shared_ptr<Pending>> run) {
  std::string joined;
  for (size_t i = 0; run.size() > 1 && i < run.size(); ++i) joined += run[i]->line;
  INFERQ_ASSIGN(model::Extent rest, blobs.Append(log, run.size() > 1 ? joined : run[0]->line));
  for (auto& pending : run) {
    pending->extent = model::Extent{rest.blob, rest.offset, pending->line.size()};
    rest.offset += pending->line.size();
  }
  return {};
}

}  // namespace inferq::service
