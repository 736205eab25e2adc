// Opening and recovery, closing, and what a group commit writes.

#include <algorithm>

#include "base/check.h"
#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using model::State;
using model::TaskId;

// Batch numbers and ephemeral ids of one incarnation start at a multiple of this, so that a number
// handed out but not stored before a crash is not handed out again.
constexpr uint64_t kNumbersPerIncarnation = uint64_t{1} << 24;

struct LocalQueue::Recovered {
  explicit Recovered(uint16_t shard) : tasks(shard) {}
  TaskTable tasks;
  std::vector<KeyRow> keys;
  std::vector<TenantTime> times;
  struct Batch {
    explicit Batch(BatchRow r) : row(std::move(r)), states(row.plan.lines - row.plan.first_line) {}
    BatchRow row;
    LineStates states;
  };
  std::map<model::BatchId, Batch> batches;
  std::vector<PauseRow> pauses;
  std::vector<uint64_t> past_blobs;
  std::unique_ptr<JournalReader> reader;
  Meta meta;
  std::optional<base::Error> error;

  void AddTask(SpecRow spec, StateRow state, std::string checkpoint);
  void AddLine(model::BatchId batch, uint64_t line, State state);
  base::Result<> Check();
};

namespace {

base::Code CodeForCaller(const base::Error& error) {
  return error.code() == base::Code::kResourceExhausted ? error.code() : base::Code::kUnavailable;
}

}  // namespace

void LocalQueue::Recovered::AddTask(SpecRow spec, StateRow state, std::string checkpoint) {
  TaskId id = spec.id;
  uint64_t finish = state.finish_sequence;
  bool sound = IsTerminal(state.state) == (finish > 0) && finish <= meta.last_finish &&
               model::SequenceOf(id) <= meta.last_task;
  bool kept =
      tasks.Restore(tasks.FromRows(std::move(spec), std::move(state), std::move(checkpoint)));
  if (error || (sound && kept)) return;
  error = kept ? base::Error(base::Code::kDataLoss,
                             fmt::format("the store contradicts itself about {}", ToString(id)))
               : base::Error(base::Code::kFailedPrecondition,
                             fmt::format("the store holds {}, which is not of shard {}",
                                         ToString(id), tasks.shard()));
}

void LocalQueue::Recovered::AddLine(model::BatchId id, uint64_t line, State state) {
  auto found = batches.find(id);
  bool known = found != batches.end() && line >= found->second.row.plan.first_line &&
               line < found->second.row.plan.lines && IsTerminal(state);
  if (known) {
    uint64_t at = line - found->second.row.plan.first_line;
    if (!found->second.states.Get(at)) return found->second.states.Set(at, state);
  }
  error = base::Error(
      base::Code::kDataLoss,
      fmt::format("the store contradicts itself about line {} of {}", line, ToString(id)));
}

// What one row cannot tell. A parent may be gone: it had ended, and was dropped or forgotten with
// its batch while the child waits for others or for its time.
base::Result<> LocalQueue::Recovered::Check() {
  tasks.ForEach([this](Task& task) {
    bool waits = task.state == State::kBlocked && task.extra && !task.extra->retry_at;
    if (!waits) return;
    for (TaskId parent : task.extra->parents) {
      bool was_given_out =
          model::ShardOf(parent) == tasks.shard() && model::SequenceOf(parent) <= meta.last_task;
      if (was_given_out) continue;
      error = base::Error(base::Code::kDataLoss, fmt::format("{}, a parent of {}, never was",
                                                             ToString(parent), ToString(task.id)));
    }
  });
  if (error) return std::unexpected(*error);
  return {};
}

LocalQueue::LocalQueue(runtime::Runtime& runtime, std::unique_ptr<Journal> journal,
                       LocalQueueOptions options)
    : runtime_(runtime),
      journal_(std::move(journal)),
      options_(std::move(options)),
      rng_(options_.rng_seed),
      tasks_(options_.shard),
      keys_(options_.idempotency_ttl),
      scheduler_(options_.make_scheduler(options_.order)),
      closed_(runtime) {
  INFERQ_CHECK(options_.shard < kEphemeralShard);
  for (const auto& [tenant, policy] : options_.tenants) scheduler_->SetTenant(tenant, policy);
}

LocalQueue::~LocalQueue() {
  if (timer_ != 0) runtime_.CancelTimer(timer_);
  if (charge_timer_ != 0) runtime_.CancelTimer(charge_timer_);
}

std::unique_ptr<Queue> MakeLocalQueue(runtime::Runtime& runtime, std::unique_ptr<Journal> journal,
                                      LocalQueueOptions options) {
  return std::make_unique<LocalQueue>(runtime, std::move(journal), std::move(options));
}

