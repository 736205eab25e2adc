// Get, Query, Stats, Waiting.

#include <algorithm>

#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using base::Code;
using model::State;
using model::TaskId;

namespace {

constexpr uint32_t kMaxPage = 10'000;
// Tasks looked at in one go before others get the strand.
constexpr size_t kTasksPerTurn = 16'384;

}  // namespace

// What is shown was true at the call and is durable at the answer.
Awaitable<base::Result<model::TaskRecord>> LocalQueue::Get(TaskId id) {
  INFERQ_CO_TRY(Ready());
  const Task* task = tasks_.Find(id);
  if (task == nullptr) co_return base::Fail(Code::kNotFound, "{} does not exist", ToString(id));
  model::TaskRecord record = tasks_.RecordOf(*task);
  INFERQ_CO_TRY(co_await Settled(task->change));
  co_return record;
}

// Waits for a change that may so far only ride.
Awaitable<base::Result<>> LocalQueue::Settled(Group change) {
  if (change > commits_->durable()) commits_->Request();
  co_return co_await Durable(change);
}

Awaitable<base::Result<std::vector<model::TaskRecord>>> LocalQueue::Query(QueryRequest request) {
  INFERQ_CO_TRY(Ready());
  if (request.limit < 1 || request.limit > kMaxPage) {
    co_return base::Fail(Code::kInvalidArgument, "limit must be in [1, {}], not {}", kMaxPage,
                         request.limit);
  }
  std::vector<model::TaskRecord> page;
  const TaskGroup* group = GroupOf(request.filter);
  if (group == nullptr) co_return page;
  bool by_finish = request.order == QueryRequest::Order::kFinishSequence;
  uint64_t cursor = request.after;
  Group change = 0;
  for (size_t seen = 1; page.size() < request.limit; ++seen) {
    const Task* task = by_finish ? NextByFinish(*group, cursor) : NextById(*group, cursor);
    if (task == nullptr) break;
    if (Matches(*task, request.filter)) {
      page.push_back(tasks_.RecordOf(*task));
      change = std::max(change, task->change);
    }
    if (seen % kTasksPerTurn == 0) {
      co_await runtime_.Yield();
      INFERQ_CO_TRY(Ready());
    }
  }
  INFERQ_CO_TRY(co_await Settled(change));
  co_return page;
}

bool LocalQueue::Matches(const Task& task, const TaskFilter& filter) const {
  return (!filter.tenant || *filter.tenant == TenantName(task)) &&
         (!filter.batch || *filter.batch == task.batch) &&
         (!filter.state || *filter.state == task.state) &&
         (!filter.lane || *filter.lane == LaneName(task));
}

// The smallest group that holds all that match; nullptr: nothing does.
const TaskGroup* LocalQueue::GroupOf(const TaskFilter& filter) const {
  std::optional<NameId> tenant;
  if (filter.tenant) {
    tenant = tasks_.names().Find(*filter.tenant);
    if (!tenant) return nullptr;
  }
  return index_.Find(tenant, filter.batch);
}

// The task behind `cursor`, which moves to it; nullptr: no more.
const Task* LocalQueue::NextById(const TaskGroup& group, uint64_t& cursor) const {
  while (auto id = group.ids.Next(TaskId{cursor})) {
    cursor = id->value;
    if (const Task* task = tasks_.Find(*id)) return task;
  }
  return nullptr;
}

const Task* LocalQueue::NextByFinish(const TaskGroup& group, uint64_t& cursor) const {
  auto next = std::ranges::upper_bound(group.finished, cursor);
  for (; next != group.finished.end(); ++next) {
    cursor = *next;
    const Task* task = tasks_.Find(index_.FinishedAt(cursor));
    if (task != nullptr && task->finish_sequence == cursor) return task;  // else requeued since
  }
  return nullptr;
}

QueueStats LocalQueue::Stats(const TaskFilter& filter) const {
  QueueStats stats;
  if (const TaskGroup* group = GroupOf(filter)) stats = group->stats;
  stats.last_finish_sequence = last_finish_;
  if (commits_) {
    stats.commits = commits_->durable();
    stats.commit_time = commits_->spent();
  }
  if (filter.state) {
    auto kept = static_cast<size_t>(*filter.state);
    for (size_t i = 0; i < model::kStateCount; ++i) {
      if (i != kept) stats.by_state[i] = 0;
    }
  }
  return stats;
}

uint64_t LocalQueue::Waiting(const std::string& lane) const { return scheduler_->waiting_in(lane); }

}  // namespace inferq::queue
