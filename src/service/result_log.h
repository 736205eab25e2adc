#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
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

/// An append log of results (or of other bytes that records point to), in segments: blob logs
/// called "results", "results-2", "results-3", … Only the newest is appended to; an older one is
/// deleted as a whole when nothing points into it any more.
///
/// Order: Open -> any calls -> destroy, when none is under way. Calls on the strand of `runtime`.
///
/// A result is appended here first and then recorded with the task (Queue::Complete), so a crash
/// between the two leaves bytes that no record points to; they are ignored. A crash while a segment
/// begins leaves it empty or not there; one while segments are deleted leaves some of them, for
/// the next Reclaim.
class ResultLog {
 public:
  struct Options {
    std::string name = "results";
    /// A segment that has so many bytes is the last one appended to; the next append begins
    /// another. At least 1. Smaller segments give room back sooner; each is a file.
    uint64_t segment_bytes = uint64_t{256} << 20;
    /// Where its writes run; two logs that share one wait for each other's fsync.
    uint32_t lane = runtime::kResultLane;
  };

  /// Finds the segments that there are, or begins the first one.
  static Awaitable<base::Result<std::unique_ptr<ResultLog>>> Open(runtime::Runtime& runtime,
                                                                  blob::BlobStore& blobs,
                                                                  Options options);

  /// Resumes when `line` is durable. Everything that waits while a write is under way goes into the
  /// next one, with one fsync for all of them (group commit).
  /// @return where it lies; its segment stays until Recorded. kResourceExhausted: the disk is full,
  ///         try again later. After another failure the log takes nothing more: restart and
  ///         recover.
  Awaitable<base::Result<model::Extent>> Append(std::string line);
  /// The record that points to an appended extent is durable, or there will be none. Once for each.
  void Recorded(const model::Extent& extent);

  /// The segment that is appended to.
  blob::BlobId current() const { return segments_.rbegin()->second; }
  /// All segments, the oldest first.
  std::vector<blob::BlobId> segments() const;

  /// Deletes the segments for which `in_use` says no: no record and no reader points into them, and
  /// none will but those of appends that are not Recorded yet. These are kept, and so is the
  /// current one. `in_use` is asked before this suspends.
  /// @return how many segments are gone. After a failure call again, or after the next start.
  Awaitable<base::Result<uint64_t>> Reclaim(std::function<bool(blob::BlobId)> in_use);

  // Readers may stop here.

 private:
  struct Pending {
    std::string line;
    base::Result<model::Extent> extent = model::Extent{};
    bool done = false;
  };
  using Group = std::vector<std::shared_ptr<Pending>>;
  using Segments = std::map<uint64_t, blob::BlobId>;  // by number
  /// One write, as the blocking call does it.
  struct Write {
    Group group;
    uint64_t number;
    blob::BlobId segment;
    bool final_failure = false;
  };

  ResultLog(runtime::Runtime& runtime, blob::BlobStore& blobs, Options options, Segments segments)
      : runtime_(runtime),
        blobs_(blobs),
        options_(std::move(options)),
        segments_(std::move(segments)),
        written_(runtime) {}

  static base::Result<Segments> Find(blob::BlobStore& blobs, const std::string& name);
  Awaitable<void> WriteGroup();
  static base::Result<> WriteAll(blob::BlobStore& blobs, const Options& options, Write& write);
  static base::Result<> AppendRun(blob::BlobStore& blobs, blob::BlobId segment,
                                  std::span<std::shared_ptr<Pending>> run);
  static base::Result<> Rotate(blob::BlobStore& blobs, const Options& options, Write& write);
  void Settle(Write& write, base::Result<> written);

  runtime::Runtime& runtime_;
  blob::BlobStore& blobs_;
  const Options options_;
  Segments segments_;  // never empty
  std::map<blob::BlobId, uint64_t> unrecorded_;
  runtime::Event written_;
  Group waiting_;
  bool writing_ = false;
  std::optional<base::Error> failure_;
};

}  // namespace inferq::service
