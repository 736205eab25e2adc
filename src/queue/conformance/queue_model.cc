#include "queue/conformance/queue_model.h"

#include <algorithm>
#include <cmath>

namespace inferq::queue {

using base::Code;
using model::State;
using model::TaskId;
using model::TaskSpec;

QueueModel::Task* QueueModel::Find(TaskId id) {
  auto found = tasks_.find(id);
  return found == tasks_.end() ? nullptr : &found->second;
}

QueueModel::Task* QueueModel::Holding(const TaskRef& ref) {
  Task* task = Find(ref.id);
  return task && task->fence == ref.fence && HasLease(task->state) ? task : nullptr;
}

void QueueModel::Move(Task& task, State to) {
  task.state = to;
  ++task.version;
}

// --- submission

std::pair<QueueModel::Code, std::vector<TaskId>> QueueModel::Submit(std::vector<TaskSpec> specs,
                                                                    TaskId next_id) {
  std::vector<TaskId> ids;
  std::map<std::string, TaskId> keys = keys_;
  std::vector<std::pair<TaskId, TaskSpec>> added;
  for (const TaskSpec& spec : specs) {
    auto holder = keys.find(spec.idempotency_key);
    if (spec.idempotency_key.empty() || holder == keys.end()) {
      ids.push_back(next_id);
      if (!spec.idempotency_key.empty()) keys[spec.idempotency_key] = next_id;
      added.emplace_back(next_id, spec);
      next_id = TaskId{next_id.value + 1};
      continue;
    }
    ids.push_back(holder->second);
    Task* known = Find(holder->second);
    auto same = std::ranges::find(added, holder->second, &std::pair<TaskId, TaskSpec>::first);
    uint64_t content = known ? known->spec.content_hash : same->second.content_hash;
    if (content != spec.content_hash) return {base::Code::kAlreadyExists, {}};
  }
  keys_ = keys;
  for (auto& [id, spec] : added) {
    for (TaskId& parent : spec.parents) {
      if (auto index = IndexInThisCall(parent)) parent = ids[*index];
    }
    std::set<TaskId> seen;
    std::erase_if(spec.parents, [&seen](TaskId parent) { return !seen.insert(parent).second; });
    Task task{.spec = spec, .fence = {}, .eligible = now_, .retry_at = {}, .lease_ends = {}};
    if (spec.not_before) task.eligible = std::max(now_, *spec.not_before);
    tasks_.emplace(id, std::move(task));
  }
  for (auto& [id, spec] : added) WaitForParents(tasks_.at(id));
  for (auto& [id, spec] : added) {
    Task& task = tasks_.at(id);
    if (task.state != State::kBlocked) continue;
    if (AnyForbids(task)) {
      End(id, State::kFailed);
    } else if (!task.waits_for_parents) {
      LetGo(task);
    }
  }
  for (auto& [id, spec] : added) tasks_.at(id).version = 1;
  return {std::nullopt, ids};
}

// --- parents and children

size_t QueueModel::Unfinished(const Task& task) {
  if (!task.waits_for_parents) return 0;
  return static_cast<size_t>(
      std::ranges::count_if(task.spec.parents, [this](TaskId id) { return Live(id); }));
}

void QueueModel::WaitForParents(Task& task) {
  task.waits_for_parents = true;
  task.waits_for_parents = Unfinished(task) > 0;
}

bool QueueModel::Forbids(const Task& child, const Task& parent) const {
  return child.spec.parent_policy == model::ParentPolicy::kAllSucceeded &&
         IsTerminal(parent.state) && parent.state != State::kSucceeded;
}

bool QueueModel::AnyForbids(const Task& child) {
  return std::ranges::any_of(child.spec.parents,
                             [&](TaskId id) { return Forbids(child, tasks_.at(id)); });
}

void QueueModel::EndOne(Task& task, State to) {
  task.waits_for_parents = false;
  task.retry_at = {};
  task.finish = ++endings_;
  Move(task, to);
}

void QueueModel::End(TaskId id, State to) {
  EndOne(tasks_.at(id), to);
  EndChildren(id);
}

// Those who wait for it, and if that ends them, those who wait for them.
void QueueModel::EndChildren(TaskId id) {
  std::vector<TaskId> ended = {id};
  for (size_t i = 0; i < ended.size(); ++i) {
    for (auto& [child_id, child] : tasks_) {
      bool waits = child.waits_for_parents &&
                   std::ranges::find(child.spec.parents, ended[i]) != child.spec.parents.end();
      if (!waits) continue;
      if (Forbids(child, tasks_.at(ended[i]))) {
        EndOne(child, State::kFailed);
        ended.push_back(child_id);
      } else if (Unfinished(child) == 0) {
        child.waits_for_parents = false;
        child.eligible = std::max(child.eligible, now_);
        LetGo(child);
      }
    }
  }
}

std::optional<base::WallTime> QueueModel::WakeTime(const Task& task) {
  return std::max(task.retry_at, task.spec.not_before);  // one that is unset is the lesser
}

void QueueModel::LetGo(Task& task) {
  auto wake = WakeTime(task);
  if (wake && *wake > now_) return;  // blocked until then
  task.retry_at = {};
  Move(task, State::kQueued);
}

// --- who is next

int QueueModel::BoostOf(TaskId id) {
  int boost = 0;
  for (auto& [child_id, child] : tasks_) {
    if (!child.waits_for_parents) continue;
    if (std::ranges::find(child.spec.parents, id) == child.spec.parents.end()) continue;
    int parents = static_cast<int>(child.spec.parents.size());
    int others_done = parents - static_cast<int>(Unfinished(child));
    boost += rules_.boost_per_child * (others_done + 1) / parents;
  }
  return std::min(boost, rules_.order.boost_cap);
}

sched::Key QueueModel::KeyOf(TaskId id) {
  const Task& task = tasks_.at(id);
  return sched::MakeKey(task.eligible, task.spec.priority, BoostOf(id), rules_.order);
}

std::vector<TaskId> QueueModel::Pick(const std::set<std::string>& lanes, uint32_t most) {
  std::vector<std::pair<sched::Key, TaskId>> waiting;
  for (auto& [id, task] : tasks_) {
    if (task.state == State::kQueued && lanes.contains(task.spec.lane))
      waiting.emplace_back(KeyOf(id), id);
  }
  std::ranges::sort(waiting);
  std::vector<TaskId> picked;
  for (auto& [key, id] : waiting) {
    bool alone = tasks_.at(id).suspect;
    if (picked.size() == most || (alone && !picked.empty())) break;
    picked.push_back(id);
    if (alone) break;
  }
  return picked;
}

void QueueModel::Lease(TaskId id, model::Fence fence, base::Micros lease) {
  Task& task = tasks_.at(id);
  task.fence = fence;
  task.lease_ends = now_ + lease;
  Move(task, State::kLeased);
}

// --- workers

QueueModel::Code QueueModel::Start(const TaskRef& ref) {
  Task* task = Holding(ref);
  if (!task) return base::Code::kAborted;
  if (task->state == State::kRunning) return std::nullopt;
  ++task->attempts;
  Move(*task, State::kRunning);
  return std::nullopt;
}

RenewalReply QueueModel::Renew(const TaskRef& ref, base::Micros lease) {
  if (Task* task = Holding(ref)) {
    task->lease_ends = now_ + lease;
    return RenewalReply::kHeld;
  }
  Task* task = Find(ref.id);
  bool cancelled = task && task->state == State::kCancelled && task->fence == ref.fence;
  return cancelled ? RenewalReply::kCancelRequested : RenewalReply::kLost;
}

QueueModel::Code QueueModel::Complete(const TaskRef& ref, uint64_t result) {
  Task* known = Find(ref.id);
  if (known && known->state == State::kSucceeded && known->fence == ref.fence) return std::nullopt;
  Task* task = Holding(ref);
  if (!task) return base::Code::kAborted;
  if (task->state != State::kRunning) return base::Code::kFailedPrecondition;
  task->result = result;
  End(ref.id, State::kSucceeded);
  return std::nullopt;
}

QueueModel::Code QueueModel::Fail(const TaskRef& ref, bool retryable, bool crashed) {
  Task* known = Find(ref.id);
  if (known && known->state == State::kFailed && known->fence == ref.fence) return std::nullopt;
  Task* task = Holding(ref);
  if (!task) return base::Code::kAborted;
  if (crashed) {
    if (task->state == State::kRunning) {
      --task->attempts;
      if (task->suspect) ++task->crashes;
      task->suspect = true;
    }
    if (task->crashes == 3) {
      End(ref.id, State::kFailed);
    } else {
      Move(*task, State::kQueued);
    }
    return std::nullopt;
  }
  task->suspect = false;
  if (!retryable || task->attempts >= task->spec.max_attempts) {
    End(ref.id, State::kFailed);
    return std::nullopt;
  }
  double doublings = std::max(1u, task->attempts) - 1;
  auto backoff = static_cast<double>(rules_.first_backoff.count()) * std::exp2(doublings);
  task->retry_at = now_ + base::Micros(static_cast<int64_t>(backoff));
  Move(*task, State::kBlocked);
  return std::nullopt;
}

QueueModel::Code QueueModel::Release(const TaskRef& ref) {
  Task* task = Holding(ref);
  if (!task) return base::Code::kAborted;
  if (task->state == State::kRunning) --task->attempts;
  Move(*task, State::kQueued);
  return std::nullopt;
}

// --- clients and operators

QueueModel::Code QueueModel::Cancel(TaskId id) {
  Task* task = Find(id);
  if (!task) return base::Code::kNotFound;
  if (task->state == State::kCancelled) return std::nullopt;
  if (IsTerminal(task->state)) return base::Code::kFailedPrecondition;
  End(id, State::kCancelled);
  return std::nullopt;
}

QueueModel::Code QueueModel::Requeue(TaskId id) {
  Task* task = Find(id);
  if (!task) return base::Code::kNotFound;
  if (!IsTerminal(task->state) || AnyForbids(*task)) return base::Code::kFailedPrecondition;
  Move(*task, State::kBlocked);
  ++task->generation;
  task->attempts = task->crashes = 0;
  task->suspect = false;
  task->finish = task->result = 0;
  task->eligible = std::max(task->eligible, now_);
  if (task->spec.expires_at && *task->spec.expires_at <= now_) task->spec.expires_at = {};
  WaitForParents(*task);
  if (!task->waits_for_parents) LetGo(*task);
  return std::nullopt;
}

QueueModel::Code QueueModel::Edit(TaskId id, std::optional<model::Version> if_version,
                                  int priority) {
  Task* task = Find(id);
  if (!task) return base::Code::kNotFound;
  if (if_version && *if_version != task->version) return base::Code::kFailedPrecondition;
  if (IsTerminal(task->state)) return base::Code::kFailedPrecondition;
  task->spec.priority = priority;
  ++task->version;
  return std::nullopt;
}

// --- time and restarts

std::optional<base::WallTime> QueueModel::NextEvent() {
  std::optional<base::WallTime> next;
  auto consider = [&next](std::optional<base::WallTime> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  for (auto& [id, task] : tasks_) {
    if (IsTerminal(task.state)) continue;
    consider(task.spec.expires_at);
    if (HasLease(task.state)) consider(task.lease_ends);
    if (task.state == State::kBlocked && !task.waits_for_parents) consider(WakeTime(task));
  }
  return next;
}

void QueueModel::Advance(base::WallTime to) {
  for (auto next = NextEvent(); next && *next <= to; next = NextEvent()) {
    now_ = std::max(now_, *next);
    ExpireLeases();
    ExpireTasks();
    WakeBlocked();
  }
  now_ = to;
}

// Their starts count: the worker is taken for dead, the task is not to blame.
void QueueModel::ExpireLeases() {
  for (auto& [id, task] : tasks_) {
    if (!HasLease(task.state) || task.lease_ends > now_) continue;
    bool used_up = task.state == State::kRunning && task.attempts >= task.spec.max_attempts;
    if (used_up) {
      End(id, State::kFailed);
    } else {
      Move(task, State::kQueued);
    }
  }
}

void QueueModel::ExpireTasks() {
  for (auto& [id, task] : tasks_) {
    if (IsTerminal(task.state) || !task.spec.expires_at || *task.spec.expires_at > now_) continue;
    if (HasLease(task.state)) task.fence = {};  // a new one, that nobody has
    End(id, State::kExpired);
  }
}

void QueueModel::WakeBlocked() {
  for (auto& [id, task] : tasks_) {
    if (task.state == State::kBlocked && !task.waits_for_parents) LetGo(task);
  }
}

// Claims die with the process and cost nothing; what is blocked looks at its parents again.
void QueueModel::Restart() {
  for (auto& [id, task] : tasks_) {
    if (!HasLease(task.state)) continue;
    if (task.state == State::kRunning) --task.attempts;
    Move(task, State::kQueued);
  }
  for (auto& [id, task] : tasks_) {
    if (task.state != State::kBlocked) continue;
    if (!task.retry_at) WaitForParents(task);
    if (!task.waits_for_parents) LetGo(task);
  }
}

}  // namespace inferq::queue
