// Why a task is where it is.

#include <algorithm>

#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using base::Code;
using model::State;
using model::TaskId;

namespace {

constexpr size_t kMaxParentsNamed = 100;

}  // namespace

Awaitable<base::Result<Explanation>> LocalQueue::Explain(TaskId id) {
  INFERQ_CO_TRY(Ready());
  if (tasks_.Find(id) == nullptr) {
    std::vector<TaskId> ids{id};
    INFERQ_CO_TRY(co_await Summon(std::move(ids)));
  }
  const Task* task = tasks_.Find(id);
  if (task == nullptr) {
    auto state = KnownState(id);
    if (!state) co_return base::Fail(Code::kNotFound, "{} does not exist", ToString(id));
    Explanation over;
    over.state = *state;
    co_return over;
  }
  Explanation why;
  why.state = task->state;
  if (task->lease) why.worker = task->lease->worker;
  if (task->state == State::kBlocked) ExplainBlocked(*task, why);
  if (task->state == State::kQueued) ExplainQueued(*task, why);
  std::vector<TaskId> ids{id};
  Dismiss(ids);
  co_return why;
}

void LocalQueue::ExplainBlocked(const Task& task, Explanation& why) const {
  if (task.UnfinishedParents() > 0) {
    for (TaskId parent : task.extra->parents) {
      auto state = KnownState(parent);
      if (state && !IsTerminal(*state) && why.parents.size() < kMaxParentsNamed)
        why.parents.push_back(parent);
    }
    return;
  }
  std::optional<base::WallTime> wake = task.WakeTime();
  std::optional<base::WallTime> retry = task.extra ? task.extra->retry_at : OptionalTime();
  (retry && retry == wake ? why.retry_at : why.not_before) = wake;
}

void LocalQueue::ExplainQueued(const Task& task, Explanation& why) const {
  auto standing = scheduler_->Explain(task.id, WallNow());
  if (!standing) return;
  const std::string& lane = LaneName(task);
  why.tenant_paused = standing->tenant_paused;
  why.lane_paused = standing->lane_paused;
  why.batch_paused = standing->batch_paused;
  why.tenant_capped = standing->tenant_capped;
  why.throttled_until = standing->throttled_until;
  why.ahead = standing->ahead_in_lane;
  why.tenant_virtual_time = standing->tenant_virtual_time;
  why.least_virtual_time = standing->least_virtual_time;
  why.claims_waiting = static_cast<uint64_t>(std::ranges::count_if(
      waiters_, [&](const Waiter* waiter) { return waiter->Serves(lane, task.interactive); }));
  auto run = mean_run_.find(task.lane);
  why.bound =
      sched::WaitBound(options_.order, run == mean_run_.end() ? base::Micros(0) : run->second);
  why.expected_start = ExpectedStart(task, standing->ahead_in_lane);
}

// At the rate at which its tenant's tasks have used tokens, when those ahead cost as much as it.
std::optional<base::WallTime> LocalQueue::ExpectedStart(const Task& task, uint64_t ahead) const {
  auto rate = token_rates_.find(task.tenant);
  double tokens = rate == token_rates_.end() ? 0 : rate->second.PerSecond(SteadyNow());
  if (tokens <= 0) return std::nullopt;
  double seconds = static_cast<double>(ahead) * static_cast<double>(task.cost) / tokens;
  constexpr double kFarthest = 365.0 * 86'400;
  if (seconds > kFarthest) return std::nullopt;
  return WallNow() + base::Micros(static_cast<int64_t>(seconds * 1e6));
}

}  // namespace inferq::queue
