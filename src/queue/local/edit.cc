// What clients and operators change: Cancel, Requeue, Edit, SetTenant.

#include <algorithm>

#include "queue/local/local_queue_impl.h"

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
  Items items;
  Group group = 0;
  for (TaskId id : tasks) items.push_back(CancelOne(id, group));
  co_return co_await Acknowledge(std::move(items), group);
}

// The fence stays, so that the worker's next Renew is answered with the reason.
base::Result<> LocalQueue::CancelOne(TaskId id, Group& group) {
  Task* task = tasks_.Find(id);
  if (task == nullptr) return Unknown(id);
  if (task->state == State::kCancelled) {
    group = std::max(group, task->change);
    return {};
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
  uint64_t cancelled = 0;
  Group durable = 0;
  uint64_t cursor = 0;
  for (size_t seen = 1;; ++seen) {
    const Task* task = NextById(*group, cursor);
    if (task == nullptr || task->id > last) break;
    if (Matches(*task, filter) && !IsTerminal(task->state)) {
      if (CancelOne(task->id, durable)) ++cancelled;
    }
    if (seen % kTasksPerTurn == 0) {
      co_await runtime_.Yield();
      INFERQ_CO_TRY(Ready());
    }
  }
  INFERQ_CO_TRY(co_await Durable(durable));
  co_return cancelled;
}

Awaitable<std::vector<base::Result<>>> LocalQueue::Requeue(std::vector<TaskId> tasks) {
  if (auto ready = Ready(); !ready) co_return Items(tasks.size(), ready);
  Items items;
  for (TaskId id : tasks) items.push_back(RequeueOne(id));
  Group group = std::ranges::any_of(items, &base::Result<>::has_value) ? commits_->current() : 0;
  ArmTimer();
  co_return co_await Acknowledge(std::move(items), group);
}

// Back to live, as if submitted now under the same id: blocked where parents are live again.
base::Result<> LocalQueue::RequeueOne(TaskId id) {
  Task* task = tasks_.Find(id);
  if (task == nullptr) return Unknown(id);
  if (!CanRequeue(task->state)) {
    return base::Fail(Code::kFailedPrecondition, "{} is live ({})", ToString(id),
                      StateName(task->state));
  }
  if (const Task* parent = ParentThatForbids(*task)) {
    return base::Fail(Code::kFailedPrecondition,
                      "{} cannot run: its parent {} ended as {}; requeue that first", ToString(id),
                      ToString(parent->id), StateName(parent->state));
  }
  INFERQ_TRY(CheckRoom(1, false));
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
  task.state = State::kBlocked;
  ++task.version;
  ++task.generation;
  task.attempts = 0;
  task.crashes = 0;
  task.suspect = false;
  task.code = Code::kInternal;
  task.result = {};
  if (task.extra) task.extra->message.clear();
  task.finish_sequence = 0;
  task.eligible = std::max(task.eligible, WallNow());
  uint8_t what = kDirtyState;
  if (task.expires_at && *task.expires_at <= WallNow()) {
    task.expires_at = {};
    what |= kDirtySpec;
  }
  if (task.expires_at) expiry_due_.Add(*task.expires_at, task.id);
  ++live_;
  Changed(task, what, Wait::kAwaited);
  Count(task, from, true);
}

Awaitable<base::Result<model::Version>> LocalQueue::Edit(EditRequest request) {
  INFERQ_CO_TRY(Ready());
  Group group = 0;
  INFERQ_CO_ASSIGN(model::Version version, EditOne(request, group));
  INFERQ_CO_TRY(co_await Durable(group));
  co_return version;
}

base::Result<model::Version> LocalQueue::EditOne(const EditRequest& request, Group& group) {
  Task* task = tasks_.Find(request.id);
  if (task == nullptr) return Unknown(request.id);
  if (request.if_version && *request.if_version != task->version) {
    return base::Fail(Code::kFailedPrecondition, "{} has version {}, not {}", ToString(task->id),
                      task->version, *request.if_version);
  }
  if (IsTerminal(task->state)) {
    return base::Fail(Code::kFailedPrecondition, "{} has ended as {}", ToString(task->id),
                      StateName(task->state));
  }
  int priority = request.priority.value_or(task->priority);
  if (priority < model::kMinPriority || priority > model::kMaxPriority) {
    return base::Fail(Code::kInvalidArgument, "priority must be in [{}, {}], not {}",
                      model::kMinPriority, model::kMaxPriority, priority);
  }
  task->priority = static_cast<int16_t>(priority);
  if (request.deadline) task->deadline = *request.deadline;
  ++task->version;
  JoinGroup(*task, group);
  Changed(*task, kDirtySpec | kDirtyState, Wait::kAwaited);
  if (task->state == State::kQueued) scheduler_->Edit(task->id, KeyOf(*task), task->deadline);
  return task->version;
}

void LocalQueue::SetTenant(const std::string& tenant, sched::TenantPolicy policy) {
  options_.tenants.insert_or_assign(tenant, policy);
  scheduler_->SetTenant(tenant, policy);
  WakeAllClaims();  // its cap may have risen
}

}  // namespace inferq::queue
