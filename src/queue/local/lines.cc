// Lines of batches as tasks: read ahead from the index, made, retired, and looked up.

#include <algorithm>

#include "base/check.h"
#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using base::Code;
using model::BatchId;
using model::State;
using model::TaskId;

namespace {

// While the tenant's rate is not known a batch shows few lines, so that their keys can be made
// with the rate when it is.
constexpr uint32_t kFirstWindow = 32;
constexpr base::Micros kUnknownPace = std::chrono::seconds(1);
// Lines read ahead over all batches, shared by their cursors.
constexpr uint32_t kAllWindows = 1 << 18;
constexpr uint32_t kSmallestWindow = 64;
constexpr base::Micros kIndexRetry = std::chrono::seconds(1);
// Endings that are remembered for claimers that tell them twice.
constexpr size_t kRecentEndings = 16'384;
// Lines that lie closer together than this are read from the index in one go.
constexpr uint64_t kReadThrough = 64;

// Of some lines of a batch, in order. Blocks.
base::Result<std::vector<LineInfo>> ReadInfos(const ReadLines& read, uint64_t index,
                                              const std::vector<uint64_t>& lines) {
  std::vector<LineInfo> infos;
  for (size_t begin = 0, end; begin < lines.size(); begin = end) {
    for (end = begin + 1; end < lines.size() && lines[end] - lines[end - 1] <= kReadThrough;) ++end;
    uint64_t first = lines[begin];
    INFERQ_ASSIGN(auto run, read(index, first, static_cast<uint32_t>(lines[end - 1] - first + 1)));
    for (size_t i = begin; i < end; ++i) {
      if (lines[i] - first >= run.size())
        return base::Fail(Code::kDataLoss, "the index lacks line {}", lines[i]);
      infos.push_back(run[lines[i] - first]);
    }
  }
  return infos;
}

// What a line asks for that nobody changed.
model::TaskSpec PlannedSpec(const BatchPlan& plan, uint64_t line, const LineInfo& info) {
  model::TaskSpec spec;
  spec.tenant = plan.tenant;
  if (info.lane < plan.lanes.size()) spec.lane = plan.lanes[info.lane];
  spec.priority = plan.priority;
  spec.deadline = plan.deadline;
  spec.expires_at = plan.expires_at;
  spec.batch = plan.batch;
  spec.line = line;
  spec.payload = {plan.input_blob, info.offset, info.length};
  spec.cost = info.cost;
  spec.locality = info.locality;
  spec.max_attempts = plan.max_attempts;
  spec.traceparent = plan.traceparent;
  return spec;
}

}  // namespace

// The batch that has this id as a line; nullptr: none.
LineBatch* LocalQueue::BatchAt(TaskId id) const {
  if (model::ShardOf(id) != options_.shard) return nullptr;
  auto behind = batches_by_id_.upper_bound(model::SequenceOf(id));
  if (behind == batches_by_id_.begin()) return nullptr;
  LineBatch* batch = std::prev(behind)->second;
  return id <= batch->last() ? batch : nullptr;
}

LineCursor* LocalQueue::CursorOf(LineBatch& batch, NameId lane) {
  auto found = std::ranges::find(batch.cursors, lane, &LineCursor::lane);
  return found == batch.cursors.end() ? nullptr : &*found;
}

// How much later each next line is eligible; nullopt: the tenant's rate is not known.
std::optional<base::Micros> LocalQueue::PaceOf(const LineBatch& batch) const {
  auto rate = token_rates_.find(batch.tenant);
  double tokens = rate == token_rates_.end() ? 0 : rate->second.PerSecond(SteadyNow());
  if (tokens <= 0) return std::nullopt;
  return sched::BatchPace(batch.row.plan.mean_cost, tokens, options_.pace_max);
}

// It grows with what was read, so that the pace of most lines is made from a rate that was measured
// over some time.
uint32_t LocalQueue::WindowOf(const LineBatch& batch, const LineCursor& cursor) const {
  uint64_t passed = PaceOf(batch) ? cursor.next - batch.row.plan.first_line : 0;
  uint64_t share = std::max<uint64_t>(kSmallestWindow, kAllWindows / batches_.size());
  uint64_t most = std::min<uint64_t>(options_.line_window, share);
  return static_cast<uint32_t>(std::min(most, std::max<uint64_t>(kFirstWindow, passed)));
}

void LocalQueue::ReadAheadAll(LineBatch& batch) {
  for (LineCursor& cursor : batch.cursors) ReadAhead(batch, cursor);
}

