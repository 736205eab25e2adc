// The network, the clients, and what goes wrong. Workers are in queue_workers.cc.

#include "queue_actors.h"

#include <gtest/gtest.h>

#include "queue_network.h"

namespace inferq::queue {

using namespace std::chrono_literals;
using base::Code;
using model::TaskId;
using model::TaskSpec;
using testing::CrashMode;

namespace {

constexpr base::Micros kWatch = 2s;  // between two looks at the process

testing::HistoryRules Rules() {
  testing::HistoryRules rules;
  rules.max_running["t1"] = 3;
  rules.aging_per_second = 1.0;
  return rules;
}

}  // namespace

Faults::Faults(base::Rng& rng) {
  auto draw = [&rng](double most) { return rng.Chance(0.6) ? rng.Uniform() * most : 0.0; };
  lost_request = draw(0.15);
  lost_answer = draw(0.15);
  twice = draw(0.2);
  delay = base::Micros(static_cast<int64_t>(draw(2e6)));
  power_cuts = rng.Chance(0.6);
  torn = rng.Chance(0.7);
  kills = rng.Chance(0.4);
  disk_faults = rng.Chance(0.5);
  drains = rng.Chance(0.5);
  clock_jumps = rng.Chance(0.4);
  bad_workers = rng.Chance(0.8);
  failing_work = rng.Chance(0.8);
  poison = rng.Chance(0.5);
  slow_disk = rng.Chance(0.4) ? base::Micros(rng.Below(300'000)) : 0us;
}

QueueWorldOptions QueueSimulation::WorldOptions(uint64_t seed, base::Micros slow_disk, bool naive) {
  QueueWorldOptions options{.seed = seed, .blocking_delay = slow_disk, .queue = {}};
  options.queue.tenants["t0"] = {.weight = 3};
  options.queue.tenants["t1"] = {.weight = 1, .max_running = 3};
  options.queue.rng_seed = seed;
  if (naive) options.queue.make_scheduler = sched::MakeNaiveScheduler;
  return options;
}

QueueSimulation::QueueSimulation(uint64_t seed, bool naive)
    : rng_(seed),
      faults_(rng_),
      world_(WorldOptions(seed, faults_.slow_disk, naive)),
      wanted_(10 + rng_.Below(25)) {}

bool QueueSimulation::RunToEnd() {
  if (rng_.Chance(0.3)) FailDiskSoon();
  while (!world_.Do(world_.Open())) {
  }
  Spawn(Director());
  for (int i = 0; i < 2; ++i) Spawn(Client());
  for (int i = 0; i < 3; ++i) Spawn(Worker(fmt::format("w{}", i)));
  // The civil clock may stand an hour behind what tasks wait for.
  bool ended = world_.sim().RunUntil([this] { return calm_ && clients_ == 0 && AllEnded(); }, 8h);
  over_ = true;
  EXPECT_TRUE(world_.sim().RunUntil([this] { return actors_ == 0; }, 1h));
  world_.sim().RunFor(10min);  // what is still under way in the network
  return ended;
}

std::string QueueSimulation::Check() { return world_.Check(Rules()); }

// Of what is acknowledged or at least known to the queue.
bool QueueSimulation::AllEnded() {
  if (!world_.healthy()) return false;
  QueueStats stats = world_.queue()->plain().Stats({});
  for (int i = 0; i < model::kStateCount; ++i) {
    if (!IsTerminal(static_cast<model::State>(i)) && stats.by_state[i] > 0) return false;
  }
  return true;
}

void QueueSimulation::Spawn(Awaitable<void> actor) {
  ++actors_;
  world_.sim().SpawnDetached(Count(std::move(actor)));
}

Awaitable<void> QueueSimulation::Count(Awaitable<void> actor) {
  co_await std::move(actor);
  --actors_;
}

Awaitable<void> QueueSimulation::Sleep(base::Micros most) {
  co_await world_.sim().SleepFor(base::Micros(rng_.Below(static_cast<uint64_t>(most.count()) + 1)));
}

// --- clients

Awaitable<void> QueueSimulation::Client() {
  ++clients_;
  while (!calm_) {
    if (submissions_ < wanted_ && rng_.Chance(0.5)) {
      co_await Submit();
    } else {
      co_await ChangeSomething();
    }
    co_await Sleep(4s);
  }
  --clients_;
}

// Asks again until it is answered, if it has keys to do so safely.
Awaitable<void> QueueSimulation::Submit() {
  ++submissions_;
  bool keyed = rng_.Chance(0.6);
  std::string tenant = fmt::format("t{}", rng_.Below(3));
  std::vector<TaskSpec> specs;
  for (size_t i = 0, count = 1 + rng_.Below(5); i < count; ++i) {
    specs.push_back(Spec(tenant, keyed));
    AddParents(specs, i);
  }
  for (int tries = keyed ? 5 : 1; tries > 0; --tries) {
    if (co_await SubmitOnce(specs, keyed)) break;
    co_await Sleep(2s);
  }
  if (!keyed || !rng_.Chance(0.2)) co_return;
  if (rng_.Chance(0.5)) specs[0].content_hash += 1;  // another client with the same key
  (void)co_await SubmitOnce(std::move(specs), true);
}

// @return whether there is no need to ask again.
Awaitable<bool> QueueSimulation::SubmitOnce(std::vector<TaskSpec> specs, bool keyed) {
  std::string tenant = specs[0].tenant;
  Call<base::Result<std::vector<TaskId>>> call = [specs](LoggedQueue& queue) {
    return queue.Submit(specs);
  };
  auto answer = co_await Ask(std::move(call), keyed ? Repeat::kHarmless : Repeat::kForbidden);
  if (!answer) co_return false;
  if (!*answer) co_return !IsRetryable((*answer).error().code());
  for (TaskId id : **answer) known_.emplace_back(id, tenant);
  co_return true;
}

TaskSpec QueueSimulation::Spec(const std::string& tenant, bool keyed) {
  TaskSpec spec;
  spec.tenant = tenant;
  spec.lane = rng_.Chance(0.5) ? "a" : "b";
  spec.payload = {.blob = ++labels_, .offset = 0, .length = 1};
  spec.content_hash = labels_;
  if (keyed) spec.idempotency_key = fmt::format("k{}", ++keys_);
  spec.priority = static_cast<int>(rng_.Below(41)) - 20;
  if (rng_.Chance(0.1))
    spec.priority = rng_.Chance(0.5) ? model::kMaxPriority : model::kMinPriority;
  spec.cost = 1 + rng_.Below(50);
  spec.max_attempts = 1 + static_cast<uint32_t>(rng_.Below(4));
  if (faults_.poison && rng_.Chance(0.04)) poisoned_.insert(labels_);
  AddTimes(spec);
  return spec;
}

void QueueSimulation::AddTimes(TaskSpec& spec) {
  base::WallTime now = world_.sim().clock().Wall();
  auto soon = [&](uint64_t most) { return now + 1s + base::Micros(rng_.Below(most)); };
  if (rng_.Chance(0.1)) spec.deadline = soon(60'000'000);
  if (rng_.Chance(0.07)) spec.not_before = soon(30'000'000);
  if (rng_.Chance(0.07)) spec.expires_at = soon(120'000'000);
}

void QueueSimulation::AddParents(std::vector<TaskSpec>& specs, size_t index) {
  TaskSpec& spec = specs[index];
  std::set<TaskId> parents;
  for (size_t i = 0; i < index; ++i) {
    if (rng_.Chance(0.25)) parents.insert(InThisCall(static_cast<uint32_t>(i)));
  }
  for (int i = 0; i < 2 && !known_.empty() && rng_.Chance(0.3); ++i) {
    const auto& [id, tenant] = known_[rng_.Below(known_.size())];
    if (tenant == spec.tenant) parents.insert(id);
  }
  spec.parents.assign(parents.begin(), parents.end());
  if (rng_.Chance(0.5)) spec.parent_policy = model::ParentPolicy::kAllTerminal;
}

TaskId QueueSimulation::AnyTask() { return known_[rng_.Below(known_.size())].first; }

Awaitable<void> QueueSimulation::ChangeSomething() {
  if (known_.empty()) co_return;
  TaskId id = AnyTask();
  uint64_t choice = rng_.Below(10);
  if (choice < 2) {
    Call<base::Result<>> cancel = [id](LoggedQueue& queue) { return queue.Cancel(id); };
    (void)co_await Ask(std::move(cancel));
  } else if (choice < 4) {
    Call<base::Result<>> requeue = [id](LoggedQueue& queue) { return queue.Requeue(id); };
    (void)co_await Ask(std::move(requeue));
  } else if (choice < 6) {
    EditRequest edit{.id = id, .priority = static_cast<int>(rng_.Below(41)) - 20};
    Call<base::Result<model::Version>> call = [edit](LoggedQueue& queue) {
      return queue.Edit(edit);
    };
    (void)co_await Ask(std::move(call));
  } else {
    Call<base::Result<model::TaskRecord>> see = [id](LoggedQueue& queue) { return queue.See(id); };
    (void)co_await Ask(std::move(see));
  }
}

// --- what goes wrong

Awaitable<void> QueueSimulation::Director() {
  Spawn(WatchOver());
  base::SteadyTime end =
      world_.sim().clock().Steady() + 40s + base::Micros(rng_.Below(120'000'000));
  while (world_.sim().clock().Steady() < end) {
    co_await Sleep(15s);
    co_await Trouble();
  }
  calm_ = true;
  world_.history().Note("calm");
  faults_.lost_request = faults_.lost_answer = faults_.twice = 0;
}

Awaitable<void> QueueSimulation::Trouble() {
  uint64_t choice = rng_.Below(5);
  if (choice == 0 && faults_.clock_jumps) {
    base::Micros by(static_cast<int64_t>(rng_.Below(7'200'000'000)) - 3'600'000'000);
    world_.history().Note(fmt::format("the civil clock jumps by {} s", by.count() / 1'000'000));
    world_.sim().JumpWallClock(by);
  }
  if (choice == 1) FailDiskSoon();
  if (restarting_ || world_.queue() == nullptr) co_return;
  bool kill = choice == 2 && faults_.kills;
  bool drain = choice == 3 && faults_.drains;
  bool cut = choice == 4 && faults_.power_cuts;
  if (!kill && !drain && !cut) co_return;
  restarting_ = true;
  if (drain) {
    co_await world_.Drain();
  } else {
    co_await world_.Kill(kill ? CrashMode::kProcess : PowerCut());
  }
  co_await Recover();
}

void QueueSimulation::FailDiskSoon() {
  if (!faults_.disk_faults) return;
  constexpr testing::DiskFault kKinds[] = {testing::DiskFault::kNoSpace,
                                           testing::DiskFault::kWriteError,
                                           testing::DiskFault::kSyncError};
  uint64_t kind = rng_.Below(3);
  world_.history().Note(fmt::format("disk fault {}", kind));
  world_.disk().FailOperation(world_.disk().operations() + 1 + rng_.Below(12), kKinds[kind]);
}

Awaitable<void> QueueSimulation::Recover() {
  co_await Sleep(5s);
  while (!co_await world_.Open()) co_await Sleep(5s);
  restarting_ = false;
}

// Restarts a process whose store has failed, as an init system does.
Awaitable<void> QueueSimulation::WatchOver() {
  while (!over_) {
    co_await world_.sim().SleepFor(calm_ ? 30s : kWatch);
    if (restarting_ || world_.healthy()) continue;
    restarting_ = true;
    world_.history().Note("unhealthy: restarts");
    if (rng_.Chance(0.5)) {
      co_await world_.Drain();
    } else {
      co_await world_.Kill(CrashMode::kProcess);
    }
    co_await Recover();
  }
}

}  // namespace inferq::queue
