#pragma once

#include <algorithm>
#include <deque>
#include <list>
#include <map>
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
#include "queue/local/line_batch.h"
#include "queue/local/local_queue.h"
#include "queue/local/rate_meter.h"
#include "queue/local/task_index.h"
#include "queue/local/task_table.h"
#include "runtime/event.h"

namespace inferq::queue {

/// See local_queue.h. Calls are in submit.cc, claim.cc, endings.cc, edit.cc, query.cc, explain.cc,
/// batches.cc and lifecycle.cc; the changes of state that they share are in transitions.cc, lines
/// of batches in lines.cc, what time does in timers.cc, and what becomes of ended tasks in
/// retention.cc.
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
  Awaitable<base::Result<model::TaskId>> SubmitBatch(BatchPlan plan) override;
  std::vector<uint64_t> LinesWithoutResult(model::BatchId batch, std::optional<uint64_t> after,
                                           uint32_t limit) const override;
  Awaitable<base::Result<>> ForgetBatch(model::BatchId batch) override;
  Awaitable<base::Result<>> EditBatch(BatchEdit edit) override;
  Awaitable<base::Result<>> SetPaused(PauseTarget target, bool paused) override;
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
  Awaitable<base::Result<model::Outcome>> GetPast(model::TaskId id,
                                                  model::Generation generation) override;
  Awaitable<base::Result<Explanation>> Explain(model::TaskId id) override;
  Awaitable<base::Result<std::vector<model::TaskRecord>>> Query(QueryRequest request) override;
  QueueStats Stats(const TaskFilter& filter) const override;
  uint64_t Waiting(const std::string& lane) const override;
  bool UsesBlob(uint64_t blob) const override;
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
    NameId tenant = 0;
    model::BatchId batch;
    std::optional<model::State> from;
    std::optional<model::State> to;
    uint64_t count = 1;
  };
  // What a tenant has in the queue, without lines of batches.
  struct Usage {
    uint64_t tasks = 0;
    uint64_t bytes = 0;
  };
  // A line that ended a short while ago, for claimers that tell it twice.
  struct RecentEnding {
    model::Fence fence;
    model::State state = model::State::kSucceeded;
    Group change = 0;
    uint64_t finish_sequence = 0;
  };
  // One spec of a Submit, after validation: the task that it means.
  struct Slot {
    model::TaskId existing;         // an earlier task with the same key
    std::optional<size_t> same_as;  // an earlier spec of this call with the same key
    bool fresh() const { return !existing && !same_as; }
  };
  // A Claim that waits for work.
  struct Waiter {
    const ClaimRequest& request;
    runtime::Event event;
    bool woken = false;

    bool Serves(const std::string& lane, bool interactive) const {
      if (request.interactive_only && !interactive) return false;
      return std::ranges::find(request.lanes, lane) != request.lanes.end();
    }
    void Wake() {
      woken = true;
      event.NotifyAll();
    }
  };
  struct Recovered;  // what Open reads

  // --- lifecycle.cc
  base::Result<> Ready() const;
  void Adopt(Recovered& recovered);
  void AdoptRecords(Recovered& recovered);
  void AdoptTask(Task& task);
  void AdoptBatch(BatchRow stored, LineStates states);
  void AdoptLease(Task& task);
  bool FailForLostLine(Task& task);
  bool EndedByRecovery(model::TaskId id) const;
  ChangeSet Collect();
  void CollectTask(Task& task, ChangeSet& changes);
  void CollectTenantTimes(ChangeSet& changes);
  Meta CurrentMeta() const;
  void CollectBatches(ChangeSet& changes);
  void ApplyDeltas();
  template <class Fn>
  auto WhileAlive(Fn fn);
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
  void EndChildren(model::TaskId id, model::State state);
  void FailForParent(Task& child, model::TaskId parent, model::State state);
  std::optional<model::State> KnownState(model::TaskId id) const;
  void Use(const Task& task);
  void Unuse(const Task& task);
  void UseBlob(uint64_t blob);
  void UnuseBlob(uint64_t blob);
  void ParentEnded(Task& child);
  void WaitForParents(Task& task);
  void StopWaitingForParents(Task& task);
  int ContributionOf(const Task& child) const;
  void AddContribution(const Task& child, int points);
  std::optional<std::pair<model::TaskId, model::State>> ParentThatForbids(const Task& task) const;
  static bool Forbids(const Task& child, model::State parent);
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
  base::Result<> CheckRoom(const std::vector<model::TaskSpec>& specs,
                           const std::vector<Slot>& slots) const;
  std::chrono::milliseconds RetryAfter(uint64_t excess) const;
  std::vector<model::TaskId> Apply(std::vector<model::TaskSpec> specs,
                                   const std::vector<Slot>& slots);
  void AddTask(Task& task, model::TaskSpec spec);
  void Admit(Task& task);

  // --- batches.cc
  base::Result<> CheckPlan(const BatchPlan& plan) const;
  LineBatch& AddBatch(BatchRow row);
  void BatchChanged(LineBatch& batch, Wait wait);
  LineBatch* FindBatch(model::BatchId id) const;
  void CutBatch(LineBatch& batch, model::State to, std::string message, bool running_too);
  void CutWaiting(LineBatch& batch, Task& task, model::State to);
  bool MatchesBatch(const LineBatch& batch, const TaskFilter& filter) const;
  std::vector<model::TaskId> OwnTasks(model::BatchId id) const;
  base::Result<> CheckOver(model::BatchId id) const;
  Group NewestChange(model::BatchId id) const;
  void DropBatch(LineBatch& batch);
  void EditLines(LineBatch& batch);

  // --- lines.cc
  LineBatch* BatchAt(model::TaskId id) const;
  LineCursor* CursorOf(LineBatch& batch, NameId lane);
  void ReadAhead(LineBatch& batch, LineCursor& cursor);
  void ReadAheadAll(LineBatch& batch);
  void TakeLines(model::BatchId id, NameId lane, uint64_t first,
                 base::Result<std::vector<LineInfo>> lines);
  void IndexFailed(LineBatch& batch, LineCursor& cursor, const base::Error& error);
  uint32_t WindowOf(const LineBatch& batch, const LineCursor& cursor) const;
  std::optional<base::Micros> PaceOf(const LineBatch& batch) const;
  Task& MakeLine(LineBatch& batch, uint64_t line, const LineInfo& info);
  void LeaveWindow(Task& task);
  bool RowSaysMore(const Task& task) const;
  std::optional<std::pair<model::State, std::string>> CutOf(const Task& task) const;
  void RetireLine(Task& task);
  void DropLine(Task& task);
  Awaitable<base::Result<>> Summon(std::vector<model::TaskId> ids);
  void Dismiss(const std::vector<model::TaskId>& ids);
  void DismissLine(Task& task);
  Awaitable<base::Result<std::vector<model::TaskRecord>>> ReadRecords(model::BatchId batch,
                                                                      std::vector<uint64_t> lines,
                                                                      std::vector<LineRow> rows);
  Awaitable<base::Result<model::TaskRecord>> GetLine(model::BatchId batch, uint64_t line);
  model::TaskSpec SpecOf(const Task& task) const;
  model::TaskRecord RecordOf(const Task& task) const;

  // --- retention.cc
  void Retain(const Task& task);
  bool IsOver() const;
  void LookAtEnded(base::Micros at_the_earliest);
  void DropEnded();
  bool Droppable(const Task& task) const;
  void DropTask(Task& task);

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
  bool ToldTwice(const TaskRef& ref, model::State state, Group& group) const;
  base::Result<> CompleteOne(const Completion& completion, Group& group);
  base::Result<> FailOne(Failure& failure, Group& group);
  void LearnRunTime(const Task& task);
  void Crashed(Task& task, Failure& failure);
  void Retry(Task& task);
  base::Micros Backoff(uint32_t attempts);
  base::Result<> ReleaseOne(const TaskRef& ref, Group& group);

  // --- explain.cc
  void ExplainBlocked(const Task& task, Explanation& why) const;
  void ExplainQueued(const Task& task, Explanation& why) const;
  std::optional<base::WallTime> ExpectedStart(const Task& task, uint64_t ahead) const;

  // --- edit.cc
  base::Result<> CancelOne(model::TaskId id, Group& group);
  void ApplyPause(const PauseRow& row, bool paused);
  bool IsPaused(model::BatchId batch) const;
  uint64_t CutBatches(const TaskFilter& filter, Group& durable);
  uint64_t PassLines(model::TaskId id) const;
  base::Result<> RequeueOne(model::TaskId id);
  void Revive(Task& task);
  void DropExpiry(LineBatch& batch);
  base::Result<> CheckLanes(const TaskFilter& filter) const;
  base::Result<model::Version> EditOne(const EditRequest& request, Group& group);

  // --- query.cc
  Awaitable<base::Result<>> Settled(Group change);
  bool Matches(const Task& task, const TaskFilter& filter) const;
  const TaskGroup* GroupOf(const TaskFilter& filter) const;
  model::TaskId NextById(const TaskGroup& group, uint64_t& cursor) const;
  const Task* NextByFinish(const TaskGroup& group, uint64_t& cursor) const;
  Awaitable<base::Result<std::vector<model::TaskRecord>>> QueryById(QueryRequest request);
  Awaitable<base::Result<std::vector<model::TaskRecord>>> QueryByFinish(QueryRequest request);
  Awaitable<base::Result<std::vector<model::TaskRecord>>> QueryLines(QueryRequest request);

  // --- timers.cc
  void ArmTimer();
  void OnTimer();
  size_t ExpireLeases(size_t limit);
  size_t WakeBlocked(size_t limit);
  size_t ExpireTasks(size_t limit);
  size_t ExpireBatches(size_t limit);
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
  RateMeter endings_;
  std::unordered_map<NameId, RateMeter> token_rates_;  // by tenant: what it used
  std::unordered_map<NameId, base::Micros> mean_run_;  // by lane

  std::unordered_map<model::BatchId, std::unique_ptr<LineBatch>> batches_;
  std::map<uint64_t, LineBatch*> batches_by_id_;  // by the sequence of the first line's id
  uint64_t open_lines_ = 0;
  std::unordered_map<model::TaskId, RecentEnding> recent_;
  std::deque<model::TaskId> recent_order_;
  std::unordered_map<NameId, Usage> usage_;  // of live tasks
  Usage used_;                               // of all tenants
  std::unordered_map<uint64_t, uint64_t> blob_uses_;
  std::deque<Finish> retained_;  // ended tasks of their own, oldest first
  uint64_t retained_bytes_ = 0;
  std::set<PauseRow> pauses_;
  std::shared_ptr<JournalReader> reader_;  // on runtime::kReadLane

  // What the next group commits.
  std::vector<model::TaskId> dirty_;
  std::vector<KeyRow> new_keys_;
  std::vector<std::pair<std::string, std::string>> old_keys_;
  std::vector<model::BatchId> dirty_batches_;
  std::vector<BatchRow> forgotten_;
  std::vector<LineRow> ended_lines_;
  std::vector<std::pair<model::BatchId, uint64_t>> revived_lines_;
  std::vector<model::TaskId> dropped_tasks_;
  std::vector<PastRow> past_;
  std::vector<PauseRow> new_pauses_;
  std::vector<PauseRow> old_pauses_;
  bool charged_ = false;                        // virtual times moved
  std::map<std::string, double> stored_times_;  // as on disk
  Meta stored_meta_;
  std::vector<Delta> deltas_;  // of the group that gathers
  std::vector<Delta> deltas_in_flight_;

  DueSet<base::SteadyTime> lease_due_;
  DueSet<base::WallTime> wake_due_;
  DueSet<base::WallTime> expiry_due_;
  DueSet<base::WallTime> batch_expiry_due_;  // by the id of its first line
  DueSet<base::WallTime> retention_due_;     // one entry: when the oldest ending is too old
  runtime::Runtime::TimerId timer_ = 0;
  runtime::Runtime::TimerId charge_timer_ = 0;  // writes what ephemeral tasks were charged
  base::SteadyTime timer_at_;
  std::list<Waiter*> waiters_;  // oldest first
  runtime::Event closed_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

// Readers may stop here.

// Posted work may run after we are gone.
template <class Fn>
auto LocalQueue::WhileAlive(Fn fn) {
  return [alive = std::weak_ptr(alive_), fn = std::move(fn)](auto&&... args) mutable {
    if (!alive.expired()) fn(std::forward<decltype(args)>(args)...);
  };
}

}  // namespace inferq::queue