Awaitable<base::Result<>> LocalQueue::Open() {
  if (phase_ != Phase::kNew) {
    co_return base::Fail(base::Code::kFailedPrecondition, "the queue was opened before");
  }
  phase_ = Phase::kOpening;
  auto recovered = std::make_shared<Recovered>(options_.shard);
  auto read = [journal = journal_, recovered]() -> base::Result<> {
    RecoveryVisitor visitor;
    visitor.on_meta = [&](Meta meta) { recovered->meta = meta; };
    visitor.on_key = [&](KeyRow row) { recovered->keys.push_back(std::move(row)); };
    visitor.on_tenant_time = [&](TenantTime row) { recovered->times.push_back(std::move(row)); };
    visitor.on_task = [&](SpecRow spec, StateRow state, std::string checkpoint) {
      recovered->AddTask(std::move(spec), std::move(state), std::move(checkpoint));
    };
    visitor.on_batch = [&](BatchRow row) {
      model::BatchId id = row.plan.batch;
      recovered->batches.emplace(id, Recovered::Batch(std::move(row)));
    };
    visitor.on_line = [&](model::BatchId batch, uint64_t line, State state) {
      recovered->AddLine(batch, line, state);
    };
    visitor.on_pause = [&](PauseRow row) { recovered->pauses.push_back(std::move(row)); };
    visitor.on_past = [&](PastRow row) {
      recovered->past_blobs.push_back(row.outcome.result.blob);
    };
    INFERQ_TRY(journal->Open(visitor));
    INFERQ_TRY(recovered->Check());
    INFERQ_ASSIGN(recovered->reader, journal->NewReader());
    return {};
  };
  base::Result<> opened = co_await runtime_.RunBlocking(runtime::kJournalLane, std::move(read));
  if (!opened) {
    phase_ = Phase::kNew;
    co_return opened;
  }
  Adopt(*recovered);
  commits_->Request();
  opened = co_await commits_->WaitFor(commits_->current());
  phase_ = opened ? Phase::kOpen : Phase::kClosed;
  for (auto& [id, batch] : batches_) ReadAheadAll(*batch);
  ArmTimer();
  co_return opened;
}

// Makes what was read our state, and ends the leases of the earlier incarnation.
void LocalQueue::Adopt(Recovered& recovered) {
  GroupCommit::Owner owner{
      .collect = [this] { return Collect(); },
      .on_durable = [this](Group) { ApplyDeltas(); },
  };
  commits_ =
      std::make_unique<GroupCommit>(runtime_, journal_, options_.ride_linger, std::move(owner));
  stored_meta_ = recovered.meta;
  fences_ = FenceSource(recovered.meta.incarnation + 1);
  uint64_t first_number = fences_.reserved() * kNumbersPerIncarnation & model::kMaxSequence;
  last_batch_ = std::max(recovered.meta.last_batch, first_number);
  last_finish_ = recovered.meta.last_finish;
  tasks_ = std::move(recovered.tasks);
  tasks_.SkipTo(recovered.meta.last_task);
  tasks_.StartEphemeralAfter(first_number);
  reader_ = std::move(recovered.reader);
  for (const KeyRow& row : recovered.keys) keys_.Add(row);
  for (uint64_t blob : recovered.past_blobs) UseBlob(blob);
  for (const PauseRow& row : recovered.pauses) {
    pauses_.insert(row);
    ApplyPause(row, true);
  }
  AdoptRecords(recovered);
  // Charges made before are in the stored times already.
  for (const TenantTime& row : recovered.times) {
    scheduler_->RestoreVirtualTime(row.tenant, row.virtual_time);
    stored_times_[row.tenant] = row.virtual_time;
  }
  tasks_.ForEach([this](Task& task) {  // all are known now: parents may have larger ids
    if (task.state == State::kQueued) scheduler_->Add(EntryOf(task));
    auto cut = HasLease(task.state) ? std::nullopt : CutOf(task);
    if (cut) return End(task, cut->first, base::Code::kCancelled, std::move(cut->second));
    if (task.state != State::kBlocked) return;
    bool retries = task.extra && task.extra->retry_at;  // it was let go by its parents
    if (!retries && !FailForLostLine(task)) WaitForParents(task);
    if (IsTerminal(task.state)) return;
    if (task.UnfinishedParents() == 0) TryUnblock(task, Wait::kRides);
  });
}

// A line that we ran while its batch was cut short ends with its batch now that we are back, and a
// child that waited for it hears of that. @return whether there is such a parent.
bool LocalQueue::FailForLostLine(Task& task) {
  auto parent = ParentThatForbids(task);
  if (!parent || !EndedByRecovery(parent->first)) return false;
  FailForParent(task, parent->first, parent->second);
  EndChildren(task.id, task.state);
  return true;
}