// Keeps the window at least half full.
void LocalQueue::ReadAhead(LineBatch& batch, LineCursor& cursor) {
  uint32_t window = WindowOf(batch, cursor);
  bool enough = cursor.waiting > window / 2 || cursor.next >= batch.row.plan.lines;
  if (cursor.reading || enough || batch.row.cut || phase_ != Phase::kOpen) return;
  cursor.reading = true;
  struct Work {
    ReadLines read;
    uint64_t index;
    uint64_t first;
    uint32_t count;
    base::Result<std::vector<LineInfo>> lines;
  };
  auto count = static_cast<uint32_t>(std::min<uint64_t>(window - std::min(window, cursor.waiting),
                                                        batch.row.plan.lines - cursor.next));
  auto work = std::make_shared<Work>(
      Work{options_.read_lines, batch.row.plan.index_blob, cursor.next, count, {}});
  runtime_.PostBlocking(
      runtime::kAnyLane,
      [work] { work->lines = work->read(work->index, work->first, work->count); },
      WhileAlive([this, work, id = batch.row.plan.batch, lane = cursor.lane] {
        TakeLines(id, lane, work->first, std::move(work->lines));
      }));
}

// Lines of the index have been read: those of the lane that have not ended become tasks.
void LocalQueue::TakeLines(BatchId id, NameId lane, uint64_t first,
                           base::Result<std::vector<LineInfo>> lines) {
  LineBatch* batch = FindBatch(id);
  if (batch == nullptr || batch->row.cut || !healthy()) return;
  LineCursor& cursor = *CursorOf(*batch, lane);
  cursor.reading = false;
  if (!lines) return IndexFailed(*batch, cursor, lines.error());
  if (lines->empty()) {
    return IndexFailed(*batch, cursor, base::Error(Code::kDataLoss, "the index ends too early"));
  }
  base::Micros pace = PaceOf(*batch).value_or(kUnknownPace);
  for (const LineInfo& info : *lines) {
    uint64_t line = cursor.next++;
    if (info.lane >= batch->cursors.size()) {
      return IndexFailed(*batch, cursor, base::Error(Code::kDataLoss, "the index is damaged"));
    }
    if (batch->cursors[info.lane].lane != lane) continue;
    base::WallTime eligible = cursor.eligible;
    cursor.eligible += pace;
    if (batch->OwnEnding(line) || tasks_.Find(batch->IdOf(line)) != nullptr) continue;
    Task& task = MakeLine(*batch, line, info);
    task.eligible = eligible;
    task.state = State::kQueued;
    task.in_window = true;
    ++cursor.waiting;
    scheduler_->Add(EntryOf(task));
    WakeClaims(LaneName(task), false);
  }
  // What a restart will see: the mean pace so far.
  uint64_t passed = cursor.next - batch->row.plan.first_line;
  batch->row.pace = (cursor.eligible - batch->row.created) / static_cast<int64_t>(passed);
  BatchChanged(*batch, Wait::kRides);
  INFERQ_CHECK(first < cursor.next);
  ReadAhead(*batch, cursor);
}

// A damaged index costs its batch the lines that it no longer tells; a disk that fails is asked
// again.
void LocalQueue::IndexFailed(LineBatch& batch, LineCursor& cursor, const base::Error& error) {
  if (error.code() == Code::kDataLoss || error.code() == Code::kNotFound) {
    return CutBatch(batch, State::kFailed,
                    fmt::format("the batch's index cannot be read: {}", error.message()), false);
  }
  cursor.reading = true;
  auto again = [this, id = batch.row.plan.batch, lane = cursor.lane] {
    LineBatch* known = FindBatch(id);
    LineCursor* then = known == nullptr ? nullptr : CursorOf(*known, lane);
    if (then == nullptr) return;
    then->reading = false;
    ReadAhead(*known, *then);
  };
  runtime_.CallAt(SteadyNow() + kIndexRetry, WhileAlive(std::move(again)));
}

// A line as a task that is not in any state yet.
Task& LocalQueue::MakeLine(LineBatch& batch, uint64_t line, const LineInfo& info) {
  const BatchPlan& plan = batch.row.plan;
  Task& task = tasks_.Insert(batch.IdOf(line));
  task.is_line = true;
  task.has_row = false;
  task.batch = plan.batch;
  task.line = line;
  task.tenant = batch.tenant;
  task.lane = batch.cursors[info.lane].lane;
  task.payload = {plan.input_blob, info.offset, info.length};
  task.cost = std::max<uint32_t>(1, info.cost);
  task.locality = info.locality;
  task.priority = static_cast<int16_t>(plan.priority);
  task.deadline = plan.deadline;
  task.max_attempts = plan.max_attempts;
  task.submitted = batch.row.created;
  task.eligible = batch.row.created + batch.row.pace * static_cast<int64_t>(line - plan.first_line);
  task.change = batch.change;
  ++batch.tasks;
  return task;
}

