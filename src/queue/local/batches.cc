// Batches of lines: SubmitBatch, EditBatch, ForgetBatch, and how a batch is cut short.

#include <algorithm>
#include <set>

#include "base/check.h"
#include "queue/local/local_queue_impl.h"
#include "queue/local/spec_check.h"

namespace inferq::queue {

using base::Code;
using model::BatchId;
using model::State;
using model::TaskId;

namespace {

constexpr size_t kMaxLanes = 1000;

base::Error NoSuchBatch(BatchId id) {
  return base::Error(Code::kNotFound, fmt::format("{} does not exist", ToString(id)));
}

}  // namespace

Awaitable<base::Result<TaskId>> LocalQueue::SubmitBatch(BatchPlan plan) {
  INFERQ_CO_TRY(Ready());
  if (!options_.read_lines) co_return base::Fail(Code::kUnimplemented, "no index can be read here");
  LineBatch* batch = FindBatch(plan.batch);
  if (batch == nullptr) {
    INFERQ_CO_TRY(CheckPlan(plan));
    BatchRow row;
    row.first = tasks_.Reserve(plan.lines - plan.first_line);
    row.created = WallNow();
    row.plan = std::move(plan);
    batch = &AddBatch(std::move(row));
    uint64_t lines = batch->states.lines();
    BatchChanged(*batch, Wait::kAwaited);
    deltas_.push_back({.tenant = batch->tenant,
                       .batch = batch->row.plan.batch,
                       .from = {},
                       .to = State::kQueued,
                       .count = lines});
    ReadAheadAll(*batch);
    ArmTimer();
  }
  TaskId first = batch->row.first;
  INFERQ_CO_TRY(co_await Durable(batch->change));
  co_return first;
}

base::Result<> LocalQueue::CheckPlan(const BatchPlan& plan) const {
  if (!plan.batch) return std::unexpected(WrongField("batch", "must be named"));
  INFERQ_TRY(CheckTenantName(plan.tenant));
  if (plan.lanes.empty() || plan.lanes.size() > kMaxLanes) {
    return std::unexpected(WrongField("lanes", fmt::format("must be 1 to {}", kMaxLanes)));
  }
  for (const std::string& lane : plan.lanes) INFERQ_TRY(CheckLaneName(lane));
  if (std::set(plan.lanes.begin(), plan.lanes.end()).size() != plan.lanes.size()) {
    return std::unexpected(WrongField("lanes", "must differ"));
  }
  if (plan.first_line >= plan.lines)
    return std::unexpected(WrongField("lines", "must be more than first_line"));
  INFERQ_TRY(CheckPriority(plan.priority));
  INFERQ_TRY(CheckTraceparent(plan.traceparent));
  if (plan.max_attempts < 1)
    return std::unexpected(WrongField("max_attempts", "must be at least 1"));
  INFERQ_TRY(CheckTime("deadline", plan.deadline, WallNow()));
  INFERQ_TRY(CheckTime("expires_at", plan.expires_at, WallNow()));
  auto owner = index_.TenantOf(plan.batch);
  if (owner && tasks_.names()[*owner] != plan.tenant)
    return std::unexpected(WrongField("batch", "belongs to another tenant"));
  uint64_t lines = plan.lines - plan.first_line;
  if (open_lines_ + lines <= options_.room.lines) return {};
  return std::unexpected(
      base::Error(Code::kResourceExhausted, fmt::format("{} lines of batches wait, at most {} may",
                                                        open_lines_, options_.room.lines))
          .WithRetryAfter(RetryAfter(lines)));
}

// Into all indices of memory, but for its lines' states.
LineBatch& LocalQueue::AddBatch(BatchRow row) {
  BatchId id = row.plan.batch;
  NameId tenant = tasks_.names().Intern(row.plan.tenant);
  auto& batch = batches_[id] = std::make_unique<LineBatch>(std::move(row), tenant);
  const BatchPlan& plan = batch->row.plan;
  batches_by_id_[model::SequenceOf(batch->row.first)] = batch.get();
  for (const std::string& lane : plan.lanes) {
    batch->cursors.push_back({.lane = tasks_.names().Intern(lane),
                              .next = plan.first_line,
                              .eligible = batch->row.created});
  }
  index_.Add(batch->row.first, batch->last(), tenant, id);
  open_lines_ += batch->states.lines();
  if (plan.expires_at) batch_expiry_due_.Add(*plan.expires_at, batch->row.first);
  return *batch;
}

LineBatch* LocalQueue::FindBatch(BatchId id) const {
  auto found = batches_.find(id);
  return found == batches_.end() ? nullptr : found->second.get();
}

// Its record goes into the group that gathers.
void LocalQueue::BatchChanged(LineBatch& batch, Wait wait) {
  if (!std::exchange(batch.dirty, true)) dirty_batches_.push_back(batch.row.plan.batch);
  if (wait == Wait::kRides) return commits_->Ride();
  batch.change = commits_->current();
  commits_->Request();
}

std::vector<uint64_t> LocalQueue::LinesWithoutResult(BatchId id, std::optional<uint64_t> after,
                                                     uint32_t limit) const {
  std::vector<uint64_t> lines;
  const LineBatch* batch = FindBatch(id);
  if (batch == nullptr) return lines;
  uint64_t first = batch->row.plan.first_line;
  uint64_t from = after ? std::max(*after + 1, first) : first;
  for (auto at = batch->states.NextLive(from - first); at && lines.size() < limit;
       at = batch->states.NextLive(*at + 1)) {
    lines.push_back(first + *at);
  }
  return lines;
}

Awaitable<base::Result<>> LocalQueue::EditBatch(BatchEdit edit) {
  INFERQ_CO_TRY(Ready());
  LineBatch* batch = FindBatch(edit.batch);
  if (batch == nullptr) co_return std::unexpected(NoSuchBatch(edit.batch));
  if (batch->all_ended() || batch->row.cut) {
    co_return base::Fail(Code::kFailedPrecondition, "{} has ended", ToString(edit.batch));
  }
  BatchPlan& plan = batch->row.plan;
  INFERQ_CO_TRY(CheckPriority(edit.priority.value_or(0)));
  if (edit.deadline) INFERQ_CO_TRY(CheckTime("deadline", *edit.deadline, base::WallTime::min()));
  if (edit.priority) plan.priority = *edit.priority;
  if (edit.deadline) plan.deadline = *edit.deadline;
  BatchChanged(*batch, Wait::kAwaited);
  EditLines(*batch);
  co_return co_await Durable(batch->change);
}

// The lines that are tasks follow their batch, but for those with an edit of their own.
void LocalQueue::EditLines(LineBatch& batch) {
  tasks_.ForRange(batch.row.first, batch.last(), [&](Task& task) {
    if (task.edited || IsTerminal(task.state)) return;
    task.priority = static_cast<int16_t>(batch.row.plan.priority);
    task.deadline = batch.row.plan.deadline;
    ++task.version;
    if (task.has_row) Changed(task, kDirtySpec | kDirtyState, Wait::kAwaited);
    if (task.state == State::kQueued) scheduler_->Edit(task.id, KeyOf(task), task.deadline);
  });
}

// Whether all lines of a batch match, as far as their states do.
bool LocalQueue::MatchesBatch(const LineBatch& batch, const TaskFilter& filter) const {
  return !filter.single && (!filter.tenant || *filter.tenant == batch.row.plan.tenant) &&
         (!filter.batch || *filter.batch == batch.row.plan.batch) &&
         (!filter.lane || std::ranges::count(batch.row.plan.lanes, *filter.lane) > 0);
}

// Ends a batch before its lines have run: one record stands for all lines that wait. Those that
// run end with it, or later by themselves.
void LocalQueue::CutBatch(LineBatch& batch, State to, std::string message, bool running_too) {
  if (batch.row.cut || batch.all_ended()) return;
  uint64_t rest = batch.open();
  batch.row.cut = to;
  batch.row.cut_message = std::move(message);
  BatchChanged(batch, Wait::kAwaited);
  open_lines_ -= batch.open();
  std::vector<TaskId> tasks;
  tasks_.ForRange(batch.row.first, batch.last(), [&](Task& task) { tasks.push_back(task.id); });
  for (TaskId id : tasks) {
    Task& task = *tasks_.Find(id);
    if (IsTerminal(task.state)) continue;  // summoned
    --rest;
    if (!task.lease) {
      CutWaiting(batch, task, to);
    } else if (running_too) {
      EndLease(task, Owes::kCharge);
      if (to == State::kExpired) task.fence = fences_.Next();  // cuts off the worker
      End(task, to, to == State::kExpired ? Code::kDeadlineExceeded : Code::kCancelled,
          batch.row.cut_message);
    }
  }
  for (TaskId parent : dependents_.ParentsIn(batch.row.first, batch.last())) {
    if (!batch.OwnEnding(batch.LineOf(parent)) && tasks_.Find(parent) == nullptr)
      EndChildren(parent, to);
  }
  deltas_.push_back({.tenant = batch.tenant,
                     .batch = batch.row.plan.batch,
                     .from = State::kQueued,
                     .to = to,
                     .count = rest});
  if (batch.row.plan.expires_at)
    batch_expiry_due_.Remove(*batch.row.plan.expires_at, batch.row.first);
}

// A line that waits ends with its batch, without a row.
void LocalQueue::CutWaiting(LineBatch& batch, Task& task, State to) {
  LeaveState(task);
  deltas_.push_back(
      {.tenant = batch.tenant, .batch = task.batch, .from = task.state, .to = to, .count = 1});
  DropLine(task);
}

Awaitable<base::Result<>> LocalQueue::ForgetBatch(BatchId id) {
  INFERQ_CO_TRY(Ready());
  Group settled = commits_->current();
  while (true) {  // until no count of it is under way
    INFERQ_CO_TRY(co_await Settled(settled));
    INFERQ_CO_TRY(Ready());
    if (FindBatch(id) == nullptr && index_.Find(std::nullopt, id) == nullptr)
      co_return base::Result<>{};
    INFERQ_CO_TRY(CheckOver(id));
    settled = NewestChange(id);
    if (settled <= commits_->durable()) break;
  }
  Group change = commits_->current();
  for (TaskId task : OwnTasks(id)) DropTask(*tasks_.Find(task));
  if (LineBatch* batch = FindBatch(id)) DropBatch(*batch);
  index_.DropBatch(id);
  commits_->Request();
  co_return co_await Durable(change);
}

// Ended tasks of a batch that have rows of their own.
std::vector<TaskId> LocalQueue::OwnTasks(BatchId id) const {
  std::vector<TaskId> own;
  for (const Finish& finish : index_.Find(std::nullopt, id)->finished) {
    const Task* task = tasks_.Find(finish.id);
    if (task != nullptr && task->finish_sequence == finish.sequence) own.push_back(finish.id);
  }
  return own;
}

base::Result<> LocalQueue::CheckOver(BatchId id) const {
  const LineBatch* batch = FindBatch(id);
  if (batch != nullptr && !batch->all_ended())
    return base::Fail(Code::kFailedPrecondition, "lines of {} are live", ToString(id));
  uint64_t lines = batch == nullptr ? 0 : batch->states.lines();
  if (OwnTasks(id).size() + lines != index_.Find(std::nullopt, id)->stats.total())
    return base::Fail(Code::kFailedPrecondition, "tasks of {} are live", ToString(id));
  return {};
}

// The group of what was last acknowledged, or is about to be, of a batch that is over.
LocalQueue::Group LocalQueue::NewestChange(BatchId id) const {
  const LineBatch* batch = FindBatch(id);
  Group newest = batch == nullptr ? 0 : batch->change;
  for (TaskId task : OwnTasks(id)) newest = std::max(newest, tasks_.Find(task)->change);
  return newest;
}

void LocalQueue::DropBatch(LineBatch& batch) {
  tasks_.ForRange(batch.row.first, batch.last(), [this](Task& task) { DismissLine(task); });
  BatchRow row = std::move(batch.row);
  BatchId id = row.plan.batch;
  const QueueStats stats = index_.Find(std::nullopt, id)->stats;  // of the lines; tasks are gone
  for (int i = 0; i < model::kStateCount; ++i) {
    if (stats.by_state[i] == 0) continue;
    index_.Count(batch.tenant, id, static_cast<State>(i), std::nullopt, stats.by_state[i]);
  }
  if (row.plan.expires_at && !row.cut) batch_expiry_due_.Remove(*row.plan.expires_at, row.first);
  PauseRow pause{.kind = static_cast<uint8_t>(PauseTarget::Kind::kBatch), .name = ToString(id)};
  if (pauses_.erase(pause) > 0) {
    std::erase(new_pauses_, pause);
    old_pauses_.push_back(pause);
    ApplyPause(pause, false);
  }
  batches_by_id_.erase(model::SequenceOf(row.first));
  batches_.erase(id);
  row.forgotten = true;
  forgotten_.push_back(std::move(row));
}

}  // namespace inferq::queue
