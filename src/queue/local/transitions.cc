// Every change of a task's state, and what follows from it.

#include <algorithm>

#include "base/check.h"
#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using model::State;
using model::TaskId;

// What ephemeral tasks are charged has no rows to ride with: it is written at least this often.
constexpr base::Micros kChargeLinger = std::chrono::seconds(1);

// Marks rows for the group that gathers. Ephemeral tasks have none; lines only when they say more
// than the file.
void LocalQueue::Changed(Task& task, uint8_t what, Wait wait) {
  if (task.ephemeral()) return;
  if (task.is_line && !task.has_row) {
    if (IsTerminal(task.state) || !RowSaysMore(task)) {
      what = 0;
      if (wait == Wait::kRides) return;
    } else {
      task.has_row = true;
      what |= kDirtySpec | kDirtyState;
    }
  }
  if (task.dirty == 0 && what != 0) dirty_.push_back(task.id);
  task.dirty |= what;
  if (wait == Wait::kAwaited) {
    task.change = commits_->current();
    commits_->Request();
  } else {
    commits_->Ride();
  }
}

// Makes the caller wait for the group that gathers, if the task has rows in it.
void LocalQueue::JoinGroup(const Task& task, Group& group) const {
  if (!task.ephemeral()) group = commits_->current();
}

// Its tenant's virtual time moved.
void LocalQueue::Charged(const Task& task) {
  charged_ = true;
  if (!task.ephemeral() || charge_timer_ != 0) return;
  charge_timer_ = runtime_.CallAt(SteadyNow() + kChargeLinger, [this] {
    charge_timer_ = 0;
    if (charged_ && healthy()) commits_->Request();
  });
}

// Counts at once, or when durable: then later counts of the task have to wait their turn too.
void LocalQueue::Count(const Task& task, std::optional<State> from, bool deferred) {
  if (task.ephemeral()) return;
  if (deferred) {
    deltas_.push_back({task.tenant, task.batch, from, task.state});
  } else {
    index_.Count(task.tenant, task.batch, from, task.state);
  }
}

void LocalQueue::MoveTo(Task& task, State to, Wait wait) {
  INFERQ_CHECK(model::CanMove(task.state, to));
  State from = task.state;
  task.state = to;
  ++task.version;
  bool deferred = IsTerminal(to) || task.change > commits_->durable();
  Count(task, from, deferred);
  if (deferred) JoinGroup(task, task.change);
  Changed(task, kDirtyState, wait);
}

// A line whose batch is over ends instead, and is gone then.
void LocalQueue::Enqueue(Task& task, Wait wait) {
  if (auto cut = CutOf(task)) {
    return End(task, cut->first, base::Code::kCancelled, std::move(cut->second));
  }
  MoveTo(task, State::kQueued, wait);
  scheduler_->Add(EntryOf(task));
  WakeClaims(LaneName(task), task.interactive);
}

// Lets a blocked task without unfinished parents go on, now or when its time comes.
void LocalQueue::TryUnblock(Task& task, Wait wait) {
  auto wake = task.WakeTime();
  if (wake && *wake > WallNow()) {
    wake_due_.Add(*wake, task.id);
    ArmTimer();
    return;
  }
  if (task.extra) task.extra->retry_at = {};
  Enqueue(task, wait);
}

void LocalQueue::EndLease(Task& task, Owes owes, model::TokenCount actual) {
  lease_due_.Remove(task.lease->expires, task.id);
  task.lease.reset();
  const std::string& tenant = TenantName(task);
  model::TokenCount charged = EntryOf(task).cost;
  if (owes == Owes::kCharge) {
    model::TokenCount cost = actual == 0 ? charged : actual;
    scheduler_->Settle(tenant, charged, cost);
    token_rates_[task.tenant].Add(SteadyNow(), static_cast<double>(cost));
  } else {
    scheduler_->Refund(tenant, charged);
  }
  Charged(task);
  if (options_.tenants.contains(tenant)) WakeAllClaims();  // it may have been at its cap
}

