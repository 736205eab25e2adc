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

// The lane of a line without a task is known once its index was read.
void DropOtherLanes(const TaskFilter& filter, std::vector<model::TaskRecord>& records) {
  std::erase_if(records, [&filter](const model::TaskRecord& record) {
    return filter.lane && *filter.lane != record.spec.lane;
  });
}

}  // namespace

// What is shown was true at the call and is durable at the answer.
Awaitable<base::Result<model::TaskRecord>> LocalQueue::Get(TaskId id) {
  INFERQ_CO_TRY(Ready());
  const Task* task = tasks_.Find(id);
  if (task == nullptr) {
    if (const LineBatch* batch = BatchAt(id))
      co_return co_await GetLine(batch->row.plan.batch, batch->LineOf(id));
    co_return base::Fail(Code::kNotFound, "{} does not exist", ToString(id));
  }
  model::TaskRecord record = RecordOf(*task);
  INFERQ_CO_TRY(co_await Settled(task->change));
  co_return record;
}

Awaitable<base::Result<model::Outcome>> LocalQueue::GetPast(TaskId id,
                                                            model::Generation generation) {
  INFERQ_CO_TRY(Ready());
  if (!KnownState(id)) co_return base::Fail(Code::kNotFound, "{} does not exist", ToString(id));
  INFERQ_CO_TRY(co_await Settled(commits_->current()));
  INFERQ_CO_TRY(Ready());
  auto read = [reader = reader_, id, generation] { return reader->Past(id, generation); };
  INFERQ_CO_ASSIGN(auto past, co_await runtime_.RunBlocking(runtime::kReadLane, read));
  if (!past) {
    co_return base::Fail(Code::kNotFound, "{} has no ended generation {}", ToString(id),
                         generation);
  }
  co_return std::move(past->outcome);
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
  if (GroupOf(request.filter) == nullptr) co_return std::vector<model::TaskRecord>{};
  if (request.order == QueryRequest::Order::kId) co_return co_await QueryById(std::move(request));
  bool has_lines = request.filter.batch && FindBatch(*request.filter.batch) != nullptr;
  INFERQ_CO_ASSIGN(auto page, co_await QueryByFinish(request));
  if (!has_lines) co_return page;
  INFERQ_CO_ASSIGN(auto lines, co_await QueryLines(request));
  std::ranges::move(lines, std::back_inserter(page));
  std::ranges::sort(page, {}, &model::TaskRecord::finish_sequence);
  if (page.size() > request.limit) page.resize(request.limit);
  co_return page;
}

// Tasks and lines by id. Lines without a task are read from the disk in the end.
Awaitable<base::Result<std::vector<model::TaskRecord>>> LocalQueue::QueryById(
    QueryRequest request) {
  std::vector<model::TaskRecord> page;
  std::map<model::BatchId, std::vector<uint64_t>> on_disk;
  uint64_t cursor = request.after;
  Group change = 0;
  size_t found = 0;
  for (size_t seen = 1; found < request.limit; ++seen) {
    const TaskGroup* group = GroupOf(request.filter);
    TaskId id = group == nullptr ? TaskId{} : NextById(*group, cursor);
    if (!id) break;
    if (const LineBatch* passed = BatchAt(id); passed != nullptr && request.filter.single) {
      cursor = passed->last().value;
      continue;
    }
    if (const Task* task = tasks_.Find(id)) {
      if (Matches(*task, request.filter)) {
        page.push_back(RecordOf(*task));
        change = std::max(change, task->change);
        ++found;
      }
    } else if (const LineBatch* batch = BatchAt(id);
               batch != nullptr && MatchesBatch(*batch, request.filter) &&
               (!request.filter.state || request.filter.state == KnownState(id))) {
      on_disk[batch->row.plan.batch].push_back(batch->LineOf(id));
      change = std::max(change, batch->change);
      ++found;
    }
    if (seen % kTasksPerTurn == 0) {
      co_await runtime_.Yield();
      INFERQ_CO_TRY(Ready());
    }
  }
  INFERQ_CO_TRY(co_await Settled(change));
  for (auto& [batch, lines] : on_disk) {
    INFERQ_CO_TRY(Ready());
    auto read = [reader = reader_, batch, lines]() -> base::Result<std::vector<LineRow>> {
      std::vector<LineRow> rows;
      for (uint64_t line : lines) {
        INFERQ_ASSIGN(auto row, reader->Line(batch, line));
        if (row) rows.push_back(*std::move(row));
      }
      return rows;
    };
    INFERQ_CO_ASSIGN(auto rows, co_await runtime_.RunBlocking(runtime::kReadLane, read));
    INFERQ_CO_ASSIGN(auto records, co_await ReadRecords(batch, lines, std::move(rows)));
    DropOtherLanes(request.filter, records);
    std::ranges::move(records, std::back_inserter(page));
  }
  std::ranges::sort(page, {}, &model::TaskRecord::id);
  co_return page;
}

