// What clients and operators change: Cancel, Requeue, Edit, SetTenant.

#include <algorithm>

#include "queue/local/local_queue_impl.h"
#include "queue/local/spec_check.h"

namespace inferq::queue {

using base::Code;
using model::State;
using model::TaskId;

namespace {

// Tasks looked at in one go before others get the strand.
constexpr size_t kTasksPerTurn = 4096;

std::unexpected<base::Error> Unknown(TaskId id) {
  return base::Fail(Code::kNotFound, "{} does not exist", ToString(id));
}

}  // namespace

Awaitable<std::vector<base::Result<>>> LocalQueue::Cancel(std::vector<TaskId> tasks) {
  if (auto ready = Ready(); !ready) co_return Items(tasks.size(), ready);
  if (auto summoned = co_await Summon(tasks); !summoned) {
    Dismiss(tasks);
    co_return Items(tasks.size(), summoned);
  }
  Items items;
  Group group = 0;
  for (TaskId id : tasks) items.push_back(CancelOne(id, group));
  Dismiss(tasks);
  co_return co_await Acknowledge(std::move(items), group);
}

// The fence stays, so that the worker's next Renew is answered with the reason.
base::Result<> LocalQueue::CancelOne(TaskId id, Group& group) {
  Task* task = tasks_.Find(id);
  auto known = KnownState(id);
  if (!known) return Unknown(id);
  if (known == State::kCancelled) {
    group = std::max(group, task == nullptr ? BatchAt(id)->change : task->change);
    return {};
  }
  if (task == nullptr) {  // a line that ended with its batch
    return base::Fail(Code::kFailedPrecondition, "{} has ended as {}", ToString(id),
                      StateName(*known));
  }
  if (IsTerminal(task->state)) {
    return base::Fail(Code::kFailedPrecondition, "{} has ended as {}", ToString(id),
                      StateName(task->state));
  }
  JoinGroup(*task, group);
  if (task->lease) EndLease(*task, Owes::kCharge);
  End(*task, State::kCancelled, Code::kCancelled, "cancelled by request");
  return {};
}

Awaitable<base::Result<uint64_t>> LocalQueue::CancelWhere(TaskFilter filter) {
  INFERQ_CO_TRY(Ready());
  const TaskGroup* group = GroupOf(filter);
  if (group == nullptr) co_return 0;
  TaskId last =
      model::MakeTaskId(options_.shard, tasks_.last_sequence());  // not those that come meanwhile
  Group durable = 0;
  INFERQ_CO_TRY(CheckLanes(filter));
  uint64_t cancelled = CutBatches(filter, durable);
  uint64_t cursor = 0;
  for (size_t seen = 1;; ++seen) {
    TaskId id = NextById(*group, cursor);
    if (!id || id > last) break;
    const Task* task = tasks_.Find(id);
    if (task == nullptr || (filter.single && task->is_line)) {  // a line: so are many behind it
      cursor = filter.single ? BatchAt(id)->last().value : PassLines(id);
      continue;
    }
    if (Matches(*task, filter) && !IsTerminal(task->state)) {
      if (CancelOne(task->id, durable)) ++cancelled;
    }
    if (seen % kTasksPerTurn == 0) {
      co_await runtime_.Yield();
      INFERQ_CO_TRY(Ready());
      group = GroupOf(filter);
      if (group == nullptr) break;
    }
  }
  INFERQ_CO_TRY(co_await Durable(durable));
  co_return cancelled;
}

// One record cannot end the lines of one lane.
base::Result<> LocalQueue::CheckLanes(const TaskFilter& filter) const {
  if (!filter.lane) return {};
  for (const auto& [id, batch] : batches_) {
    bool over = batch->row.cut || batch->all_ended();
    if (over || !MatchesBatch(*batch, filter) || batch->row.plan.lanes.size() == 1) continue;
    return std::unexpected(WrongField(
        "lane", fmt::format("is one of several of {}: cancel that as a whole", ToString(id))));
  }
  return {};
}

// The batches of lines that a filter means, as far as it means lines that have no task.
uint64_t LocalQueue::CutBatches(const TaskFilter& filter, Group& durable) {
  if (filter.state && filter.state != State::kQueued) return 0;
  uint64_t cancelled = 0;
  for (auto& [id, batch] : batches_) {
    if (!MatchesBatch(*batch, filter) || batch->all_ended() || batch->row.cut) continue;
    uint64_t tasks = batch->tasks;
    uint64_t open = batch->open();
    CutBatch(*batch, State::kCancelled, "cancelled by request", !filter.state);
    cancelled += open - (filter.state ? std::min(tasks, batch->tasks) : 0);
    durable = std::max(durable, batch->change);
  }
  return cancelled;
}

// The last id that can be passed over, from a line on that has no task.
uint64_t LocalQueue::PassLines(TaskId id) const {
  const LineBatch* batch = BatchAt(id);
  if (batch == nullptr) return id.value;
  TaskId next = tasks_.NextFrom(id, batch->last());
  return next ? next.value - 1 : batch->last().value;
}

Awaitable<std::vector<base::Result<>>> LocalQueue::Requeue(std::vector<TaskId> tasks) {
  if (auto ready = Ready(); !ready) co_return Items(tasks.size(), ready);
  if (auto summoned = co_await Summon(tasks); !summoned) {
    Dismiss(tasks);
    co_return Items(tasks.size(), summoned);
  }
  Items items;
  for (TaskId id : tasks) items.push_back(RequeueOne(id));
  Dismiss(tasks);
  Group group = std::ranges::any_of(items, &base::Result<>::has_value) ? commits_->current() : 0;
  ArmTimer();
  co_return co_await Acknowledge(std::move(items), group);
}

// Back to live, as if submitted now under the same id: blocked where parents are live again.
base::Result<> LocalQueue::RequeueOne(TaskId id) {
  Task* task = tasks_.Find(id);
  if (!KnownState(id)) return Unknown(id);
  if (task == nullptr || CutOf(*task)) {
    return base::Fail(Code::kFailedPrecondition, "{} ended with its batch, which is over",
                      ToString(id));
  }
  if (!CanRequeue(task->state)) {
    return base::Fail(Code::kFailedPrecondition, "{} is live ({})", ToString(id),
                      StateName(task->state));
  }
  if (auto parent = ParentThatForbids(*task)) {
    return base::Fail(Code::kFailedPrecondition,
                      "{} cannot run: its parent {} ended as {}; requeue that first", ToString(id),
                      ToString(parent->first), StateName(parent->second));
  }
  if (!task->is_line && live_ >= options_.room.tasks) {
    return std::unexpected(
        base::Error(Code::kResourceExhausted, "the queue is full").WithRetryAfter(RetryAfter(1)));
  }
  Revive(*task);
  for (TaskId child_id :
       dependents_.ChildrenOf(id)) {  // those wait for other parents and now again for this
    Task& child = *tasks_.Find(child_id);
    int before = ContributionOf(child);
    ++child.extra->unfinished_parents;
    AddContribution(child, ContributionOf(child) - before);
  }
  WaitForParents(*task);
  if (task->UnfinishedParents() == 0) TryUnblock(*task, Wait::kAwaited);
  return {};
}

// A new generation, blocked for now. What is past cannot hold it up: an expiry that has passed is
// dropped.
void LocalQueue::Revive(Task& task) {
  State from = task.state;
  past_.push_back(
      {.id = task.id,
       .generation = task.generation,
       .outcome = {task.code, task.extra ? task.extra->message : std::string(), task.result}});
  if (task.is_line) {
    LineBatch& batch = *FindBatch(task.batch);
    if (batch.all_ended()) DropExpiry(batch);
    revived_lines_.emplace_back(task.batch, task.finish_sequence);
    batch.states.Clear(task.line - batch.row.plan.first_line);
    ++open_lines_;
    recent_.erase(task.id);
  } else {
    retained_bytes_ -= task.batch ? 0 : task.payload.length + task.result.length;
    ++live_;
    Use(task);
  }
  task.state = State::kBlocked;
  ++task.version;
  ++task.generation;
  task.attempts = 0;
  task.crashes = 0;
  task.suspect = false;
  task.code = Code::kInternal;
  task.result = {};  // the blob stays in use, by the past generation
  task.ended = {};
  if (task.extra) task.extra->message.clear();
  task.finish_sequence = 0;
  task.eligible = std::max(task.eligible, WallNow());
  uint8_t what = kDirtyState;
  if (task.expires_at && *task.expires_at <= WallNow()) {
    task.expires_at = {};
    what |= kDirtySpec;
  }
  if (task.expires_at) expiry_due_.Add(*task.expires_at, task.id);
  Changed(task, what, Wait::kAwaited);
  Count(task, from, true);
}

// The time that has passed for a batch does not count for what is run anew.
void LocalQueue::DropExpiry(LineBatch& batch) {
  auto& expires = batch.row.plan.expires_at;
  if (!expires || *expires > WallNow()) return;
  batch_expiry_due_.Remove(*expires, batch.row.first);
  expires.reset();
  BatchChanged(batch, Wait::kAwaited);
}

Awaitable<base::Result<model::Version>> LocalQueue::Edit(EditRequest request) {
  INFERQ_CO_TRY(Ready());
  std::vector<TaskId> ids{request.id};
  INFERQ_CO_TRY(co_await Summon(ids));
  Group group = 0;
  auto edited = EditOne(request, group);
  Dismiss(ids);
  INFERQ_CO_ASSIGN(model::Version version, std::move(edited));
  INFERQ_CO_TRY(co_await Durable(group));
  co_return version;
}

base::Result<model::Version> LocalQueue::EditOne(const EditRequest& request, Group& group) {
  Task* task = tasks_.Find(request.id);
  auto known = KnownState(request.id);
  if (!known) return Unknown(request.id);
  if (task == nullptr) {  // a line that ended with its batch
    return base::Fail(Code::kFailedPrecondition, "{} has ended as {}", ToString(request.id),
                      StateName(*known));
  }
  if (request.if_version && *request.if_version != task->version) {
    return base::Fail(Code::kFailedPrecondition, "{} has version {}, not {}", ToString(task->id),
                      task->version, *request.if_version);
  }
  if (IsTerminal(task->state)) {
    return base::Fail(Code::kFailedPrecondition, "{} has ended as {}", ToString(task->id),
                      StateName(task->state));
  }
  int priority = request.priority.value_or(task->priority);
  INFERQ_TRY(CheckPriority(priority));
  if (request.deadline) INFERQ_TRY(CheckTime("deadline", *request.deadline, base::WallTime::min()));
  task->priority = static_cast<int16_t>(priority);
  if (request.deadline) task->deadline = *request.deadline;
  task->edited = true;
  ++task->version;
  JoinGroup(*task, group);
  Changed(*task, kDirtySpec | kDirtyState, Wait::kAwaited);
  if (task->state == State::kQueued) scheduler_->Edit(task->id, KeyOf(*task), task->deadline);
  return task->version;
}

Awaitable<base::Result<>> LocalQueue::SetPaused(PauseTarget target, bool paused) {
  INFERQ_CO_TRY(Ready());
  bool of_batch = target.kind == PauseTarget::Kind::kBatch;
  if (of_batch && FindBatch(target.batch) == nullptr)
    co_return base::Fail(Code::kNotFound, "{} does not exist", ToString(target.batch));
  PauseRow row{.kind = static_cast<uint8_t>(target.kind),
               .name = of_batch ? ToString(target.batch) : target.name};
  if (target.kind == PauseTarget::Kind::kTenant) INFERQ_CO_TRY(CheckTenantName(row.name));
  if (target.kind == PauseTarget::Kind::kLane) INFERQ_CO_TRY(CheckLaneName(row.name));
  Group group = commits_->current();
  (paused ? new_pauses_ : old_pauses_).push_back(row);
  std::erase(paused ? old_pauses_ : new_pauses_, row);
  paused ? (void)pauses_.insert(row) : (void)pauses_.erase(row);
  ApplyPause(row, paused);
  if (!paused) WakeAllClaims();
  commits_->Request();
  co_return co_await Durable(group);
}

// Tells the scheduler.
void LocalQueue::ApplyPause(const PauseRow& row, bool paused) {
  switch (static_cast<PauseTarget::Kind>(row.kind)) {
    case PauseTarget::Kind::kTenant:
      return scheduler_->PauseTenant(row.name, paused);
    case PauseTarget::Kind::kLane:
      return scheduler_->PauseLane(row.name, paused);
    case PauseTarget::Kind::kBatch:
      if (auto batch = model::ParseBatchId(row.name)) scheduler_->PauseBatch(*batch, paused);
  }
}

bool LocalQueue::IsPaused(model::BatchId batch) const {
  return pauses_.contains(
      {.kind = static_cast<uint8_t>(PauseTarget::Kind::kBatch), .name = ToString(batch)});
}

void LocalQueue::SetTenant(const std::string& tenant, sched::TenantPolicy policy) {
  options_.tenants.insert_or_assign(tenant, policy);
  scheduler_->SetTenant(tenant, policy);
  WakeAllClaims();  // its cap may have risen
}

}  // namespace inferq::queue