// Takes the task out of what its state put it into.
void LocalQueue::LeaveState(Task& task) {
  INFERQ_CHECK(task.lease == nullptr);
  if (task.state == State::kQueued) {
    scheduler_->Remove(task.id);
  } else if (task.state == State::kBlocked) {
    if (task.UnfinishedParents() > 0) {
      StopWaitingForParents(task);
    } else if (auto wake = task.WakeTime()) {
      wake_due_.Remove(*wake, task.id);
    }
  }
}

void LocalQueue::EndOne(Task& task, State to, base::Code code, std::string message,
                        model::Extent result) {
  LeaveState(task);
  if (task.expires_at) expiry_due_.Remove(*task.expires_at, task.id);
  task.code = code;
  task.result = result;
  task.ended = WallNow();
  if (!message.empty()) task.Extra().message = std::move(message);
  if (task.extra) {
    task.extra->retry_at = {};
    if (!task.extra->checkpoint.empty()) {
      task.extra->checkpoint = {};
      Changed(task, kDirtyCheckpoint, Wait::kAwaited);
    }
  }
  if (!task.ephemeral()) task.finish_sequence = ++last_finish_;
  MoveTo(task, to, Wait::kAwaited);
  endings_.Add(SteadyNow(), 1);
  if (task.is_line) return;
  --live_;
  Unuse(task);
  if (task.ephemeral()) return;
  UseBlob(task.result.blob);
  index_.AddFinish(task.finish_sequence, task.id, task.tenant, task.batch);
  Retain(task);
}

// Ends a task without a lease, and tells those that wait for it. An ephemeral one and a line are
// gone then.
void LocalQueue::End(Task& task, State to, base::Code code, std::string message,
                     model::Extent result) {
  EndOne(task, to, code, std::move(message), result);
  if (task.ephemeral()) return tasks_.Forget(task.id);
  EndChildren(task.id, task.state);
  if (task.is_line) RetireLine(task);
}

// What a live task takes of its tenant's room.
void LocalQueue::Use(const Task& task) {
  for (Usage* usage : {&usage_[task.tenant], &used_}) {
    ++usage->tasks;
    usage->bytes += task.payload.length;
  }
}

void LocalQueue::Unuse(const Task& task) {
  for (Usage* usage : {&usage_[task.tenant], &used_}) {
    --usage->tasks;
    usage->bytes -= task.payload.length;
  }
}

void LocalQueue::UseBlob(uint64_t blob) {
  if (blob != 0) ++blob_uses_[blob];
}

void LocalQueue::UnuseBlob(uint64_t blob) {
  auto found = blob_uses_.find(blob);
  if (found != blob_uses_.end() && --found->second == 0) blob_uses_.erase(found);
}

bool LocalQueue::UsesBlob(uint64_t blob) const {
  if (blob_uses_.contains(blob)) return true;
  return std::ranges::any_of(batches_, [blob](const auto& entry) {
    const BatchRow& row = entry.second->row;
    return row.plan.input_blob == blob || row.plan.index_blob == blob ||
           std::ranges::find(row.results, blob) != row.results.end();
  });
}

// How a task or line is; nullopt: there is none (any more).
std::optional<State> LocalQueue::KnownState(TaskId id) const {
  if (const Task* task = tasks_.Find(id)) return task->state;
  const LineBatch* batch = BatchAt(id);
  if (batch == nullptr) return std::nullopt;
  if (auto own = batch->OwnEnding(batch->LineOf(id))) return own;
  return batch->row.cut.value_or(State::kQueued);
}

// Ends whoever may not run because of a task that ended, and so on; lets the others go on.
void LocalQueue::EndChildren(TaskId id, State state) {
  std::vector<std::pair<TaskId, State>> ended = {{id, state}};
  for (size_t i = 0; i < ended.size(); ++i) {
    auto [parent, ending] = ended[i];
    for (TaskId child_id : dependents_.ChildrenOf(parent)) {
      Task& child = *tasks_.Find(child_id);
      if (Forbids(child, ending)) {
        FailForParent(child, parent, ending);
        ended.emplace_back(child_id, child.state);
      } else {
        ParentEnded(child);
      }
    }
  }
}