bool LocalQueue::EndedByRecovery(TaskId id) const {
  if (const Task* task = tasks_.Find(id)) return task->change > 0;
  const LineBatch* batch = BatchAt(id);
  return batch != nullptr && (batch->change > 0 || !batch->OwnEnding(batch->LineOf(id)));
}

// Batches and tasks in the order of their ids, then endings in theirs.
void LocalQueue::AdoptRecords(Recovered& recovered) {
  std::map<TaskId, Recovered::Batch*> batches;
  for (auto& [id, batch] : recovered.batches) {
    if (!batch.row.forgotten) batches[batch.row.first] = &batch;
  }
  auto next = batches.begin();
  auto adopt_batches_to = [&](TaskId id) {
    for (; next != batches.end() && next->first <= id; ++next) {
      AdoptBatch(std::move(next->second->row), std::move(next->second->states));
    }
  };
  std::vector<Task*> ended;
  tasks_.ForEach([&](Task& task) {
    adopt_batches_to(task.id);
    AdoptTask(task);
    if (IsTerminal(task.state)) ended.push_back(&task);
  });
  adopt_batches_to(TaskId{UINT64_MAX});
  std::ranges::sort(ended, {}, &Task::finish_sequence);
  for (Task* task : ended) {
    if (!task->ended) task->ended = WallNow();
    index_.AddFinish(task->finish_sequence, task->id, task->tenant, task->batch);
    last_finish_ = std::max(last_finish_, task->finish_sequence);
    Retain(*task);
  }
}

// A batch as it was stored. What is counted for its lines with tasks is corrected with those.
void LocalQueue::AdoptBatch(BatchRow stored, LineStates states) {
  LineBatch& batch = AddBatch(std::move(stored));
  batch.states = std::move(states);
  const BatchRow& row = batch.row;
  open_lines_ -= row.cut ? batch.states.lines() : batch.states.ended();
  if (row.cut && row.plan.expires_at) batch_expiry_due_.Remove(*row.plan.expires_at, row.first);
  uint64_t counts[model::kStateCount] = {};
  for (uint64_t line = 0; line < batch.states.lines(); ++line) {
    State state = batch.states.Get(line).value_or(row.cut.value_or(State::kQueued));
    ++counts[static_cast<size_t>(state)];
  }
  for (int i = 0; i < model::kStateCount; ++i) {
    if (counts[i] == 0) continue;
    index_.Count(batch.tenant, row.plan.batch, std::nullopt, static_cast<State>(i), counts[i]);
  }
  uint64_t first = batch.states.NextLive(0).value_or(batch.states.lines());
  for (LineCursor& cursor : batch.cursors) {
    cursor.next = row.plan.first_line + first;
    cursor.eligible = row.created + row.pace * static_cast<int64_t>(first);
  }
}

// Leases of our own died with us. A start is taken back: a crash of ours says nothing against the
// task, so it costs no attempt. Leases of other processes go on.
void LocalQueue::AdoptTask(Task& task) {
  LineBatch* batch = BatchAt(task.id);
  if (batch != nullptr) {
    task.is_line = true;
    task.edited = task.priority != batch->row.plan.priority ||
                  std::optional<base::WallTime>(task.deadline) != batch->row.plan.deadline;
    ++batch->tasks;
  } else {
    index_.Add(task.id, task.id, task.tenant, task.batch);
    UseBlob(task.payload.blob);
    if (IsTerminal(task.state)) UseBlob(task.result.blob);
  }
  if (HasLease(task.state)) AdoptLease(task);
  auto from =
      batch == nullptr ? std::nullopt : std::optional(batch->row.cut.value_or(State::kQueued));
  if (from != task.state) index_.Count(task.tenant, task.batch, from, task.state);
  if (IsTerminal(task.state)) return;
  if (batch == nullptr) {
    ++live_;
    Use(task);
  }
  if (task.expires_at && batch == nullptr) expiry_due_.Add(*task.expires_at, task.id);
}

void LocalQueue::AdoptLease(Task& task) {
  if (task.lease) {
    task.lease->expires = SteadyNow() + task.lease->ttl;
    task.lease->started = SteadyNow();
    lease_due_.Add(task.lease->expires, task.id);
    scheduler_->Charge(TenantName(task), EntryOf(task).cost);
    return;
  }
  if (task.state == State::kRunning && task.attempts > 0) --task.attempts;
  task.state = State::kQueued;
  ++task.version;
  Changed(task, kDirtyState, Wait::kRides);
}