// The first claim of a line, or what takes it out of the waiting.
void LocalQueue::LeaveWindow(Task& task) {
  if (!std::exchange(task.in_window, false)) return;
  LineBatch& batch = *FindBatch(task.batch);
  LineCursor& cursor = *CursorOf(batch, task.lane);
  --cursor.waiting;
  ReadAhead(batch, cursor);
}

// Whether a line is not what its file says any more.
bool LocalQueue::RowSaysMore(const Task& task) const {
  bool tried = task.state != State::kLeased && task.state != State::kRunning &&
               (task.attempts > 0 || task.suspect || task.crashes > 0);
  bool held = task.lease && task.lease->external;
  bool noted = task.extra && !task.extra->checkpoint.empty();
  return tried || held || noted || task.edited || task.generation > 0;
}

// How a line ends that waits, or would, in a batch that is over; nullopt: it does not.
std::optional<std::pair<State, std::string>> LocalQueue::CutOf(const Task& task) const {
  if (!task.is_line) return std::nullopt;
  const LineBatch& batch = *FindBatch(task.batch);
  if (!batch.row.cut) return std::nullopt;
  return std::pair(*batch.row.cut, batch.row.cut_message);
}

// A line has ended: what is left of it is a row of its batch.
void LocalQueue::RetireLine(Task& task) {
  LineBatch& batch = *FindBatch(task.batch);
  LineRow row{.batch = task.batch,
              .line = task.line,
              .finish_sequence = task.finish_sequence,
              .state = task.state,
              .generation = task.generation,
              .version = task.version,
              .fence = task.fence,
              .attempts = task.attempts,
              .outcome = {task.code, task.extra ? std::move(task.extra->message) : std::string(),
                          task.result}};
  ended_lines_.push_back(std::move(row));
  batch.states.Set(task.line - batch.row.plan.first_line, task.state);
  if (!batch.row.cut) --open_lines_;  // else it was counted with the others
  batch.change = std::max(batch.change, task.change);
  uint64_t blob = task.result.blob;
  if (blob != 0 && std::ranges::find(batch.row.results, blob) == batch.row.results.end()) {
    batch.row.results.push_back(blob);
    BatchChanged(batch, Wait::kAwaited);
  }
  recent_[task.id] = {task.fence, task.state, task.change, task.finish_sequence};
  recent_order_.push_back(task.id);
  if (recent_order_.size() > kRecentEndings) {
    recent_.erase(recent_order_.front());
    recent_order_.pop_front();
  }
  DropLine(task);
}

// Takes a line out of memory; it is in no index any more.
void LocalQueue::DropLine(Task& task) {
  LineBatch& batch = *FindBatch(task.batch);
  LeaveWindow(task);
  if (task.has_row) dropped_tasks_.push_back(task.id);
  --batch.tasks;
  tasks_.Erase(task.id);
}

model::TaskSpec LocalQueue::SpecOf(const Task& task) const {
  model::TaskSpec spec = tasks_.SpecOf(task);
  if (!task.is_line) return spec;
  const BatchPlan& plan = FindBatch(task.batch)->row.plan;
  spec.traceparent = plan.traceparent;
  spec.expires_at = plan.expires_at;
  return spec;
}

model::TaskRecord LocalQueue::RecordOf(const Task& task) const {
  model::TaskRecord record = tasks_.RecordOf(task);
  if (task.is_line) record.spec = SpecOf(task);
  return record;
}

// Makes tasks of lines that are named by their id, so that a call can change them. Those that have
// ended come back as they ended. Ids of anything else are left alone.
Awaitable<base::Result<>> LocalQueue::Summon(std::vector<TaskId> ids) {
  for (TaskId id : ids) {
    LineBatch* batch = tasks_.Find(id) == nullptr ? BatchAt(id) : nullptr;
    if (batch == nullptr) continue;
    BatchId number = batch->row.plan.batch;
    uint64_t line = batch->LineOf(id);
    uint64_t index = batch->row.plan.index_blob;
    INFERQ_CO_TRY(co_await Settled(batch->change));
    INFERQ_CO_TRY(Ready());
    auto read = [lines = options_.read_lines, reader = reader_, index, number,
                 line]() -> base::Result<std::pair<LineInfo, std::optional<LineRow>>> {
      INFERQ_ASSIGN(auto infos, ReadInfos(lines, index, {line}));
      INFERQ_ASSIGN(auto row, reader->Line(number, line));
      return std::pair(infos[0], std::move(row));
    };
    INFERQ_CO_ASSIGN(auto known, co_await runtime_.RunBlocking(runtime::kReadLane, read));
    INFERQ_CO_TRY(Ready());
    batch = FindBatch(number);  // time has passed
    if (batch == nullptr || tasks_.Find(id) != nullptr) continue;
    auto ending = batch->OwnEnding(line);
    if (!ending && batch->row.cut) continue;
    if (ending.has_value() != known.second.has_value()) continue;  // it changed: as it is now
    auto recent = recent_.find(id);
    if (known.second && recent != recent_.end() &&
        recent->second.finish_sequence != known.second->finish_sequence)
      continue;  // it ended anew meanwhile
    if (known.first.lane >= batch->cursors.size())
      co_return base::Fail(Code::kDataLoss, "the index of {} is damaged", ToString(number));
    Task& task = MakeLine(*batch, line, known.first);
    if (!known.second) {
      task.state = State::kQueued;
      scheduler_->Add(EntryOf(task));
      continue;
    }
    LineRow& row = *known.second;
    task.state = row.state;
    task.generation = row.generation;
    task.version = row.version;
    task.fence = row.fence;
    task.attempts = row.attempts;
    task.finish_sequence = row.finish_sequence;
    task.code = row.outcome.code;
    task.result = row.outcome.result;
    if (!row.outcome.message.empty()) task.Extra().message = std::move(row.outcome.message);
  }
  co_return base::Result<>{};
}

