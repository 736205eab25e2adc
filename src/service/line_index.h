#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "blob/blob_store.h"
#include "queue/batch_plan.h"

namespace inferq::service {

/// Writes the index of a batch's lines into a blob of its own. Nothing points to it before Seal;
/// what a crash leaves is removed at the next start. Blocks; one thread at a time.
class LineIndexWriter {
 public:
  explicit LineIndexWriter(blob::BlobStore& blobs) : blobs_(blobs) {}

  base::Result<> Add(const queue::LineInfo& line);
  /// Makes it durable. @return the blob.
  base::Result<blob::BlobId> Seal();
  /// Removes what was written.
  base::Result<> Discard();

 private:
  base::Result<> Flush();

  blob::BlobStore& blobs_;
  blob::BlobId blob_ = 0;
  std::string buffer_;
};

/// Reads such indices. Any thread; the store lives as long as the function.
queue::ReadLines ReadLinesFrom(std::shared_ptr<blob::BlobStore> blobs);

}  // namespace inferq::service
