#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/ids.h"
#include "model/state.h"

namespace inferq::model {

using TokenCount = uint64_t;

/// A run of bytes in a blob. `blob` is the blob store's number for it; 0 length is nothing.
struct Extent {
  uint64_t blob = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// When a child may start, given how its parents ended.
enum class ParentPolicy : uint8_t {
  kAllSucceeded,  ///< A parent that ends otherwise fails the child.
  kAllTerminal,   ///< Any ending will do.
};

/// Chained hashes of the canonical request's first 256 B, 1 KiB, 4 KiB and 16 KiB; 0 where it is
/// shorter.
using LocalityKey = std::array<uint64_t, 4>;

inline constexpr int kMinPriority = -1000;
inline constexpr int kMaxPriority = 1000;

/// What a client asks for. Fixed at submission, but for the fields that Queue::Edit names.
struct TaskSpec {
  std::string tenant = "default";
  std::string lane;             ///< Model (with adapter) or worker kind. Required.
  std::string idempotency_key;  ///< 0..128 bytes, empty: none. Unique per tenant for 24 h.
  uint64_t content_hash =
      0;             ///< Of the parsed value and scheduling fields; compared for equal keys.
  int priority = 0;  ///< [kMinPriority, kMaxPriority], higher first.
  std::optional<base::WallTime> not_before;
  std::optional<base::WallTime> deadline;    ///< Soft: due work goes first.
  std::optional<base::WallTime> expires_at;  ///< Hard: then the task ends as kExpired.
  std::vector<TaskId> parents;               ///< Of the same tenant.
  ParentPolicy parent_policy = ParentPolicy::kAllSucceeded;
  BatchId batch;        ///< 0: stands alone.
  uint64_t line = 0;    ///< Index in the batch, from 0.
  Extent payload;       ///< The request, in the blob store.
  TokenCount cost = 1;  ///< Prompt tokens plus expected output, estimated.
  LocalityKey locality{};
  uint32_t max_attempts = 3;  ///< Starts allowed, >= 1.
  std::string traceparent;    ///< W3C Trace Context, "" or 55 bytes.
  /// Somebody waits for the answer: may be claimed by itself (ClaimRequest::interactive_only).
  /// Ephemeral tasks only, so far.
  bool interactive = false;
  /// Never stored and never listed: it ends with its submitter, or with the process.
  bool ephemeral = false;
};

/// The right to work on a task, until it expires or is superseded.
struct Lease {
  std::string worker;
  Fence fence;
  base::SteadyTime expires;
};

/// How a task ended, and where its result is.
struct Outcome {
  base::Code code = base::Code::kInternal;  ///< Meaningless when the state is kSucceeded.
  std::string message;                      ///< Of the error; "" on success.
  Extent result;  ///< The result line, on success and where there is one on failure.
};

/// Everything known of one task.
struct TaskRecord {
  TaskId id;
  TaskSpec spec;
  State state = State::kQueued;
  Version version = 1;
  Generation generation = 0;
  Fence fence;  ///< Of the newest claim; kept after the lease ended, so old ones stay refused.
  std::optional<Lease> lease;  ///< Set exactly in kLeased and kRunning. Not durable.
  uint32_t attempts = 0;       ///< Starts so far, in this generation.
  uint32_t crashes = 0;        ///< Worker or engine crashes while it ran alone.
  bool suspect = false;        ///< Ran during a crash: is run alone next.
  base::WallTime submitted;
  base::WallTime
      eligible;  ///< max(submit, not_before, last parent terminal); unchanged by retries.
  std::optional<base::WallTime> retry_at;  ///< End of the backoff, while kBlocked for it.
  std::optional<base::WallTime> ended;     ///< Once terminal, where it is known.
  std::string checkpoint;                  ///< <= 64 KiB, handed to the next claimer.
  Outcome outcome;                         ///< Once terminal.
  uint64_t finish_sequence = 0;  ///< Order of endings over the whole queue, from 1; 0 while live.
};

}  // namespace inferq::model