// Sends ended lines that were summoned, and not requeued, back to the disk.
void LocalQueue::Dismiss(const std::vector<TaskId>& ids) {
  for (TaskId id : ids) {
    Task* task = tasks_.Find(id);
    if (task != nullptr && task->is_line && IsTerminal(task->state)) DismissLine(*task);
  }
}

void LocalQueue::DismissLine(Task& task) {
  INFERQ_CHECK(IsTerminal(task.state));
  task.has_row = false;
  DropLine(task);
}

// Records of lines without a task, in the order of `lines`, which rise; `rows` (in any order) tell
// how those of them ended that have an ending of their own.
Awaitable<base::Result<std::vector<model::TaskRecord>>> LocalQueue::ReadRecords(
    BatchId id, std::vector<uint64_t> lines, std::vector<LineRow> rows) {
  LineBatch* batch = FindBatch(id);
  if (batch == nullptr) co_return std::vector<model::TaskRecord>{};
  auto read = [read = options_.read_lines, index = batch->row.plan.index_blob, lines] {
    return ReadInfos(read, index, lines);
  };
  INFERQ_CO_ASSIGN(auto infos, co_await runtime_.RunBlocking(runtime::kAnyLane, read));
  batch = FindBatch(id);
  if (batch == nullptr) co_return std::vector<model::TaskRecord>{};
  std::unordered_map<uint64_t, LineRow*> endings;
  for (LineRow& row : rows) endings[row.line] = &row;
  std::vector<model::TaskRecord> records;
  for (size_t i = 0; i < lines.size(); ++i) {
    const BatchPlan& plan = batch->row.plan;
    model::TaskRecord record;
    record.id = batch->IdOf(lines[i]);
    record.spec = PlannedSpec(plan, lines[i], infos[i]);
    record.submitted = batch->row.created;
    record.eligible =
        batch->row.created + batch->row.pace * static_cast<int64_t>(lines[i] - plan.first_line);
    if (auto found = endings.find(lines[i]); found != endings.end()) {
      LineRow& row = *found->second;
      record.state = row.state;
      record.version = row.version;
      record.generation = row.generation;
      record.fence = row.fence;
      record.attempts = row.attempts;
      record.finish_sequence = row.finish_sequence;
      record.outcome = std::move(row.outcome);
    } else if (batch->row.cut) {
      record.state = *batch->row.cut;
      record.outcome.code = Code::kCancelled;
      record.outcome.message = batch->row.cut_message;
    }
    records.push_back(std::move(record));
  }
  co_return records;
}

// A line without a task.
Awaitable<base::Result<model::TaskRecord>> LocalQueue::GetLine(BatchId id, uint64_t line) {
  LineBatch* batch = FindBatch(id);
  INFERQ_CO_TRY(co_await Settled(batch->change));
  INFERQ_CO_TRY(Ready());
  auto read = [reader = reader_, id, line] { return reader->Line(id, line); };
  INFERQ_CO_ASSIGN(auto row, co_await runtime_.RunBlocking(runtime::kReadLane, read));
  std::vector<LineRow> rows;
  if (row) rows.push_back(*std::move(row));
  std::vector<uint64_t> lines{line};
  INFERQ_CO_ASSIGN(auto records, co_await ReadRecords(id, std::move(lines), std::move(rows)));
  if (records.empty()) co_return base::Fail(Code::kNotFound, "it was dropped meanwhile");
  co_return std::move(records[0]);
}

}  // namespace inferq::queue
