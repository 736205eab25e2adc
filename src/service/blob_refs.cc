#include "service/blob_refs.h"

#include "base/check.h"

namespace inferq::service {
namespace {

base::Result<std::vector<blob::BlobId>> SealedBlobs(blob::BlobStore& blobs) {
  INFERQ_ASSIGN(auto sealed, blobs.List());
  for (const blob::Log& log : blobs.Logs()) std::erase(sealed, log.id);
  return sealed;
}

}  // namespace

void BlobRefs::Drop(blob::BlobId blob) {
  if (blob == 0) return;
  auto found = holders_.find(blob);
  INFERQ_CHECK(found != holders_.end());
  if (--found->second > 0) return;
  holders_.erase(found);
  auto remove = [blobs = blobs_, blob] { (void)blobs->Delete(blob); };
  runtime_.PostBlocking(runtime::kAnyLane, remove, [] {});
}

Awaitable<base::Result<uint64_t>> BlobRefs::Sweep() {
  auto list = [blobs = blobs_] { return SealedBlobs(*blobs); };
  INFERQ_CO_ASSIGN(auto all, co_await runtime_.RunBlocking(runtime::kAnyLane, list));
  uint64_t removed = 0;
  for (blob::BlobId blob : all) {
    if (holders_.contains(blob)) continue;
    auto remove = [blobs = blobs_, blob] { return blobs->Delete(blob); };
    INFERQ_CO_TRY(co_await runtime_.RunBlocking(runtime::kAnyLane, remove));
    ++removed;
  }
  co_return removed;
}

}  // namespace inferq::service
