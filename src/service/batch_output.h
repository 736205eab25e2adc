#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "blob/blob_store.h"
#include "model/batch.h"
#include "queue/queue.h"
#include "runtime/runtime.h"
#include "service/batch_lines.h"

namespace inferq::service {

using runtime::Awaitable;

/// The two files of a batch that has ended, sealed.
struct BatchFiles {
  struct File {
    blob::BlobId blob = 0;  ///< 0: nothing in it, no file.
    uint64_t bytes = 0;
  };
  File output;
  File errors;
  /// Requests of the lines that failed or expired, to be run again.
  File retry;
  uint64_t retry_lines = 0;
  uint64_t succeeded = 0;
  uint64_t failed = 0;   ///< Lines that were run and failed.
  uint64_t expired = 0;  ///< Lines whose time was over; they stand in the error file, too.
  model::BatchUsage usage;
};

/// What the output or the error file says of a task that has ended, with its line end. Blocks.
base::Result<std::string> EndedLine(blob::BlobStore& blobs, const model::TaskRecord& task);

/// Writes the output and the error file of a batch whose tasks have all ended, in the order of
/// their ending; lines that ended without having run come last. A third file, for nobody to see,
/// holds the requests that may be run again. Nothing points to the files yet, so stopped half way
/// it is simply done anew.
class BatchOutput {
 public:
  /// @param unsent  how lines without an ending of their own ended: kCancelled or kExpired.
  /// @param stop    looked at between pages; true ends the writing with kCancelled.
  BatchOutput(runtime::Runtime& runtime, std::shared_ptr<blob::BlobStore> blobs,
              queue::Queue& queue, model::BatchRecord batch, model::State unsent,
              std::function<bool()> stop);
  Awaitable<base::Result<BatchFiles>> Write();

 private:
  /// A blob that begins with its first byte.
  struct Writer {
    base::Result<> Put(blob::BlobStore& blobs, std::string_view line);
    base::Result<> Flush(blob::BlobStore& blobs);
    base::Result<BatchFiles::File> Seal(blob::BlobStore& blobs);
    BatchFiles::File file;
    std::string buffer;
  };

  base::Result<> WriteTasks(const std::vector<model::TaskRecord>& ended);
  base::Result<> WriteSuccess(const model::TaskRecord& task);
  base::Result<> WriteFailure(const model::TaskRecord& task);
  base::Result<> KeepForRetry(std::string_view request);
  Awaitable<base::Result<>> WriteWithoutResult(uint64_t written);
  std::vector<uint64_t> NextWithoutResult(std::optional<uint64_t> after, uint64_t written) const;
  base::Result<> WriteUnsent(BatchCursor& cursor, uint64_t from,
                             const std::vector<uint64_t>& lines);
  base::Result<BatchFiles> Seal();

  runtime::Runtime& runtime_;
  std::shared_ptr<blob::BlobStore> blobs_;
  queue::Queue& queue_;
  const model::BatchRecord batch_;
  const model::State unsent_;
  std::function<bool()> stop_;
  Writer output_;
  Writer errors_;
  Writer retry_;
  BatchFiles files_;
};

}  // namespace inferq::service