Awaitable<base::Result<>> LocalQueue::Close() {
  while (phase_ == Phase::kClosing) co_await closed_.Wait();
  if (phase_ == Phase::kClosed) co_return base::Result<>{};
  phase_ = Phase::kClosing;
  WakeAllClaims();
  base::Result<> result;
  if (commits_) {
    commits_->Rest();
    commits_->Request();
    result = co_await commits_->WaitFor(commits_->current());
  }
  reader_.reset();  // else the journal's log is not written back at its end
  auto close = [journal = journal_] { return journal->Close(); };
  base::Result<> closed = co_await runtime_.RunBlocking(runtime::kJournalLane, std::move(close));
  phase_ = Phase::kClosed;
  closed_.NotifyAll();
  co_return result ? closed : result;
}

bool LocalQueue::healthy() const { return phase_ == Phase::kOpen && !commits_->failure(); }

// Whether calls are served.
base::Result<> LocalQueue::Ready() const {
  if (phase_ != Phase::kOpen) return base::Fail(base::Code::kUnavailable, "the queue is not open");
  if (const auto& failure = commits_->failure()) {
    return base::Fail(CodeForCaller(*failure), "the store failed, restart to recover: {}",
                      failure->message());
  }
  return {};
}

// Resumes when `group` is durable; if it never will be, nothing counts as done.
Awaitable<base::Result<>> LocalQueue::Durable(Group group) {
  base::Result<> durable = co_await commits_->WaitFor(group);
  if (durable) co_return durable;
  co_return Ready();
}

Awaitable<LocalQueue::Items> LocalQueue::Acknowledge(Items items, Group group) {
  base::Result<> durable = co_await Durable(group);
  if (!durable) {
    for (auto& item : items) {
      if (item) item = durable;
    }
  }
  co_return items;
}

// The rows of the group whose commit starts now.
ChangeSet LocalQueue::Collect() {
  ChangeSet changes;
  for (TaskId id : std::exchange(dirty_, {})) {
    if (Task* task = tasks_.Find(id)) CollectTask(*task, changes);  // else dropped since
  }
  CollectBatches(changes);
  changes.keys = std::exchange(new_keys_, {});
  changes.removed_keys = std::exchange(old_keys_, {});
  if (std::exchange(charged_, false)) CollectTenantTimes(changes);
  Meta meta = CurrentMeta();
  if (meta != stored_meta_) changes.meta = stored_meta_ = meta;
  deltas_in_flight_ = std::exchange(deltas_, {});
  return changes;
}

void LocalQueue::CollectTask(Task& task, ChangeSet& changes) {
  uint8_t dirty = std::exchange(task.dirty, uint8_t{0});
  if (dirty & kDirtySpec) changes.specs.push_back({task.id, SpecOf(task), task.submitted});
  if (dirty & kDirtyState) changes.states.push_back(tasks_.StateOf(task));
  if (dirty & kDirtyCheckpoint) {
    changes.checkpoints.push_back({task.id, task.extra ? task.extra->checkpoint : std::string()});
  }
}

void LocalQueue::CollectBatches(ChangeSet& changes) {
  for (model::BatchId id : std::exchange(dirty_batches_, {})) {
    LineBatch* batch = FindBatch(id);
    if (batch == nullptr) continue;  // forgotten since
    batch->dirty = false;
    changes.batches.push_back(batch->row);
  }
  std::ranges::move(std::exchange(forgotten_, {}), std::back_inserter(changes.batches));
  changes.lines = std::exchange(ended_lines_, {});
  changes.removed_lines = std::exchange(revived_lines_, {});
  changes.removed_tasks = std::exchange(dropped_tasks_, {});
  changes.past = std::exchange(past_, {});
  changes.pauses = std::exchange(new_pauses_, {});
  changes.removed_pauses = std::exchange(old_pauses_, {});
}

void LocalQueue::CollectTenantTimes(ChangeSet& changes) {
  for (auto& [tenant, time] : scheduler_->VirtualTimes()) {
    auto [stored, is_new] = stored_times_.try_emplace(tenant, 0.0);
    if (!is_new && stored->second == time) continue;
    stored->second = time;
    changes.tenant_times.push_back({tenant, time});
  }
}

Meta LocalQueue::CurrentMeta() const {
  return {.incarnation = fences_.reserved(),
          .last_task = tasks_.last_sequence(),
          .last_batch = last_batch_,
          .last_finish = last_finish_};
}

void LocalQueue::ApplyDeltas() {
  for (const Delta& delta : std::exchange(deltas_in_flight_, {})) {
    index_.Count(delta.tenant, delta.batch, delta.from, delta.to, delta.count);
  }
}

}  // namespace inferq::queue
