#include "service/result_log.h"

namespace inferq::service {

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
  for (auto& pending : group) {
    pending->extent = blobs.Append(log, pending->line);
    INFERQ_TRY(pending->extent);
  }
  return blobs.Sync(log);
}

}  // namespace inferq::service
