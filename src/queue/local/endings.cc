// Complete, Fail, Release: how a claim ends.

#include <algorithm>
#include <cmath>

#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using base::Code;
using model::State;

namespace {

constexpr uint32_t kMaxCrashesAlone = 3;
constexpr size_t kMaxMessageBytes = 4096;

std::string Shorten(std::string message) {
  if (message.size() > kMaxMessageBytes) message.resize(kMaxMessageBytes);
  return message;
}

}  // namespace

Awaitable<std::vector<base::Result<>>> LocalQueue::Complete(std::vector<Completion> completions) {
  if (auto ready = Ready(); !ready) co_return Items(completions.size(), ready);
  Items items;
  Group group = 0;
  for (const Completion& completion : completions) items.push_back(CompleteOne(completion, group));
  co_return co_await Acknowledge(std::move(items), group);
}

// Whether a line, which leaves no task behind, ended like this by the same claim a short while ago.
bool LocalQueue::ToldTwice(const TaskRef& ref, State state, Group& group) const {
  auto found = recent_.find(ref.id);
  bool same = found != recent_.end() && found->second.fence == ref.fence &&
              found->second.state == state && tasks_.Find(ref.id) == nullptr;
  if (same) group = std::max(group, found->second.change);
  return same;
}

base::Result<> LocalQueue::CompleteOne(const Completion& completion, Group& group) {
  const Task* known = tasks_.Find(completion.task.id);
  if (known && known->state == State::kSucceeded && known->fence == completion.task.fence) {
    group = std::max(group, known->change);  // told twice
    return {};
  }
  if (ToldTwice(completion.task, State::kSucceeded, group)) return {};
  INFERQ_ASSIGN(Task * task, Holding(completion.task));
  if (task->state != State::kRunning) {
    return base::Fail(Code::kFailedPrecondition, "{} was not started", ToString(task->id));
  }
  JoinGroup(*task, group);
  LearnRunTime(*task);
  EndLease(*task, Owes::kCharge, completion.cost);
  End(*task, State::kSucceeded, Code::kInternal, "", completion.result);
  return {};
}

// Keeps the lane's running mean of how long an attempt takes, for deadlines.
void LocalQueue::LearnRunTime(const Task& task) {
  base::Micros took = SteadyNow() - task.lease->started;
  auto [mean, is_new] = mean_run_.try_emplace(task.lane, took);
  if (!is_new) mean->second += (took - mean->second) / 16;
}

Awaitable<std::vector<base::Result<>>> LocalQueue::Fail(std::vector<Failure> failures) {
  if (auto ready = Ready(); !ready) co_return Items(failures.size(), ready);
  Items items;
  Group group = 0;
  for (Failure& failure : failures) items.push_back(FailOne(failure, group));
  ArmTimer();
  co_return co_await Acknowledge(std::move(items), group);
}

base::Result<> LocalQueue::FailOne(Failure& failure, Group& group) {
  const Task* known = tasks_.Find(failure.task.id);
  if (known && known->state == State::kFailed && known->fence == failure.task.fence) {
    group = std::max(group, known->change);  // told twice
    return {};
  }
  if (ToldTwice(failure.task, State::kFailed, group)) return {};
  INFERQ_ASSIGN(Task * task, Holding(failure.task));
  JoinGroup(*task, group);
  if (failure.crashed) {
    Crashed(*task, failure);
    return {};
  }
  EndLease(*task, Owes::kCharge);
  task->suspect = false;  // whatever went wrong, nothing crashed
  if (failure.retryable && task->attempts < task->max_attempts) {
    Retry(*task);
  } else {
    End(*task, State::kFailed, failure.error.code(), Shorten(failure.error.message()),
        failure.result);
  }
  return {};
}

// Only what was running can have caused it, and only what ran alone is known to have.
void LocalQueue::Crashed(Task& task, Failure& failure) {
  EndLease(task, Owes::kNothing);
  if (task.state == State::kRunning) {
    --task.attempts;
    if (task.suspect) ++task.crashes;
    task.suspect = true;
  }
  if (task.crashes < kMaxCrashesAlone) {
    Enqueue(task, Wait::kAwaited);
    return;
  }
  std::string message = fmt::format("dead letter: crashed {} times while it ran alone; last: {}",
                                    task.crashes, failure.error.message());
  End(task, State::kFailed, failure.error.code(), Shorten(std::move(message)), failure.result);
}

void LocalQueue::Retry(Task& task) {
  if (CutOf(task)) return Enqueue(task, Wait::kAwaited);  // ends it
  MoveTo(task, State::kBlocked, Wait::kAwaited);
  task.Extra().retry_at = WallNow() + Backoff(std::max<uint32_t>(1, task.attempts));
  TryUnblock(task, Wait::kAwaited);
}

// The wait before the next attempt, after so many.
base::Micros LocalQueue::Backoff(uint32_t attempts) {
  const RetryPolicy& policy = options_.retry;
  double wait =
      static_cast<double>(policy.initial.count()) * std::pow(policy.multiplier, attempts - 1);
  wait = std::min(wait, static_cast<double>(policy.max.count()));
  wait *= 1.0 - policy.jitter * rng_.Uniform();
  return base::Micros(static_cast<int64_t>(wait));
}

Awaitable<std::vector<base::Result<>>> LocalQueue::Release(std::vector<TaskRef> tasks) {
  if (auto ready = Ready(); !ready) co_return Items(tasks.size(), ready);
  Items items;
  Group group = 0;
  for (const TaskRef& ref : tasks) items.push_back(ReleaseOne(ref, group));
  co_return co_await Acknowledge(std::move(items), group);
}

base::Result<> LocalQueue::ReleaseOne(const TaskRef& ref, Group& group) {
  INFERQ_ASSIGN(Task * task, Holding(ref));
  JoinGroup(*task, group);
  if (task->state == State::kRunning) --task->attempts;
  EndLease(*task, Owes::kNothing);
  Enqueue(*task, Wait::kAwaited);
  return {};
}

}  // namespace inferq::queue
