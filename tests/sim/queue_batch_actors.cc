#include "queue_batch_actors.h"

#include <fmt/format.h>

#include <algorithm>

namespace inferq::queue {

using namespace std::chrono_literals;
using base::Code;
using model::BatchId;
using model::State;
using model::TaskId;
using model::TaskSpec;
using testing::CrashMode;

namespace {

constexpr uint64_t kResultBlobs = 1'000'000;  // their numbers begin here

TaskRef RefOf(const ClaimedTask& task) { return {task.id, task.fence}; }

}  // namespace

BatchFaults::BatchFaults(base::Rng& rng) {
  power_cuts = rng.Chance(0.6);
  torn = rng.Chance(0.7);
  kills = rng.Chance(0.5);
  disk_faults = rng.Chance(0.4);
  drains = rng.Chance(0.5);
  bad_workers = rng.Chance(0.8);
  failing_work = rng.Chance(0.8);
  bad_indices = rng.Chance(0.4);
  small_retention = rng.Chance(0.4);
  large = rng.Chance(0.03);
  slow_disk = rng.Chance(0.4) ? base::Micros(rng.Below(300'000)) : 0us;
  window = 8 + static_cast<uint32_t>(rng.Below(57));
}

base::Result<std::vector<LineInfo>> BatchIndices::Read(const base::Clock& clock, uint64_t index,
                                                       uint64_t first, uint32_t count) const {
  if (clock.Steady() < unreadable_until) return base::Fail(Code::kUnavailable, "the disk sulks");
  auto damaged = damaged_from.find(index);
  if (damaged != damaged_from.end() && first + count > damaged->second)
    return base::Fail(Code::kDataLoss, "line {} is damaged", damaged->second);
  const auto& all = lines.at(index);
  auto begin = all.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(first, all.size()));
  auto left = std::min<uint64_t>(count, static_cast<uint64_t>(all.end() - begin));
  return std::vector(begin, begin + static_cast<ptrdiff_t>(left));
}

QueueWorldOptions QueueBatchSimulation::WorldOptions(uint64_t seed, const BatchFaults& faults) {
  QueueWorldOptions options{.seed = seed, .blocking_delay = faults.slow_disk, .queue = {}};
  options.queue.rng_seed = seed;
  options.queue.line_window = faults.window;
  options.queue.read_lines = [indices = indices_, clock = clock_](uint64_t index, uint64_t first,
                                                                  uint32_t count) {
    return indices->Read(**clock, index, first, count);
  };
  if (faults.small_retention) options.queue.retention = {.age = 20s, .count = 3};
  return options;
}

QueueBatchSimulation::QueueBatchSimulation(uint64_t seed)
    : rng_(seed),
      faults_(rng_),
      world_(WorldOptions(seed, faults_)),
      wanted_(faults_.large ? 2 : 2 + rng_.Below(5)) {
  *clock_ = &world_.sim().clock();
}

void QueueBatchSimulation::Note(const std::string& text) {
  log_ += fmt::format("{:>9} {}\n", Now().time_since_epoch().count() / 1000, text);
}

bool QueueBatchSimulation::RunToEnd() {
  while (!world_.Do(world_.Open())) {
  }
  Spawn(Director());
  for (int i = 0; i < 2; ++i) Spawn(Client());
  for (int i = 0; i < 3; ++i) Spawn(Worker(fmt::format("w{}", i), i == 2 || rng_.Chance(0.4)));
  bool ended = world_.sim().RunUntil([this] { return calm_ && clients_ == 0 && AllEnded(); }, 8h);
  over_ = true;
  world_.sim().RunUntil([this] { return actors_ == 0; }, 1h);
  if (!ended || actors_ > 0) return false;
  world_.Do(LookAtAll(true));
  for (auto& [id, batch] : ledger_.batches()) {
    if (!batch.gone && !world_.Do(Forget(batch)))
      ledger_.Breach(ToString(id) + " cannot be forgotten");
  }
  world_.Do(LookAtAll(true));
  world_.sim().RunFor(1min);  // their rows are removed
  world_.Do(world_.Drain());
  if (std::string found = world_.CheckStore(); !found.empty()) ledger_.Breach(found);
  while (!world_.Do(world_.Open())) {
  }
  world_.Do(LookAtAll(true));
  return true;
}

std::string QueueBatchSimulation::Breaches() const {
  std::string text;
  for (const std::string& breach : ledger_.breaches()) text += breach + "\n";
  return text.substr(0, 4000);
}

bool QueueBatchSimulation::AllEnded() {
  if (!world_.healthy() || looking_ || restarting_) return false;
  QueueStats stats = world_.queue()->plain().Stats({});
  for (int i = 0; i < model::kStateCount; ++i) {
    if (!IsTerminal(static_cast<State>(i)) && stats.by_state[i] > 0) return false;
  }
  return true;
}

void QueueBatchSimulation::Spawn(Awaitable<void> actor) {
  ++actors_;
  world_.sim().SpawnDetached(Count(std::move(actor)));
}

Awaitable<void> QueueBatchSimulation::Count(Awaitable<void> actor) {
  co_await std::move(actor);
  --actors_;
}

Awaitable<void> QueueBatchSimulation::Sleep(base::Micros most) {
  co_await world_.sim().SleepFor(base::Micros(rng_.Below(static_cast<uint64_t>(most.count()) + 1)));
}

template <class T>
Awaitable<std::optional<T>> QueueBatchSimulation::Ask(Call<T> call) {
  LoggedQueue* queue = looking_ ? nullptr : world_.queue();
  if (queue == nullptr) co_return std::nullopt;
  co_return co_await queue->Unlogged(call(queue->plain()));
}

Awaitable<void> QueueBatchSimulation::Items(std::vector<LedgerEvent*> events,
                                            Call<std::vector<base::Result<>>> call) {
  auto answer = co_await Ask(std::move(call));
  if (!answer) co_return;
  for (size_t i = 0; i < events.size(); ++i) {
    if (events[i] != nullptr) ledger_.Answer(*events[i], (*answer)[i]);
  }
}

// --- clients

Awaitable<void> QueueBatchSimulation::Client() {
  ++clients_;
  while (!calm_) {
    uint64_t choice = rng_.Below(10);
    if (choice < 3 && submitted_ < wanted_) {
      co_await SubmitBatch();
    } else if (choice < 5) {
      co_await SubmitSingles();
    } else {
      co_await ChangeSomething();
    }
    co_await Sleep(3s);
  }
  co_await ResumeAll();
  --clients_;
}

BatchPlan QueueBatchSimulation::Plan(uint64_t lines) {
  BatchPlan plan;
  plan.tenant = fmt::format("t{}", rng_.Below(2));
  plan.lanes = {"a"};
  if (rng_.Chance(0.4)) plan.lanes = {"a", "b", "c"};
  plan.lines = lines;
  plan.input_blob = ++last_blob_;
  plan.index_blob = ++last_blob_;
  plan.mean_cost = 5;
  plan.priority = -static_cast<int>(rng_.Below(10));
  plan.max_attempts = 1 + static_cast<uint32_t>(rng_.Below(4));
  base::WallTime now = world_.sim().clock().Wall();
  if (rng_.Chance(0.2)) plan.expires_at = now + 5s + base::Micros(rng_.Below(115'000'000));
  if (rng_.Chance(0.2)) plan.deadline = now + 60s;
  auto& index = indices_->lines[plan.index_blob];
  for (uint64_t line = 0; line < lines; ++line) {
    auto lane = static_cast<uint32_t>(rng_.Below(plan.lanes.size()));
    index.push_back({.offset = line * 100, .length = 90, .cost = 5, .lane = lane, .locality = {}});
  }
  return plan;
}

// Asks until it is known what became of it.
Awaitable<void> QueueBatchSimulation::SubmitBatch() {
  ++submitted_;
  uint64_t lines = 1 + rng_.Below(rng_.Chance(0.5) ? 12 : 90);
  if (faults_.large && submitted_ == 1) lines = 500 + rng_.Below(2500);
  BatchPlan plan = Plan(lines);
  while (!plan.batch) {
    if (world_.healthy() && !looking_) plan.batch = world_.queue()->plain().NewBatchId();
    if (!plan.batch) co_await Sleep(2s);
  }
  if (ledger_.batches().contains(plan.batch)) ledger_.Breach("a batch's number is given out again");
  BatchLedger::Batch& batch = ledger_.Add(plan);
  if (faults_.bad_indices && rng_.Chance(0.2)) {
    batch.damaged = true;
    indices_->damaged_from[plan.index_blob] = rng_.Below(lines);
  }
  while (true) {
    Call<base::Result<TaskId>> call = [plan](Queue& queue) { return queue.SubmitBatch(plan); };
    auto answer = co_await Ask(std::move(call));
    if (answer && *answer) {
      if (batch.first && batch.first != **answer) ledger_.Breach("a batch has two ranges of ids");
      batch.first = **answer;
      batch.acknowledged = true;
      Note(fmt::format("{} has {} lines from {}", ToString(plan.batch), lines,
                       ToString(batch.first)));
      co_return;
    }
    if (answer && !IsRetryable((*answer).error().code())) {
      batch.gone = true;
      co_return;
    }
    co_await Sleep(2s);
  }
}

// Children of lines and of each other, some for later, some with keys.
Awaitable<void> QueueBatchSimulation::SubmitSingles() {
  BatchLedger::Batch* batch = AnyBatch();
  std::vector<TaskSpec> specs;
  for (size_t i = 0, count = 1 + rng_.Below(3); i < count; ++i) {
    TaskSpec spec;
    spec.tenant = batch == nullptr ? "t0" : batch->plan.tenant;
    spec.lane = "a";
    spec.payload = {.blob = 5, .offset = ++labels_, .length = 1};
    spec.content_hash = labels_;
    spec.max_attempts = 2;
    if (rng_.Chance(0.5)) spec.parent_policy = model::ParentPolicy::kAllTerminal;
    if (rng_.Chance(0.3))
      spec.not_before = world_.sim().clock().Wall() + 1s + base::Micros(rng_.Below(60'000'000));
    if (rng_.Chance(0.5)) spec.idempotency_key = fmt::format("k{}", ++keys_);
    std::set<TaskId> parents;
    if (batch != nullptr && rng_.Chance(0.6))
      parents.insert(batch->IdOf(rng_.Below(batch->plan.lines)));
    if (!singles_.empty() && rng_.Chance(0.4)) {
      const Single& other = singles_[rng_.Below(singles_.size())];
      if (other.spec.tenant == spec.tenant) parents.insert(other.id);
    }
    if (i > 0 && rng_.Chance(0.3)) parents.insert(InThisCall(static_cast<uint32_t>(i - 1)));
    spec.parents.assign(parents.begin(), parents.end());
    specs.push_back(std::move(spec));
  }
  Call<base::Result<std::vector<TaskId>>> call = [specs](Queue& queue) {
    return queue.Submit(specs);
  };
  auto answer = co_await Ask(std::move(call));
  if (!answer || !*answer) co_return;
  std::vector<TaskId> ids = **answer;
  for (size_t i = 0; i < specs.size(); ++i) {
    for (TaskId& parent : specs[i].parents) {
      if (auto in_call = IndexInThisCall(parent)) parent = ids[*in_call];
    }
    bool may_fail = !specs[i].parents.empty();  // with a parent
    singles_.push_back({.spec = specs[i], .id = ids[i], .may_have_ended = may_fail});
  }
}

// The key of a task stands for it even when that is gone.
Awaitable<void> QueueBatchSimulation::RepeatKey() {
  if (singles_.empty()) co_return;
  Single single = singles_[rng_.Below(singles_.size())];
  if (single.spec.idempotency_key.empty() || !single.spec.parents.empty()) co_return;
  std::vector<TaskSpec> specs{single.spec};
  Call<base::Result<std::vector<TaskId>>> call = [specs](Queue& queue) {
    return queue.Submit(specs);
  };
  auto answer = co_await Ask(std::move(call));
  if (answer && *answer && (**answer)[0] != single.id)
    ledger_.Breach(fmt::format("the key of {} stands for {} now", ToString(single.id),
                               ToString((**answer)[0])));
}

BatchLedger::Batch* QueueBatchSimulation::AnyBatch() {
  std::vector<BatchLedger::Batch*> known;
  for (auto& [id, batch] : ledger_.batches()) {
    if (batch.acknowledged && !batch.gone) known.push_back(&batch);
  }
  return known.empty() ? nullptr : known[rng_.Below(known.size())];
}

Awaitable<void> QueueBatchSimulation::ChangeSomething() {
  if (faults_.bad_indices && rng_.Chance(0.2))
    indices_->unreadable_until = Now() + base::Micros(rng_.Below(5'000'000));
  BatchLedger::Batch* batch = AnyBatch();
  if (batch == nullptr) co_return;
  uint64_t choice = rng_.Below(24);
  if (choice < 5) {
    co_await ChangeLines(*batch, Op::kCancel);
  } else if (choice < 10) {
    co_await ChangeLines(*batch, Op::kRequeue);
  } else if (choice < 13) {
    co_await EditLine(*batch);
  } else if (choice < 14) {
    co_await EditBatch(batch->plan.batch);
  } else if (choice < 16) {
    co_await Cut(*batch, rng_.Chance(0.6));
  } else if (choice < 19) {
    co_await PauseSomething(*batch);
  } else if (choice < 21) {
    co_await RepeatKey();
  } else {
    (void)co_await Forget(*batch);
  }
}

Awaitable<void> QueueBatchSimulation::ChangeLines(BatchLedger::Batch& batch, Op op) {
  std::vector<TaskId> ids;
  std::vector<LedgerEvent*> events;
  std::set<uint64_t> lines;
  uint64_t near = rng_.Below(batch.plan.lines);
  for (size_t i = 0, count = 1 + rng_.Below(4); i < count; ++i)
    lines.insert(std::min(batch.plan.lines - 1,
                          rng_.Chance(0.7) ? near + rng_.Below(6) : rng_.Below(batch.plan.lines)));
  for (uint64_t line : lines) {
    ids.push_back(batch.IdOf(line));
    events.push_back(&ledger_.Call(batch.lines[line], {.op = op}));
  }
  Call<std::vector<base::Result<>>> call = [op, ids](Queue& queue) {
    return op == Op::kCancel ? queue.Cancel(ids) : queue.Requeue(ids);
  };
  co_await Items(std::move(events), std::move(call));
}

Awaitable<void> QueueBatchSimulation::EditLine(BatchLedger::Batch& batch) {
  uint64_t line = rng_.Below(batch.plan.lines);
  int priority = 1 + static_cast<int>(rng_.Below(20));  // a batch never has these
  LedgerEvent& event = ledger_.Call(batch.lines[line], {.op = Op::kEdit, .priority = priority});
  EditRequest edit{.id = batch.IdOf(line), .priority = priority};
  Call<base::Result<model::Version>> call = [edit](Queue& queue) { return queue.Edit(edit); };
  auto answer = co_await Ask(std::move(call));
  if (!answer) co_return;
  base::Result<> told;
  if (!*answer) told = std::unexpected((*answer).error());
  ledger_.Answer(event, told);
}

Awaitable<void> QueueBatchSimulation::EditBatch(BatchId batch) {
  queue::BatchEdit edit{.batch = batch, .priority = -static_cast<int>(rng_.Below(20))};
  Call<base::Result<>> call = [edit](Queue& queue) { return queue.EditBatch(edit); };
  (void)co_await Ask(std::move(call));
}

Awaitable<void> QueueBatchSimulation::Cut(BatchLedger::Batch& batch, bool waiting_only) {
  LedgerEvent& event =
      ledger_.Call(batch.story, {.op = waiting_only ? Op::kCutWaiting : Op::kCutAll});
  TaskFilter filter{.batch = batch.plan.batch};
  if (waiting_only) filter.state = State::kQueued;
  Call<base::Result<uint64_t>> call = [filter](Queue& queue) { return queue.CancelWhere(filter); };
  auto answer = co_await Ask(std::move(call));
  Note(fmt::format("{} is cut{}: {}", ToString(batch.plan.batch), waiting_only ? " short" : "",
                   answer && *answer ? **answer : 0));
  if (answer && *answer && **answer > 0) ledger_.Accept(event);  // 0: perhaps it was over
}

Awaitable<void> QueueBatchSimulation::Pause(PauseTarget target, LedgerStory& story, bool paused) {
  LedgerEvent& event = ledger_.Call(story, {.op = paused ? Op::kPause : Op::kResume});
  Call<base::Result<>> call = [target, paused](Queue& queue) {
    return queue.SetPaused(target, paused);
  };
  auto answer = co_await Ask(std::move(call));
  if (answer) ledger_.Answer(event, *answer);
}

Awaitable<void> QueueBatchSimulation::PauseSomething(BatchLedger::Batch& batch) {
  bool paused = rng_.Chance(0.5);
  uint64_t choice = rng_.Below(4);
  std::string name = choice == 0 ? batch.plan.tenant : "b";
  if (choice == 0)
    co_return co_await Pause({.kind = PauseTarget::Kind::kTenant, .name = name},
                             ledger_.StoryOf(name), paused);
  if (choice == 1)
    co_return co_await Pause({.kind = PauseTarget::Kind::kLane, .name = name},
                             ledger_.StoryOf(name), paused);
  co_await Pause({.kind = PauseTarget::Kind::kBatch, .name = {}, .batch = batch.plan.batch},
                 batch.story, paused);
}

Awaitable<void> QueueBatchSimulation::ResumeAll() {
  std::vector<PauseTarget> targets = {{.kind = PauseTarget::Kind::kTenant, .name = "t0"},
                                      {.kind = PauseTarget::Kind::kTenant, .name = "t1"},
                                      {.kind = PauseTarget::Kind::kLane, .name = "b"}};
  for (auto& [id, batch] : ledger_.batches())
    targets.push_back({.kind = PauseTarget::Kind::kBatch, .name = {}, .batch = id});
  for (const PauseTarget& target : targets) {
    bool of_batch = target.kind == PauseTarget::Kind::kBatch;
    LedgerStory& story =
        of_batch ? ledger_.batches().at(target.batch).story : ledger_.StoryOf(target.name);
    while (true) {
      co_await Pause(target, story, false);
      if (story.back().fate != LedgerEvent::Fate::kDoubt) break;
      co_await Sleep(2s);
    }
  }
}

// @return whether it is gone.
Awaitable<bool> QueueBatchSimulation::Forget(BatchLedger::Batch& batch) {
  LedgerEvent& event = ledger_.Call(batch.story, {.op = Op::kForget});
  BatchId id = batch.plan.batch;
  Call<base::Result<>> call = [id](Queue& queue) { return queue.ForgetBatch(id); };
  auto answer = co_await Ask(std::move(call));
  if (!answer) co_return false;
  ledger_.Answer(event, *answer);
  Note(fmt::format("{} is forgotten: {}", ToString(id),
                   *answer ? "yes" : (*answer).error().ToString()));
  if (*answer) batch.gone = true;
  co_return batch.gone;
}

// --- workers

Awaitable<void> QueueBatchSimulation::Worker(std::string name, bool external) {
  while (!over_) {
    uint32_t most = calm_ || faults_.large ? 64 : 12;
    ClaimRequest request{.worker = name,
                         .lanes = {"a", "b", "c"},
                         .max_tasks = 1 + static_cast<uint32_t>(rng_.Below(most)),
                         .lease = 3s + base::Micros(rng_.Below(17'000'000)),
                         .external = external};
    if (!calm_ && rng_.Chance(0.3)) request.lanes.pop_back();
    request.wait_until = Now() + (calm_ ? 60s : base::Micros(rng_.Below(3'000'000)));
    uint64_t called = ledger_.Tick();
    base::SteadyTime until = Now() + request.lease;
    Call<base::Result<std::vector<ClaimedTask>>> call = [request](Queue& queue) {
      return queue.Claim(request);
    };
    auto answer = co_await Ask(std::move(call));
    if (!answer || !*answer || (*answer)->empty()) {
      co_await Sleep(1s);
      continue;
    }
    std::vector<ClaimedTask> lines;
    for (const ClaimedTask& task : **answer) {
      if (!task.spec.batch) {
        Spawn(SingleClaimed(task));
        continue;
      }
      if (!ledger_.batches().contains(task.spec.batch)) ledger_.Breach("a batch nobody submitted");
      ledger_.Claimed(task, called, external, until);
      lines.push_back(task);
    }
    Spawn(WorkOnAll(std::move(lines), request.lease));
    co_await Sleep(calm_ ? 1s : 3s);
  }
}

Awaitable<void> QueueBatchSimulation::Tell(std::vector<ClaimedTask> tasks, Op op) {
  if (tasks.empty()) co_return;
  std::vector<LedgerEvent*> events;
  std::vector<TaskRef> refs;
  std::vector<Failure> failures;
  for (const ClaimedTask& task : tasks) {
    LedgerStory& story = ledger_.StoryOf(task.spec.batch, task.spec.line);
    events.push_back(&ledger_.Call(story, {.op = op, .fence = task.fence}));
    refs.push_back(RefOf(task));
    failures.push_back({.task = refs.back(),
                        .error = base::Error(Code::kInternal, "broke"),
                        .retryable = rng_.Chance(0.7),
                        .crashed = rng_.Chance(0.2)});
  }
  Call<std::vector<base::Result<>>> call = [op, refs, failures](Queue& queue) {
    if (op == Op::kFail) return queue.Fail(failures);
    return op == Op::kStart ? queue.Start(refs) : queue.Release(refs);
  };
  co_await Items(std::move(events), std::move(call));
}

Awaitable<void> QueueBatchSimulation::Renew(std::vector<ClaimedTask> tasks, base::Micros lease) {
  std::vector<Renewal> renewals;
  for (const ClaimedTask& task : tasks) {
    renewals.push_back({.task = RefOf(task), .lease = lease, .checkpoint = {}});
    if (rng_.Chance(0.2)) renewals.back().checkpoint = "half";
  }
  Call<std::vector<RenewalReply>> call = [renewals](Queue& queue) { return queue.Renew(renewals); };
  (void)co_await Ask(std::move(call));
}

Awaitable<void> QueueBatchSimulation::Complete(std::vector<ClaimedTask> tasks) {
  if (tasks.empty()) co_return;
  std::vector<Completion> completions;
  for (const ClaimedTask& task : tasks)
    completions.push_back({.task = RefOf(task),
                           .result = {kResultBlobs + rng_.Below(4), ++results_, 10},
                           .cost = 1 + rng_.Below(9)});
  for (int times = rng_.Chance(0.15) ? 2 : 1; times > 0; --times) {
    std::vector<LedgerEvent*> events;
    for (size_t i = 0; i < tasks.size(); ++i) {
      LedgerStory& story = ledger_.StoryOf(tasks[i].spec.batch, tasks[i].spec.line);
      events.push_back(&ledger_.Call(
          story, {.op = Op::kComplete, .fence = tasks[i].fence, .result = completions[i].result}));
    }
    Call<std::vector<base::Result<>>> call = [completions](Queue& queue) {
      return queue.Complete(completions);
    };
    co_await Items(std::move(events), std::move(call));
    co_await Sleep(1s);
  }
}

Awaitable<void> QueueBatchSimulation::WorkOnAll(std::vector<ClaimedTask> tasks,
                                                base::Micros lease) {
  bool bad = !calm_ && faults_.bad_workers;
  if (bad && rng_.Chance(0.07)) co_return;  // dies at once
  co_await Tell(tasks, Op::kStart);
  co_await Sleep(2s);
  if (rng_.Chance(0.2)) co_await Renew(tasks, lease);
  if (bad && rng_.Chance(0.07)) co_return;  // dies without a word
  if (bad && rng_.Chance(0.07)) co_await world_.sim().SleepFor(lease + 5s);
  std::vector<ClaimedTask> good;
  std::vector<ClaimedTask> failed;
  std::vector<ClaimedTask> released;
  for (ClaimedTask& task : tasks) {
    double fate = calm_ ? 1.0 : rng_.Uniform();
    if (faults_.failing_work && fate < 0.2) {
      failed.push_back(std::move(task));
    } else if (bad && fate < 0.27) {
      released.push_back(std::move(task));
    } else {
      good.push_back(std::move(task));
    }
  }
  co_await Tell(std::move(failed), Op::kFail);
  co_await Tell(std::move(released), Op::kRelease);
  co_await Complete(std::move(good));
}

// Its parents have ended, and well if it wants that.
Awaitable<void> QueueBatchSimulation::SingleClaimed(ClaimedTask task) {
  auto found = std::ranges::find(singles_, task.id, &Single::id);
  if (found != singles_.end()) {
    found->may_have_ended = true;
    if (task.fence.value <= found->last_fence) ledger_.Breach("the fence of a child falls");
    found->last_fence = task.fence.value;
  }
  for (TaskId parent : task.spec.parents) {
    Call<base::Result<model::TaskRecord>> get = [parent](Queue& queue) {
      return queue.Get(parent);
    };
    auto record = co_await Ask(std::move(get));
    if (!record || !*record || ledger_.MayBeRequeued(parent)) continue;
    State state = (*record)->state;
    bool well = task.spec.parent_policy == model::ParentPolicy::kAllTerminal;
    if (!(well ? IsTerminal(state) : state == State::kSucceeded))
      ledger_.Breach(fmt::format("{} was given out, its parent {} is {}", ToString(task.id),
                                 ToString(parent), StateName(state)));
  }
  std::vector<TaskRef> refs{RefOf(task)};
  std::vector<Completion> completions{{.task = refs[0], .result = {6, ++results_, 1}}};
  Call<std::vector<base::Result<>>> start = [refs](Queue& queue) { return queue.Start(refs); };
  (void)co_await Ask(std::move(start));
  co_await Sleep(1s);
  Call<std::vector<base::Result<>>> complete = [completions](Queue& queue) {
    return queue.Complete(completions);
  };
  (void)co_await Ask(std::move(complete));
}

// --- what goes wrong

Awaitable<void> QueueBatchSimulation::Director() {
  Spawn(WatchOver());
  base::SteadyTime end = Now() + 30s + base::Micros(rng_.Below(90'000'000));
  while (Now() < end) {
    co_await Sleep(12s);
    co_await Trouble();
  }
  calm_ = true;
  Note("calm");
}

Awaitable<void> QueueBatchSimulation::Trouble() {
  uint64_t choice = rng_.Below(5);
  if (choice == 1 && faults_.disk_faults) {
    constexpr testing::DiskFault kKinds[] = {testing::DiskFault::kNoSpace,
                                             testing::DiskFault::kWriteError,
                                             testing::DiskFault::kSyncError};
    world_.disk().FailOperation(world_.disk().operations() + 1 + rng_.Below(12),
                                kKinds[rng_.Below(3)]);
    Note("disk fault");
  }
  if (restarting_ || world_.queue() == nullptr) co_return;
  if (choice == 2 && faults_.kills) co_await Restart(false, CrashMode::kProcess);
  if (choice == 3 && faults_.drains) co_await Restart(true, CrashMode::kProcess);
  if (choice == 4 && faults_.power_cuts)
    co_await Restart(false, faults_.torn ? CrashMode::kRandom : CrashMode::kStrict);
}

Awaitable<void> QueueBatchSimulation::Restart(bool drain, CrashMode mode) {
  restarting_ = true;
  base::SteadyTime stopped = Now();
  Note(drain ? "drain" : mode == CrashMode::kProcess ? "kill" : "power cut");
  drain ? co_await world_.Drain() : co_await world_.Kill(mode);
  stopped = std::max(stopped, Now());
  co_await Sleep(5s);
  looking_ = true;
  while (!co_await world_.Open()) co_await Sleep(5s);
  co_await LookAtLeases(stopped);
  co_await LookAtAll(false);
  looking_ = false;
  restarting_ = false;
}

Awaitable<void> QueueBatchSimulation::WatchOver() {
  while (!over_) {
    co_await world_.sim().SleepFor(calm_ ? 30s : 2s);
    if (restarting_ || world_.healthy()) continue;
    Note("unhealthy");
    co_await Restart(rng_.Chance(0.5), CrashMode::kProcess);
  }
}

// --- what is looked at

Awaitable<void> QueueBatchSimulation::LookAtAll(bool over) {
  CheckCounts();
  for (auto& [id, batch] : ledger_.batches()) {
    if (!world_.healthy()) co_return;
    bool in_doubt = !batch.acknowledged;
    bool forgotten = false;
    for (const LedgerEvent& event : batch.story) {
      if (event.op != Op::kForget || event.fate == LedgerEvent::Fate::kRefused) continue;
      in_doubt |= event.fate == LedgerEvent::Fate::kDoubt;
      forgotten |= event.fate == LedgerEvent::Fate::kAccepted;
    }
    Queue& queue = world_.queue()->plain();
    if (in_doubt && !forgotten && queue.Stats({.batch = id}).total() == 0) {
      if (batch.acknowledged) batch.gone = forgotten = true;
      if (!batch.acknowledged) continue;
    }
    if (forgotten) {
      co_await LookAtForgotten(batch);
    } else if (batch.first) {
      co_await LookAt(batch, over);
    }
  }
  co_await LookAtSingles(over);
}

Awaitable<void> QueueBatchSimulation::LookAt(BatchLedger::Batch& batch, bool over) {
  Queue& queue = world_.queue()->plain();
  BatchId id = batch.plan.batch;
  BatchLedger::View view;
  view.stats = queue.Stats({.batch = id});
  view.without_result = queue.LinesWithoutResult(id, {}, 10'000);
  QueryRequest by_finish{.filter = {.batch = id},
                         .order = QueryRequest::Order::kFinishSequence,
                         .limit = 1 + static_cast<uint32_t>(rng_.Below(200))};
  indices_->unreadable_until = {};
  while (true) {
    auto page = co_await queue.Query(by_finish);
    if (!page) co_return;  // the disk failed again
    if (page->empty()) break;
    by_finish.after = page->back().finish_sequence;
    std::ranges::move(*page, std::back_inserter(view.ended));
  }
  if (!batch.damaged) {
    QueryRequest by_id{.filter = {.batch = id}, .limit = 10'000};
    auto page = co_await queue.Query(by_id);
    if (!page) co_return;
    view.all = *std::move(page);
  }
  if (over) {
    ledger_.Check(batch, view, true);
  } else {
    // Time goes on while it is looked at: what ended by itself may be in one answer only.
    QueueStats now = queue.Stats({.batch = id});
    bool still = std::ranges::equal(now.by_state, view.stats.by_state);
    if (still) ledger_.Check(batch, view, false);
  }
  for (const model::TaskRecord& record : view.ended) {
    uint64_t blob = record.outcome.result.blob;
    if (blob != 0 && !queue.UsesBlob(blob)) ledger_.Breach("a result's blob is not in use");
  }
  if (!queue.UsesBlob(batch.plan.input_blob) || !queue.UsesBlob(batch.plan.index_blob))
    ledger_.Breach("a batch's file is not in use");
}

Awaitable<void> QueueBatchSimulation::LookAtForgotten(BatchLedger::Batch& batch) {
  Queue& queue = world_.queue()->plain();
  std::string name = ToString(batch.plan.batch);
  TaskFilter filter{.batch = batch.plan.batch};
  if (queue.Stats(filter).total() != 0) ledger_.Breach(name + " is forgotten and counted");
  if (queue.UsesBlob(batch.plan.input_blob)) ledger_.Breach(name + " is forgotten, not its file");
  QueryRequest request{.filter = filter};
  auto page = co_await queue.Query(request);
  if (page && !page->empty()) ledger_.Breach(name + " is forgotten and shown");
  auto record = co_await queue.Get(batch.IdOf(0));
  if (record || (record.error().code() != Code::kNotFound && queue.healthy()))
    ledger_.Breach(name + " is forgotten and its first line is there");
}

Awaitable<void> QueueBatchSimulation::LookAtLeases(base::SteadyTime stopped) {
  for (const TaskRef& ref : ledger_.CertainLeases(stopped)) {
    auto record = co_await world_.queue()->plain().Get(ref.id);
    if (!record) continue;
    if (!HasLease(record->state) || record->fence != ref.fence)
      ledger_.Breach(fmt::format("the lease of {} did not outlive the restart: it is {}",
                                 ToString(ref.id), StateName(record->state)));
  }
}

Awaitable<void> QueueBatchSimulation::LookAtSingles(bool over) {
  for (size_t i = 0; i < singles_.size(); ++i) {
    auto record = co_await world_.queue()->plain().Get(singles_[i].id);
    std::string name = ToString(singles_[i].id);
    if (record && over && !IsTerminal(record->state)) ledger_.Breach(name + " is left");
    if (record || record.error().code() != Code::kNotFound) continue;
    if (!faults_.small_retention || !singles_[i].may_have_ended)
      ledger_.Breach(name + " was acknowledged and is gone");
  }
}

void QueueBatchSimulation::CheckCounts() {
  Queue& queue = world_.queue()->plain();
  QueueStats all = queue.Stats({});
  for (int i = 0; i < model::kStateCount; ++i) {
    uint64_t tenants =
        queue.Stats({.tenant = "t0"}).by_state[i] + queue.Stats({.tenant = "t1"}).by_state[i];
    if (all.by_state[i] != tenants || all.by_state[i] > (uint64_t{1} << 40))
      ledger_.Breach(fmt::format("{} of all tenants are {}, {} of each", all.by_state[i],
                                 StateName(static_cast<State>(i)), tenants));
  }
}

}  // namespace inferq::queue
