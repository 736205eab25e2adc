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
  /// A claim of several tasks may reorder within this much waiting behind the head, to keep
  /// prefixes together.
  base::Micros prefix_window{0};
  /// Of this many picks in a row at most half (rounded down) are due work while other work waits.
  /// At most kMaxDueQuotaWindow; below 2 due work never goes before other work.
  uint32_t due_quota_window = 2;
};

/// key = eligible − (priority + boost) / aging, in integer microseconds, the quotient rounded half
/// up; `boost` is held in [0, boost_cap] points and the key in its range.
Key MakeKey(base::WallTime eligible, int priority, int boost, const OrderPolicy& policy);

/// A tenant's standing orders. A capped tenant is passed over, not reordered.
struct TenantPolicy {
  double weight = 1.0;  ///< > 0, finite.
  uint32_t max_running =
      UINT32_MAX;  ///< Claimed and not yet finished or released; 0 pauses the tenant.
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
};

struct PickRequest {
  std::span<const std::string> lanes;  ///< Tasks of others are not considered.
  uint32_t max_tasks = 1;
  /// Bound on the sum of costs. The first task always fits; the pick ends before the first one that
  /// does not, so no small task overtakes a big one for ever.
  model::TokenCount token_budget = UINT64_MAX;
  base::WallTime now;
  /// Only interactive tasks are considered; the rules are the same among them.
  bool interactive_only = false;
};

/// Why a waiting task is not running, for explain.
struct Standing {
  /// Tasks of the same tenant and lane that go before it: if it is due, the due ones with an
  /// earlier deadline; else the due ones and those with a smaller key. An upper bound: the due
  /// quota may let it pass due ones.
  uint64_t ahead_in_lane = 0;
  bool tenant_capped = false;
  double tenant_virtual_time = 0;
  /// Of the tenants that wait in that lane and are not capped; its own where there is none.
  double least_virtual_time = 0;
};

/// Decides who is next (ARCHITECTURE "Who is next"). Pure: no clock, threads or I/O; the same calls
/// give the same answers. One owner, no locking. Nothing survives a crash: the queue adds
/// everything anew.
///
/// Each task of a pick is chosen so, among the tasks that wait in the named lanes:
/// 1. the tenant: of those below their cap the one with the least virtual time; ties: name;
/// 2. of its tasks the due one with the earliest deadline, as far as the quota goes; else, of those
/// not due, the
///    smallest key; ties: id. The quota counts, for each tenant and lane, the choices where that
///    lane held the smallest key of the work not due and due work waited as well;
/// 3. instead of the smallest key, in a pick of several tasks: the one that shares most of the
/// locality key with
///    the task picked just before in the same lane (then the smallest key, then the id), when its
///    key is at most `prefix_window` larger than the smallest.
///
/// A tenant's virtual time rises by cost/weight at each pick. A tenant with nothing waiting has no
/// claim on the past: when a task of it comes into a lane its virtual time is raised to the lane's
/// current one, which is the greatest that the least virtual time waiting there (below the cap) is
/// now or ever was at a pick. Interactive or not makes no difference to that: who lives on picks of
/// interactive tasks alone neither saves up credit nor pushes newcomers behind the others.
class Scheduler {
 public:
  virtual ~Scheduler() = default;

  /// From now on; charges made before are settled at the new weight. Unknown tenants have a default
  /// policy.
  virtual void SetTenant(const std::string& tenant, TenantPolicy policy) = 0;

  /// Makes a task wait. Its id must not be waiting (a bug otherwise).
  virtual void Add(Entry entry) = 0;
  /// Forgets a waiting task. @return false when it does not wait.
  virtual bool Remove(model::TaskId id) = 0;
  /// Re-keys a waiting task. @return false when it does not wait.
  virtual bool Edit(model::TaskId id, Key key, std::optional<base::WallTime> deadline) = 0;

  /// Takes up to max_tasks out of the waiting and charges their tenants.
  virtual std::vector<model::TaskId> Pick(const PickRequest& request) = 0;

  // Each picked (or Charge'd) task is settled or refunded exactly once; once more is a bug.

  /// A picked task ended and cost `actual` instead of `charged`: settles the difference.
  virtual void Settle(const std::string& tenant, model::TokenCount charged,
                      model::TokenCount actual) = 0;
  /// A picked task was handed back (released, lease lost): its charge is taken back.
  virtual void Refund(const std::string& tenant, model::TokenCount charged) = 0;
  /// Counts a task as running without a pick: recovery of a claim that outlived a restart.
  virtual void Charge(const std::string& tenant, model::TokenCount cost) = 0;

  virtual size_t waiting() const = 0;
  virtual size_t waiting_in(const std::string& lane) const = 0;
  virtual std::optional<Standing> Explain(model::TaskId id, base::WallTime now) const = 0;

  /// Virtual times to persist and to restore, sorted by tenant. Of a tenant with nothing waiting:
  /// at least the least one that waits, since it would not re-enter below that.
  virtual std::vector<std::pair<std::string, double>> VirtualTimes() const = 0;
  /// Before anything else: until the first Pick a restored virtual time is not raised, whatever the
  /// order in which the waiting tasks are added.
  virtual void RestoreVirtualTime(const std::string& tenant, double virtual_time) = 0;
};

/// Indexed: O(log n) per operation.
std::unique_ptr<Scheduler> MakeScheduler(OrderPolicy policy);
/// The same answers by looking at everything, O(n) per pick: the oracle for tests.
std::unique_ptr<Scheduler> MakeNaiveScheduler(OrderPolicy policy);

}  // namespace inferq::sched
