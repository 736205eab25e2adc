#pragma once

#include <memory>
#include <unordered_map>

#include "blob/blob_store.h"
#include "runtime/runtime.h"

namespace inferq::service {

using runtime::Awaitable;

/// Who needs which blob: files, live batches, readers. The last to let go removes it. Counts are in
/// memory only: a blob that nobody needs after a crash is removed by Sweep. On the strand.
class BlobRefs {
 public:
  BlobRefs(runtime::Runtime& runtime, std::shared_ptr<blob::BlobStore> blobs)
      : runtime_(runtime), blobs_(std::move(blobs)) {}

  void Hold(blob::BlobId blob) { ++holders_[blob]; }
  /// 0: no blob. A removal that fails is left to the next start.
  void Drop(blob::BlobId blob);
  /// Removes sealed blobs that nobody holds: what a crash left between a blob and its record. Logs
  /// are their owners' (ResultLog::Reclaim).
  /// @return how many.
  Awaitable<base::Result<uint64_t>> Sweep();

 private:
  runtime::Runtime& runtime_;
  std::shared_ptr<blob::BlobStore> blobs_;
  std::unordered_map<blob::BlobId, uint64_t> holders_;
};

}  // namespace inferq::service
