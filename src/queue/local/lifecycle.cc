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
  Meta meta;
  std::optional<base::Error> error;

  void AddTask(SpecRow spec, StateRow state, std::string checkpoint);
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

// What one row cannot tell.
base::Result<> LocalQueue::Recovered::Check() {
  tasks.ForEach([this](Task& task) {
    if (!task.extra) return;
    for (TaskId parent : task.extra->parents) {
      if (tasks.Find(parent) != nullptr) continue;
      error = base::Error(base::Code::kDataLoss,
                          fmt::format("{}, a parent of {}, is missing from the store",
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
    INFERQ_TRY(journal->Open(visitor));
    return recovered->Check();
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
  opened_ = SteadyNow();
  for (const KeyRow& row : recovered.keys) keys_.Add(row);
  for (const TenantTime& row : recovered.times) {
    scheduler_->RestoreVirtualTime(row.tenant, row.virtual_time);
    stored_times_[row.tenant] = row.virtual_time;
  }
  std::vector<Task*> ended;
  tasks_.ForEach([&](Task& task) {
    AdoptTask(task);
    if (IsTerminal(task.state)) ended.push_back(&task);
  });
  std::ranges::sort(ended, {}, &Task::finish_sequence);
  for (Task* task : ended) {
    index_.AddFinish(task->finish_sequence, task->id, task->tenant, task->batch);
    last_finish_ = std::max(last_finish_, task->finish_sequence);
  }
  tasks_.ForEach([this](Task& task) {  // all are known now: parents may have larger ids
    if (task.state == State::kQueued) scheduler_->Add(EntryOf(task));
    if (task.state != State::kBlocked) return;
    bool retries = task.extra && task.extra->retry_at;  // it was let go by its parents
    if (!retries) WaitForParents(task);
    if (task.UnfinishedParents() == 0) TryUnblock(task, Wait::kRides);
  });
}

// A lease died with the process that gave it. A start is taken back: a crash of ours says nothing
// against the task, so it costs no attempt.
void LocalQueue::AdoptTask(Task& task) {
  index_.Add(task.id, task.tenant, task.batch);
  if (HasLease(task.state)) {
    if (task.state == State::kRunning && task.attempts > 0) --task.attempts;
    task.state = State::kQueued;
    ++task.version;
    Changed(task, kDirtyState, Wait::kRides);
  }
  index_.Count(task.tenant, task.batch, std::nullopt, task.state);
  if (IsTerminal(task.state)) return;
  ++live_;
  if (task.expires_at) expiry_due_.Add(*task.expires_at, task.id);
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
  for (TaskId id : std::exchange(dirty_, {})) CollectTask(*tasks_.Find(id), changes);
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
  if (dirty & kDirtySpec) changes.specs.push_back({task.id, tasks_.SpecOf(task), task.submitted});
  if (dirty & kDirtyState) changes.states.push_back(tasks_.StateOf(task));
  if (dirty & kDirtyCheckpoint) {
    changes.checkpoints.push_back({task.id, task.extra ? task.extra->checkpoint : std::string()});
  }
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
    const Task& task = *tasks_.Find(delta.id);
    index_.Count(task.tenant, task.batch, delta.from, delta.to);
  }
}

}  // namespace inferq::queue
