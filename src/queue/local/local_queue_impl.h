#pragma once

#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "queue/local/dependents.h"
#include "queue/local/due_set.h"
#include "queue/local/fence_source.h"
#include "queue/local/group_commit.h"
#include "queue/local/idempotency.h"
#include "queue/local/local_queue.h"
#include "queue/local/task_index.h"
#include "queue/local/task_table.h"
#include "runtime/event.h"

namespace inferq::queue {

/// See local_queue.h. Calls are in submit.cc, claim.cc, endings.cc, edit.cc, query.cc and
/// lifecycle.cc; the changes of state that they share are in transitions.cc, and what time does is
/// in timers.cc.
///
/// A call changes memory in one go, without suspending, and only then waits for the commit: so each
/// group holds whole calls.
class LocalQueue final : public Queue {
 public:
  LocalQueue(runtime::Runtime& runtime, std::unique_ptr<Journal> journal,
             LocalQueueOptions options);
  ~LocalQueue() override;

  Awaitable<base::Result<>> Open() override;
  Awaitable<base::Result<>> Close() override;
  bool healthy() const override;
  Awaitable<base::Result<std::vector<model::TaskId>>> Submit(
      std::vector<model::TaskSpec> specs) override;
  model::BatchId NewBatchId() override;
  Awaitable<base::Result<std::vector<ClaimedTask>>> Claim(ClaimRequest request) override;
  Awaitable<std::vector<base::Result<>>> Start(std::vector<TaskRef> tasks) override;
  Awaitable<std::vector<RenewalReply>> Renew(std::vector<Renewal> renewals) override;
  Awaitable<std::vector<base::Result<>>> Complete(std::vector<Completion> completions) override;
  Awaitable<std::vector<base::Result<>>> Fail(std::vector<Failure> failures) override;
  Awaitable<std::vector<base::Result<>>> Release(std::vector<TaskRef> tasks) override;
  Awaitable<std::vector<base::Result<>>> Cancel(std::vector<model::TaskId> tasks) override;
  Awaitable<base::Result<uint64_t>> CancelWhere(TaskFilter filter) override;
  Awaitable<std::vector<base::Result<>>> Requeue(std::vector<model::TaskId> tasks) override;
  Awaitable<base::Result<model::Version>> Edit(EditRequest request) override;
  Awaitable<base::Result<model::TaskRecord>> Get(model::TaskId id) override;
  Awaitable<base::Result<std::vector<model::TaskRecord>>> Query(QueryRequest request) override;
  QueueStats Stats(const TaskFilter& filter) const override;
  uint64_t Waiting(const std::string& lane) const override;
  void SetTenant(const std::string& tenant, sched::TenantPolicy policy) override;

 private:
  using Group = GroupCommit::Group;
  using Items = std::vector<base::Result<>>;

  // Whether a change is acknowledged to somebody, who waits for it.
  enum class Wait : uint8_t { kAwaited, kRides };
  // What a lease that ends owes its tenant.
  enum class Owes : uint8_t { kCharge, kNothing };

  // A count of states that becomes visible when its group is durable.
  struct Delta {
    model::TaskId id;
    std::optional<model::State> from;
    model::State to = model::State::kBlocked;
  };
  // One spec of a Submit, after validation: the task that it means.
  struct Slot {
    model::TaskId existing;         // an earlier task with the same key
    std::optional<size_t> same_as;  // an earlier spec of this call with the same key
    bool fresh() const { return !existing && !same_as; }
  };
  struct Waiter;     // a Claim that waits for work
  struct Recovered;  // what Open reads

  // --- lifecycle.cc
  base::Result<> Ready() const;
  void Adopt(Recovered& recovered);
  void AdoptTask(Task& task);
  ChangeSet Collect();
  void CollectTask(Task& task, ChangeSet& changes);
  void CollectTenantTimes(ChangeSet& changes);
  Meta CurrentMeta() const;
  void ApplyDeltas();
  Awaitable<base::Result<>> Durable(Group group);
  Awaitable<Items> Acknowledge(Items items, Group group);

  // --- transitions.cc: all changes of a task's state
  void Changed(Task& task, uint8_t what, Wait wait);
  void JoinGroup(const Task& task, Group& group) const;
  void Charged(const Task& task);
  void Count(const Task& task, std::optional<model::State> from, bool deferred);
  void MoveTo(Task& task, model::State to, Wait wait);
  void Enqueue(Task& task, Wait wait);
  void TryUnblock(Task& task, Wait wait);
  void EndLease(Task& task, Owes owes, model::TokenCount actual = 0);
  void LeaveState(Task& task);
  void End(Task& task, model::State to, base::Code code, std::string message,
           model::Extent result = {});
  void EndOne(Task& task, model::State to, base::Code code, std::string message,
              model::Extent result);
  void EndChildren(model::TaskId id);
  void FailForParent(Task& child, const Task& parent);
  void ParentEnded(Task& child);
  void WaitForParents(Task& task);
  void StopWaitingForParents(Task& task);
  int ContributionOf(const Task& child) const;
  void AddContribution(const Task& child, int points);
  const Task* ParentThatForbids(const Task& task) const;
  static bool Forbids(const Task& child, const Task& parent);
  sched::Key KeyOf(const Task& task) const;
  sched::Entry EntryOf(const Task& task) const;
  const std::string& TenantName(const Task& task) const { return tasks_.names()[task.tenant]; }
  const std::string& LaneName(const Task& task) const { return tasks_.names()[task.lane]; }

