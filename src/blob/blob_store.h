#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/task.h"

namespace inferq::blob {

/// Number of a blob in its store; never 0, never used again.
using BlobId = uint64_t;

/// A log that there is.
struct Log {
  std::string name;
  BlobId id = 0;
};

/// Bytes of inputs and results, apart from the records that point to them.
///
/// A blob is written once: Create -> Append ... -> Seal, or kept open as a log that grows for ever
/// (see OpenLog). Appended bytes are durable after Sync (or Seal); a crash may lose or tear what
/// came after. Calls block, so they run in Runtime::RunBlocking; one thread at a time for each blob
/// under construction, any thread for reads of what was synced.
class BlobStore {
 public:
  virtual ~BlobStore() = default;

  /// Starts a new, empty, unsealed blob. It is gone after a restart unless sealed or a log.
  virtual base::Result<BlobId> Create() = 0;
  /// The log called `name` ([a-z0-9_-]{1,64}), made when missing. It survives restarts unsealed.
  virtual base::Result<BlobId> OpenLog(std::string_view name) = 0;

  /// Adds bytes at the end. @return where they lie. kResourceExhausted: the disk is full, nothing
  /// counts as appended; the store stays usable.
  virtual base::Result<model::Extent> Append(BlobId blob, std::string_view bytes) = 0;
  /// Makes everything appended so far durable. A failure is final for the blob: do not acknowledge,
  /// restart.
  virtual base::Result<> Sync(BlobId blob) = 0;
  /// Sync, and no Append after it.
  virtual base::Result<> Seal(BlobId blob) = 0;
  /// Nothing is added to this log for now: its file is closed, if all is well and synced, until an
  /// Append. A store with many logs then keeps few files open.
  virtual void RestLog(BlobId blob) = 0;
  /// Cuts a log to `size` bytes: recovery drops what no record points to.
  virtual base::Result<> TruncateLog(BlobId blob, uint64_t size) = 0;

  virtual base::Result<uint64_t> Size(BlobId blob) = 0;
  /// Reads exactly the extent. kNotFound: no such blob. kDataLoss: it is shorter than the extent.
  virtual base::Result<std::string> Read(const model::Extent& extent) = 0;
  /// Removes a blob that nothing points to. OK when it is gone already.
  virtual base::Result<> Delete(BlobId blob) = 0;
  /// Sealed blobs and logs, in order of their number.
  virtual base::Result<std::vector<BlobId>> List() = 0;
  /// Those of List that are logs, in order of their name.
  virtual std::vector<Log> Logs() = 0;
};

}  // namespace inferq::blob
