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

struct LocalQueueOptions {
  sched::OrderPolicy order;
  std::function<std::unique_ptr<sched::Scheduler>(sched::OrderPolicy)> make_scheduler =
      sched::MakeScheduler;
  std::map<std::string, sched::TenantPolicy> tenants;  ///< Others have the default policy.
  RetryPolicy retry;
  uint64_t max_live_tasks =
      10'000'000;                   ///< Beyond: kResourceExhausted; ask again when some have ended.
  uint64_t kept_for_ephemeral = 0;  ///< Of these, for ephemeral tasks only.
  uint64_t max_tasks =
      50'000'000;  ///< Live and ended records in memory; beyond: kResourceExhausted.
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
/// Bounded work on the strand: a long Query or CancelWhere yields. Destroy it on the strand, after
/// Close, or to simulate a crash when no call is under way.
std::unique_ptr<Queue> MakeLocalQueue(runtime::Runtime& runtime, std::unique_ptr<Journal> journal,
                                      LocalQueueOptions options = {});

}  // namespace inferq::queue