Awaitable<base::Result<std::vector<model::TaskRecord>>> LocalQueue::QueryByFinish(
    QueryRequest request) {
  std::vector<model::TaskRecord> page;
  uint64_t cursor = request.after;
  Group change = 0;
  for (size_t seen = 1; page.size() < request.limit; ++seen) {
    const TaskGroup* group = GroupOf(request.filter);
    const Task* task = group == nullptr ? nullptr : NextByFinish(*group, cursor);
    if (task == nullptr) break;
    if (Matches(*task, request.filter)) {
      page.push_back(RecordOf(*task));
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

// Lines of a batch in the order of their ending, which only the disk knows.
Awaitable<base::Result<std::vector<model::TaskRecord>>> LocalQueue::QueryLines(
    QueryRequest request) {
  model::BatchId batch = *request.filter.batch;
  std::vector<model::TaskRecord> page;
  uint64_t after = request.after;
  while (page.size() < request.limit) {
    INFERQ_CO_TRY(Ready());
    auto read = [reader = reader_, batch, after, limit = request.limit] {
      return reader->Lines(batch, after, limit);
    };
    INFERQ_CO_ASSIGN(auto rows, co_await runtime_.RunBlocking(runtime::kReadLane, read));
    if (rows.empty()) break;
    bool last = rows.size() < request.limit;
    after = rows.back().finish_sequence;
    if (request.filter.state)
      std::erase_if(rows, [&](const LineRow& row) { return row.state != *request.filter.state; });
    std::vector<uint64_t> lines;
    for (const LineRow& row : rows) lines.push_back(row.line);
    std::ranges::sort(lines);
    INFERQ_CO_ASSIGN(auto records, co_await ReadRecords(batch, std::move(lines), std::move(rows)));
    DropOtherLanes(request.filter, records);
    std::ranges::sort(records, {}, &model::TaskRecord::finish_sequence);
    std::ranges::move(records, std::back_inserter(page));
    if (last) break;
  }
  co_return page;
}

bool LocalQueue::Matches(const Task& task, const TaskFilter& filter) const {
  return (!filter.tenant || *filter.tenant == TenantName(task)) &&
         (!filter.batch || *filter.batch == task.batch) &&
         (!filter.state || *filter.state == task.state) &&
         (!filter.lane || *filter.lane == LaneName(task)) && (!filter.single || !task.batch);
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

// The id behind `cursor` that has a task or is a line, which `cursor` moves to; 0: no more.
TaskId LocalQueue::NextById(const TaskGroup& group, uint64_t& cursor) const {
  while (auto id = group.ids.Next(TaskId{cursor})) {
    cursor = id->value;
    if (tasks_.Find(*id) != nullptr || BatchAt(*id) != nullptr) return *id;
    // Dropped, and so are perhaps many behind it.
    TaskId next = tasks_.NextFrom(*id, model::MakeTaskId(options_.shard, tasks_.last_sequence()));
    auto lines = batches_by_id_.upper_bound(model::SequenceOf(*id));
    if (lines != batches_by_id_.end() && (!next || lines->second->row.first < next))
      next = lines->second->row.first;
    if (!next) return {};
    cursor = next.value - 1;
  }
  return {};
}

const Task* LocalQueue::NextByFinish(const TaskGroup& group, uint64_t& cursor) const {
  auto next = std::ranges::upper_bound(group.finished, cursor, {}, &Finish::sequence);
  for (; next != group.finished.end(); ++next) {
    cursor = next->sequence;
    const Task* task = tasks_.Find(next->id);
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

// Lines that were not read ahead yet are counted for each lane that they may belong to.
uint64_t LocalQueue::Waiting(const std::string& lane) const {
  uint64_t waiting = scheduler_->waiting_in(lane);
  auto name = tasks_.names().Find(lane);
  if (!name) return waiting;
  for (const auto& [id, batch] : batches_) {
    auto cursor = std::ranges::find(batch->cursors, *name, &LineCursor::lane);
    if (cursor == batch->cursors.end() || batch->row.cut || IsPaused(id)) continue;
    waiting += batch->row.plan.lines - cursor->next;
  }
  return waiting;
}

}  // namespace inferq::queue
