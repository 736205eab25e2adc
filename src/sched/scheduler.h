#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/task.h"

namespace inferq::sched {

/// Order of a task inside its tenant's lane, in microseconds: smaller goes first. |key| < 2^53.
using Key = int64_t;

inline constexpr uint32_t kMaxDueQuotaWindow = 64;

/// The numbers of the order contract (docs: ARCHITECTURE.md "Who is next").
struct OrderPolicy {
  /// Priority points that waiting earns: a task gains `aging_per_second` points for each second it
  /// waits, so a base of +1 is worth 1/aging_per_second seconds. > 0. One rate for all, stored with
  /// the queue.
  double aging_per_second = 1.0;
  /// Most that the dependents' boost can add to a base, in points.
  int boost_cap = 100;
  /// Tasks may be reordered within this much waiting behind the head, to keep prefixes together.
  base::Micros prefix_window{0};
  /// Of this many picks in a row at most half (rounded down) are due work while other work waits.
  /// At most kMaxDueQuotaWindow; below 2 due work never goes before other work.
  uint32_t due_quota_window = 2;
};

/// key = eligible − (priority + boost) / aging, in integer microseconds, the quotient rounded half
/// up; `boost` is held in [0, boost_cap] points and the key in its range.
Key MakeKey(base::WallTime eligible, int priority, int boost, const OrderPolicy& policy);

/// How much later than the line before it each line of a batch is eligible: the time that the
/// tenant's rate takes for one line, rounded up and at most `cap`, so that a later batch of the
/// same tenant is not stuck behind a long one. `cap` (>= 0) also where the rate is unknown: 0, or
/// not a number.
base::Micros BatchPace(model::TokenCount cost_per_line, double tenant_tokens_per_second,
                       base::Micros cap);

/// The longest that a task waits for others of its tenant while there is capacity, counted from
/// when it is eligible: (range of priorities + cap of boost) / aging + window, and `service_time`
/// for what goes before it then. Micros::max() where it is more than that.
base::Micros WaitBound(const OrderPolicy& policy, base::Micros service_time);

/// A tenant's standing orders. A tenant at its cap, or with an empty bucket, is passed over, not
/// reordered.
struct TenantPolicy {
  double weight = 1.0;                ///< > 0, finite.
  uint32_t max_running = UINT32_MAX;  ///< Claimed and not yet finished or released; 0: none.
  /// In [0, 1): the part of what its lanes give that it gets while it has work there and could be
  /// picked, whatever the weights say. Those of a lane should add up to less than 1: where all is
  /// guaranteed, who has no guarantee waits.
  double min_share = 0;
  /// Refills a bucket that holds one minute's worth and is charged with the cost of what is picked;
  /// it may be overdrawn by one task. UINT64_MAX: no bound; 0: nothing is picked.
  uint64_t tokens_per_minute = UINT64_MAX;
};

/// A waiting task as the scheduler sees it.
struct Entry {
  model::TaskId id;
  std::string tenant;
  std::string lane;
  Key key = 0;
  std::optional<base::WallTime> deadline = std::nullopt;
  base::Micros expected_run{0};  ///< >= 0. Due when now + expected_run > deadline.
  model::TokenCount cost = 1;    ///< >= 1; charged at the pick.
  model::LocalityKey locality{};
  bool alone =
      false;  ///< A suspect; the only task of its pick. A pick that comes to it later ends.
  bool interactive = false;  ///< May be picked by itself, see PickRequest::interactive_only.
  model::BatchId batch{};    ///< 0: none. See PauseBatch.
};

struct PickRequest {
  std::span<const std::string> lanes;  ///< Tasks of others are not considered.
  uint32_t max_tasks = 1;
  /// Bound on the sum of costs. The first task always fits; the pick ends before the first one that
  /// does not, so no small task overtakes a big one for ever.
  model::TokenCount token_budget = UINT64_MAX;
  base::WallTime now;
  /// Only interactive tasks are considered; the rules are the same among them, but for guarantees
  /// and prefixes, which such picks neither follow nor disturb.
  bool interactive_only = false;
};

/// Why a waiting task is not running, for explain.
struct Standing {
  /// Tasks of the same tenant and lane that go before it, those of paused batches aside: if it is
  /// due, the due ones with an earlier deadline; else the due ones and those with a smaller key.
  /// An upper bound: the due quota may let it pass due ones, and shared prefixes others.
  uint64_t ahead_in_lane = 0;
  bool tenant_paused = false;
  bool lane_paused = false;
  bool batch_paused = false;
  bool tenant_capped = false;
  /// When the tenant's empty bucket has something again; WallTime::max(): never.
  std::optional<base::WallTime> throttled_until;
  /// The tenant is owed something in this lane and goes before others.
  bool below_guarantee = false;
  double tenant_virtual_time = 0;
  /// Of the tenants that are eligible in that lane; its own where there is none.
  double least_virtual_time = 0;
};

/// Decides who is next (ARCHITECTURE "Who is next"). Pure: no clock, threads or I/O; the same calls
/// give the same answers. One owner, no locking. Nothing survives a crash: the queue adds
/// everything anew, and pauses again what is paused.
///
/// A task is paused while its batch, its lane or its tenant is: it is not picked and does not
/// count, but keeps its key and deadline. A tenant *waits* in a lane while it has a task there that
/// is not paused, and is *eligible* there while it waits, is below its cap and has something in its
/// bucket.
///
/// Each task of a pick is chosen so, among those not paused in the named lanes:
/// 1. the tenant, of the eligible ones: the one furthest below its guarantee; where none is below,
///    the one with the least virtual time; ties: name;
/// 2. of its tasks the due one with the earliest deadline, as far as the quota goes; else, of those
///    not due, the smallest key; ties: id. The quota counts, for each tenant and lane, the choices
///    where that lane held the smallest key of the work not due and due work waited as well;
/// 3. instead of the smallest key, the one that shares most of the locality key with the task
///    picked last by this rule from the same lane and tenant (then the smallest key, then the id),
///    when its key is at most `prefix_window` larger than the smallest. So claims of one task each
///    run through a tree of prefixes depth first as well, and tenants that take turns do not tear
///    each other's groups apart. Due work and picks of interactive tasks alone are not remembered.
///
/// Virtual time rises by cost/weight at each pick. A tenant that waits nowhere has no claim on the
/// past: when work of it comes into lanes, new or no longer paused, its virtual time is raised to
/// the least of those lanes' current ones. A lane's current one is the greatest that the least
/// virtual time eligible there is now (before that work comes) or ever was at a pick. Interactive
/// or not makes no difference to that: who lives on picks of interactive tasks alone neither saves
/// up credit nor pushes newcomers behind the others.
///
/// Guarantees (min_share). Each lane counts what it `gave`: the costs picked by picks that name it
/// and are not of interactive tasks alone, from whatever lane. A tenant with a guarantee has in
/// each lane a mark on that scale and is below its guarantee, by `gave − mark`, while that is
/// positive. When it becomes eligible there the mark is raised to `gave`; when a task of it is
/// picked, then in each named lane where it is eligible the mark is first brought into [gave − 64 ·
/// largest, gave] and then raised by cost/min_share
/// (`gave` without this task; `largest`: the largest cost ever so given, with it). So it saves up
/// no credit while it is idle, capped, throttled or paused, and what it got beyond its guarantee is
/// held against it only as far as its last task. Settlements and refunds do not change marks.
///
/// Buckets (tokens_per_minute) refill with time as picks tell it: each pick adds what its `now` is
/// later than that of the pick before, if it is, so a clock set back stops the refill for one step
/// and no more. They are full at first. Settlements and refunds correct them.
class Scheduler {
 public:
  virtual ~Scheduler() = default;

