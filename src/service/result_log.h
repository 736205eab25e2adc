#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "blob/blob_store.h"
#include "model/task.h"
#include "runtime/event.h"
#include "runtime/runtime.h"

namespace inferq::service {

using runtime::Awaitable;

/// An append log, of results or of requests. Everything that waits while a write is under way goes
/// into the next one, with one fsync for all of them (group commit).
///
/// A result is appended here first and then recorded with the task (Queue::Complete), so a crash
/// between the two leaves bytes that no record points to; they are ignored. Calls on the strand of
/// `runtime`.
class ResultLog {
 public:
  /// @param lane  where it blocks: its own, so that two logs do not wait for each other's fsync.
  ResultLog(runtime::Runtime& runtime, blob::BlobStore& blobs, blob::BlobId log,
            uint32_t lane = runtime::kResultLane)
      : runtime_(runtime), blobs_(blobs), log_(log), lane_(lane), written_(runtime) {}

  /// Resumes when `line` is durable. After a failure the log takes nothing more: restart and
  /// recover.
  Awaitable<base::Result<model::Extent>> Append(std::string line);
  blob::BlobId log() const { return log_; }

 private:
  struct Pending {
    std::string line;
    base::Result<model::Extent> extent = model::Extent{};
    bool done = false;
  };
  using Group = std::vector<std::shared_ptr<Pending>>;

  Awaitable<void> WriteGroup();
  static base::Result<> AppendRun(blob::BlobStore& blobs, blob::BlobId log,
                                  std::span<std::shared_ptr<Pending>> run);
  static base::Result<> AppendAll(blob::BlobStore& blobs, blob::BlobId log, Group& group);

  runtime::Runtime& runtime_;
  blob::BlobStore& blobs_;
  const blob::BlobId log_;
  const uint32_t lane_;
  runtime::Event written_;
  Group waiting_;
  bool writing_ = false;
};

}  // namespace inferq::service