void LocalQueue::FailForParent(Task& child, TaskId parent, State state) {
  EndOne(child, State::kFailed, base::Code::kFailedPrecondition,
         fmt::format("parent {} ended as {}", ToString(parent), StateName(state)), {});
}

// One parent less to wait for.
void LocalQueue::ParentEnded(Task& child) {
  if (child.UnfinishedParents() > 1) {
    int before = ContributionOf(child);
    --child.extra->unfinished_parents;
    AddContribution(child, ContributionOf(child) - before);
    return;
  }
  StopWaitingForParents(child);
  child.eligible = std::max(child.eligible, WallNow());
  Changed(child, kDirtyState, Wait::kAwaited);
  TryUnblock(child, Wait::kAwaited);
}

// Counts the task's live parents; while there are some it is listed under all of them.
void LocalQueue::WaitForParents(Task& task) {
  if (!task.extra) return;
  auto live = [this](TaskId parent) {
    auto state = KnownState(parent);
    return state && !IsTerminal(*state);
  };
  auto unfinished = static_cast<uint32_t>(std::ranges::count_if(task.extra->parents, live));
  task.extra->unfinished_parents = unfinished;
  if (unfinished == 0) return;
  dependents_.Add(task.id, task.extra->parents);
  AddContribution(task, ContributionOf(task));
}

void LocalQueue::StopWaitingForParents(Task& task) {
  AddContribution(task, -ContributionOf(task));
  dependents_.Remove(task.id, task.extra->parents);
  task.extra->unfinished_parents = 0;
}

// Points that a waiting child adds to each of its parents: all of them for the last one it waits
// for.
int LocalQueue::ContributionOf(const Task& child) const {
  if (child.UnfinishedParents() == 0) return 0;
  auto parents = static_cast<int64_t>(child.extra->parents.size());
  int64_t others_done = parents - child.UnfinishedParents();
  return static_cast<int>(options_.boost_per_child * (others_done + 1) / parents);
}

void LocalQueue::AddContribution(const Task& child, int points) {
  if (points == 0) return;
  for (TaskId id : child.extra->parents) {
    dependents_.AddBoost(id, points);
    const Task* parent = tasks_.Find(id);  // a line has its boost from when it is read ahead
    if (parent != nullptr && parent->state == State::kQueued)
      scheduler_->Edit(id, KeyOf(*parent), parent->deadline);
  }
}

// Whether a parent in this state keeps the child from ever running.
bool LocalQueue::Forbids(const Task& child, State parent) {
  return child.extra->parent_policy == model::ParentPolicy::kAllSucceeded && IsTerminal(parent) &&
         parent != State::kSucceeded;
}

// The first parent that does; one that is gone had ended well.
std::optional<std::pair<TaskId, State>> LocalQueue::ParentThatForbids(const Task& task) const {
  if (!task.extra) return std::nullopt;
  for (TaskId id : task.extra->parents) {
    auto state = KnownState(id);
    if (state && Forbids(task, *state)) return std::pair(id, *state);
  }
  return std::nullopt;
}

sched::Key LocalQueue::KeyOf(const Task& task) const {
  int boost = std::min(options_.order.boost_cap, dependents_.BoostOf(task.id));
  return sched::MakeKey(task.eligible, task.priority, boost, options_.order);
}

sched::Entry LocalQueue::EntryOf(const Task& task) const {
  sched::Entry entry;
  entry.id = task.id;
  entry.tenant = TenantName(task);
  entry.lane = LaneName(task);
  entry.key = KeyOf(task);
  entry.deadline = task.deadline;
  if (auto mean = mean_run_.find(task.lane); mean != mean_run_.end())
    entry.expected_run = mean->second;
  entry.cost = std::max<model::TokenCount>(1, task.cost);
  entry.locality = task.locality;
  entry.alone = task.suspect;
  entry.interactive = task.interactive;
  entry.batch = task.batch;
  return entry;
}

}  // namespace inferq::queue