  /// From now on; charges made before are settled at the new weight and rate. Unknown tenants have
  /// a default policy.
  virtual void SetTenant(const std::string& tenant, TenantPolicy policy) = 0;

  /// Pauses or resumes; again is no change. Names are remembered, batches while they are paused or
  /// have tasks here: resume a batch that ended.
  virtual void PauseTenant(const std::string& tenant, bool paused) = 0;
  virtual void PauseLane(const std::string& lane, bool paused) = 0;
  virtual void PauseBatch(model::BatchId batch, bool paused) = 0;

  /// Makes a task wait. Its id must not be waiting (a bug otherwise).
  virtual void Add(Entry entry) = 0;
  /// Forgets a waiting task. @return false when it does not wait.
  virtual bool Remove(model::TaskId id) = 0;
  /// Re-keys a waiting task. @return false when it does not wait.
  virtual bool Edit(model::TaskId id, Key key, std::optional<base::WallTime> deadline) = 0;

  /// Takes up to max_tasks out of the waiting and charges their tenants.
  virtual std::vector<model::TaskId> Pick(const PickRequest& request) = 0;
  /// When the first of the tenants that wait in these lanes and are held up by nothing but their
  /// buckets, as the last pick left them, becomes eligible; not before `now`. nullopt: never.
  virtual std::optional<base::WallTime> NextEligible(std::span<const std::string> lanes,
                                                     base::WallTime now) const = 0;

  // Each picked (or Charge'd) task is settled or refunded exactly once; once more is a bug.

  /// A picked task ended and cost `actual` instead of `charged`: settles the difference.
  virtual void Settle(const std::string& tenant, model::TokenCount charged,
                      model::TokenCount actual) = 0;
  /// A picked task was handed back (released, lease lost): its charge is taken back.
  virtual void Refund(const std::string& tenant, model::TokenCount charged) = 0;
  /// Counts a task as running without a pick: recovery of a claim that outlived a restart.
  virtual void Charge(const std::string& tenant, model::TokenCount cost) = 0;

  /// All tasks here, paused or not.
  virtual size_t waiting() const = 0;
  /// Those of the lane that are not paused. (Capped and throttled tenants' count: that passes.)
  virtual size_t waiting_in(const std::string& lane) const = 0;
  /// Those that are paused, for whatever reason.
  virtual size_t paused() const = 0;
  virtual std::optional<Standing> Explain(model::TaskId id, base::WallTime now) const = 0;

  /// Virtual times to persist and to restore, sorted by tenant. Of a tenant that waits nowhere: at
  /// least the least one that waits, since it would not re-enter below that.
  virtual std::vector<std::pair<std::string, double>> VirtualTimes() const = 0;
  /// Before anything else: until the first Pick a restored virtual time is not raised, whatever the
  /// order in which the waiting tasks are added.
  virtual void RestoreVirtualTime(const std::string& tenant, double virtual_time) = 0;
};

/// Indexed: O(log n) per operation; pausing and resuming a batch costs that for each of its tasks,
/// and NextEligible looks at each tenant with an empty bucket.
std::unique_ptr<Scheduler> MakeScheduler(OrderPolicy policy);
/// The same answers by looking at everything, O(n) per pick: the oracle for tests.
std::unique_ptr<Scheduler> MakeNaiveScheduler(OrderPolicy policy);

}  // namespace inferq::sched
