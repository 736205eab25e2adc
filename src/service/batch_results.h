#pragma once

#include <memory>
#include <string>
#include <vector>

#include "blob/blob_store.h"
#include "catalog/catalog.h"
#include "queue/queue.h"
#include "runtime/runtime.h"
#include "service/blob_refs.h"
#include "service/result_offset.h"
#include "service/service.h"

namespace inferq::service {

/// Reads the results of a batch page by page, also while it runs: the lines that its output and
/// error files have, or will have. While it runs they come in the order of their ending; once its
/// files are written, what is left of the one and then of the other. A reader that goes on from the
/// offset of its last line gets each line once, across restarts and the end of the batch. Lines
/// that were never run come at the end. On the strand.
class BatchResults {
 public:
  BatchResults(runtime::Runtime& runtime, catalog::Catalog& catalog, queue::Queue& queue,
               std::shared_ptr<blob::BlobStore> blobs, BlobRefs& refs)
      : runtime_(runtime),
        catalog_(catalog),
        queue_(queue),
        blobs_(std::move(blobs)),
        refs_(refs) {}

  /// A page of at most `limit` lines and about 256 KiB; empty when none have come since.
  /// kNotFound: no such batch, or the file was deleted. kInvalidArgument, param "after".
  Awaitable<base::Result<ResultsPage>> Read(Caller caller, ResultsRequest request);

 private:
  Awaitable<base::Result<ResultsPage>> ReadRunning(model::BatchRecord batch, ResultOffset from,
                                                   uint32_t limit);
  Awaitable<base::Result<ResultsPage>> ReadEnded(model::BatchRecord batch, ResultOffset from,
                                                 uint32_t limit);
  const model::BatchRecord* Find(const Caller& caller, const std::string& id) const;

  runtime::Runtime& runtime_;
  catalog::Catalog& catalog_;
  queue::Queue& queue_;
  std::shared_ptr<blob::BlobStore> blobs_;
  BlobRefs& refs_;
};

}  // namespace inferq::service
