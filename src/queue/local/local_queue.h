#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "queue/local/journal.h"
#include "queue/queue.h"
#include "runtime/runtime.h"
#include "sched/scheduler.h"

namespace inferq::queue {

/// How long a failed attempt waits: initial * multiplier^(attempts - 1), at most `max`, of which
/// the part `jitter` is random, so that what failed together does not come back together.
struct RetryPolicy {
  base::Micros initial{1'000'000};
  base::Micros max{300'000'000};
  double multiplier = 2.0;
  double jitter = 0.5;  ///< [0, 1]: the wait is uniform in [(1 - jitter), 1] of the computed one.
};

/// How long ended tasks stay readable. What is live, or is waited for by a live task, stays.
struct RetentionPolicy {
  base::Micros age = std::chrono::hours(24 * 7);
  uint64_t count = 1'000'000;          ///< The oldest endings go first.
  uint64_t bytes = uint64_t{4} << 30;  ///< Of their requests and results.
};

/// What may wait at once; beyond: kResourceExhausted with the time in which that much will drain.
struct RoomPolicy {
  uint64_t tasks = 10'000'000;
  uint64_t tasks_per_tenant = UINT64_MAX;
  uint64_t bytes =
      uint64_t{64} << 30;  ///< Of the requests of tasks; lines of batches do not count.
  uint64_t bytes_per_tenant = UINT64_MAX;
  uint64_t lines = 1'000'000'000;   ///< Of all batches together.
  uint64_t kept_for_ephemeral = 0;  ///< Of `tasks`, for ephemeral ones only.
};

struct LocalQueueOptions {
  sched::OrderPolicy order;
  std::function<std::unique_ptr<sched::Scheduler>(sched::OrderPolicy)> make_scheduler =
      sched::MakeScheduler;
  std::map<std::string, sched::TenantPolicy> tenants;  ///< Others have the default policy.
  RetryPolicy retry;
  RoomPolicy room;
  RetentionPolicy retention;
  /// Reads the indices of batches. Null: SubmitBatch says kUnimplemented.
  ReadLines read_lines;
  uint32_t line_window = 4096;                       ///< Lines of a lane of a batch read ahead.
  base::Micros pace_max = std::chrono::seconds(10);  ///< Between two lines of a batch.
  base::Micros idempotency_ttl = std::chrono::hours(24);
  base::Micros ride_linger{20'000};  ///< Longest time that a claim or start stays unwritten.
  int boost_per_child =
      10;                 ///< Priority points a parent gains for a child that waits for it alone.
  uint64_t rng_seed = 1;  ///< Of the jitter.
  uint16_t shard = 0;     ///< Upper 16 bits of ids; below kEphemeralShard.
};

/// The embedded queue: everything in memory, every change in a journal, the order from a Scheduler.
///
/// Memory runs ahead of the disk by at most the group commit under way. What is acknowledged is
/// durable, and what Get and Query show is durable but for claims, starts and checkpoints (Query
/// and Get wait for the commit where needed). Stats count an ending, a requeue and a new task once
/// durable.
///
/// The lines of a batch are read ahead in windows. So what the order contract says of a line holds
/// from when it is in the window: the first line_window open lines of its lane. Each is eligible
/// one pace after the one before; the pace is what the tenant's rate takes for a line.
///
/// Bounded work on the strand: a long Query or CancelWhere yields. Destroy it on the strand, after
/// Close, or to simulate a crash when no call is under way.
std::unique_ptr<Queue> MakeLocalQueue(runtime::Runtime& runtime, std::unique_ptr<Journal> journal,
                                      LocalQueueOptions options = {});

}  // namespace inferq::queue