  // --- submit.cc
  base::Result<std::vector<Slot>> Plan(const std::vector<model::TaskSpec>& specs) const;
  static std::optional<size_t> FindCycle(const std::vector<model::TaskSpec>& specs,
                                         const std::vector<Slot>& slots);
  base::Result<> CheckSpec(const model::TaskSpec& spec) const;
  static base::Result<> CheckLifetime(const model::TaskSpec& spec);
  base::Result<> CheckTimes(const model::TaskSpec& spec) const;
  base::Result<> CheckParents(const std::vector<model::TaskSpec>& specs, size_t index) const;
  base::Result<Slot> FindByKey(const std::vector<model::TaskSpec>& specs, size_t index,
                               std::unordered_map<std::string, size_t>& by_key) const;
  base::Result<> CheckRoom(size_t added, bool ephemeral) const;
  std::chrono::milliseconds RetryAfter(uint64_t excess) const;
  std::vector<model::TaskId> Apply(std::vector<model::TaskSpec> specs,
                                   const std::vector<Slot>& slots);
  void AddTask(Task& task, model::TaskSpec spec);
  void Admit(Task& task);

  // --- claim.cc
  std::vector<ClaimedTask> PickNow(const ClaimRequest& request, Group& group);
  ClaimedTask Lease(Task& task, const ClaimRequest& request);
  void BeginLeases(std::vector<ClaimedTask>& claimed, base::Micros lease);
  void Extend(Task& task, base::Micros lease);
  base::Result<> StartOne(const TaskRef& ref);
  RenewalReply RenewOne(Renewal& renewal);
  base::Result<Task*> Holding(const TaskRef& ref);
  void WakeClaims(const std::string& lane, bool interactive);
  void HandOn(const ClaimRequest& request);
  void WakeAllClaims();

  // --- endings.cc
  base::Result<> CompleteOne(const Completion& completion, Group& group);
  base::Result<> FailOne(Failure& failure, Group& group);
  void LearnRunTime(const Task& task);
  void Crashed(Task& task, Failure& failure);
  void Retry(Task& task);
  base::Micros Backoff(uint32_t attempts);
  base::Result<> ReleaseOne(const TaskRef& ref, Group& group);

  // --- edit.cc
  base::Result<> CancelOne(model::TaskId id, Group& group);
  base::Result<> RequeueOne(model::TaskId id);
  void Revive(Task& task);
  base::Result<model::Version> EditOne(const EditRequest& request, Group& group);

  // --- query.cc
  Awaitable<base::Result<>> Settled(Group change);
  bool Matches(const Task& task, const TaskFilter& filter) const;
  const TaskGroup* GroupOf(const TaskFilter& filter) const;
  const Task* NextById(const TaskGroup& group, uint64_t& cursor) const;
  const Task* NextByFinish(const TaskGroup& group, uint64_t& cursor) const;

  // --- timers.cc
  void ArmTimer();
  void OnTimer();
  size_t ExpireLeases(size_t limit);
  size_t WakeBlocked(size_t limit);
  size_t ExpireTasks(size_t limit);
  void ExpireLease(Task& task);
  std::optional<base::SteadyTime> NextDue() const;
  base::WallTime WallNow() const { return runtime_.clock().Wall(); }
  base::SteadyTime SteadyNow() const { return runtime_.clock().Steady(); }

  runtime::Runtime& runtime_;
  std::shared_ptr<Journal> journal_;
  LocalQueueOptions options_;
  base::Rng rng_;
  std::unique_ptr<GroupCommit> commits_;  // set once open
  enum class Phase : uint8_t { kNew, kOpening, kOpen, kClosing, kClosed } phase_ = Phase::kNew;

  TaskTable tasks_;
  TaskIndex index_;
  Dependents dependents_;
  IdempotencyKeys keys_;
  std::unique_ptr<sched::Scheduler> scheduler_;
  FenceSource fences_;
  uint64_t last_batch_ = 0;
  uint64_t last_finish_ = 0;
  uint64_t live_ = 0;
  uint64_t finished_since_open_ = 0;
  base::SteadyTime opened_;
  std::unordered_map<NameId, base::Micros> mean_run_;  // by lane

  // What the next group commits.
  std::vector<model::TaskId> dirty_;
  std::vector<KeyRow> new_keys_;
  std::vector<std::pair<std::string, std::string>> old_keys_;
  bool charged_ = false;                        // virtual times moved
  std::map<std::string, double> stored_times_;  // as on disk
  Meta stored_meta_;
  std::vector<Delta> deltas_;  // of the group that gathers
  std::vector<Delta> deltas_in_flight_;

  DueSet<base::SteadyTime> lease_due_;
  DueSet<base::WallTime> wake_due_;
  DueSet<base::WallTime> expiry_due_;
  runtime::Runtime::TimerId timer_ = 0;
  runtime::Runtime::TimerId charge_timer_ = 0;  // writes what ephemeral tasks were charged
  base::SteadyTime timer_at_;
  std::list<Waiter*> waiters_;  // oldest first
  runtime::Event closed_;
};

}  // namespace inferq::queue
