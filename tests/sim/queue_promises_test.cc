// The promises of the queue that need a story of their own: a worker that comes back from the dead,
// a poisoned task among innocents, a flood that must not drown a trickle, and parents whose endings
// are told twice, out of order, with a power cut in between. Each log is checked as a whole, too.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "queue_world.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;
using base::Code;
using model::State;
using model::TaskId;
using model::TaskRecord;
using model::TaskSpec;
using testing::CrashMode;

class QueuePromises : public ::testing::Test {
 protected:
  void SetUp() override { Restart({}); }
  void TearDown() override {
    if (!world_) return;
    testing::HistoryRules rules;
    rules.all_ended = all_ended_;
    EXPECT_EQ(world_->Check(rules), "");
  }
  void Restart(LocalQueueOptions options) {
    world_.emplace(QueueWorldOptions{.queue = std::move(options)});
    ASSERT_TRUE(world_->Do(world_->Open()));
  }
  LoggedQueue& queue() { return *world_->queue(); }
  TaskSpec Spec(std::string tenant = "default") {
    TaskSpec spec;
    spec.lane = "m";
    spec.tenant = std::move(tenant);
    spec.payload = {.blob = ++labels_, .offset = 0, .length = 1};
    return spec;
  }
  std::vector<TaskId> Submit(std::vector<TaskSpec> specs) {
    auto ids = world_->Do(queue().Submit(std::move(specs)));
    EXPECT_TRUE(ids.has_value());
    return ids.value_or(std::vector<TaskId>{});
  }
  std::vector<ClaimedTask> Claim(uint32_t most, base::Micros lease = 10min) {
    ClaimRequest request{.worker = "w", .lanes = {"m"}, .max_tasks = most, .lease = lease};
    return world_->Do(queue().Claim(request)).value_or(std::vector<ClaimedTask>{});
  }
  static TaskRef Ref(const ClaimedTask& task) { return {task.id, task.fence}; }
  base::Result<> Start(const ClaimedTask& task) { return world_->Do(queue().Start(Ref(task))); }
  base::Result<> Complete(const ClaimedTask& task, uint64_t result = 1) {
    return world_->Do(queue().Complete({.task = Ref(task), .result = {1, result, 1}}));
  }
  void CrashTogether(const std::vector<ClaimedTask>& tasks) {
    std::vector<Failure> failures;
    for (const ClaimedTask& task : tasks) {
      failures.push_back({.task = Ref(task),
                          .error = base::Error(Code::kInternal, "the worker died"),
                          .crashed = true});
    }
    for (const auto& item : world_->Do(queue().FailAll(failures))) EXPECT_TRUE(item.has_value());
  }
  TaskRecord Get(TaskId id) { return world_->Do(queue().plain().Get(id)).value(); }

  std::optional<QueueWorld> world_;
  uint64_t labels_ = 0;
  bool all_ended_ = true;
};

// --- T7

class QueueZombie : public QueuePromises, public ::testing::WithParamInterface<bool> {};

// Stopped past its lease, woken while (or after) another worker runs the task: nothing it says is
// taken, and nothing changes.
TEST_P(QueueZombie, ChangesNothing) {
  TaskId id = Submit({Spec()})[0];
  ClaimedTask zombie = Claim(1, 10s)[0];
  ASSERT_TRUE(Start(zombie));
  world_->sim().RunFor(11s);
  ClaimedTask heir = Claim(1)[0];
  ASSERT_TRUE(Start(heir));
  if (GetParam()) ASSERT_TRUE(Complete(heir, 7));
  TaskRecord before = Get(id);

  Renewal renewal{.task = Ref(zombie), .lease = 1h, .checkpoint = "old"};
  Failure failure{.task = Ref(zombie), .error = base::Error(Code::kInternal, "late")};
  EXPECT_EQ(Start(zombie).error().code(), Code::kAborted);
  EXPECT_EQ(world_->Do(queue().Renew(renewal)), RenewalReply::kLost);
  EXPECT_EQ(Complete(zombie, 8).error().code(), Code::kAborted);
  EXPECT_EQ(world_->Do(queue().Fail(failure)).error().code(), Code::kAborted);
  EXPECT_EQ(world_->Do(queue().Release(Ref(zombie))).error().code(), Code::kAborted);

  TaskRecord after = Get(id);
  EXPECT_EQ(after.version, before.version);
  EXPECT_EQ(after.state, before.state);
  EXPECT_EQ(after.fence, before.fence);
  EXPECT_EQ(after.checkpoint, before.checkpoint);
  EXPECT_EQ(after.lease.has_value(), before.lease.has_value());
  if (after.lease) EXPECT_EQ(after.lease->expires, before.lease->expires);
  if (!GetParam()) ASSERT_TRUE(Complete(heir, 7));
  EXPECT_EQ(Get(id).outcome.result.offset, 7u);
}

INSTANTIATE_TEST_SUITE_P(When, QueueZombie, ::testing::Bool(), [](const auto& info) {
  return info.param ? "TheHeirIsDone" : "TheHeirRuns";
});

// --- T10

class QueuePoison : public QueuePromises, public ::testing::WithParamInterface<bool> {
 protected:
  // One claim of a worker that the poisoned task kills. @return whether there was work.
  bool Work(TaskId poison) {
    auto tasks = Claim(64);
    bool dies = false;
    for (const ClaimedTask& task : tasks) {
      EXPECT_TRUE(Start(task));
      dies |= task.id == poison;
    }
    if (dies) {
      ++crashes_;
      CrashTogether(tasks);
      return true;
    }
    for (const ClaimedTask& task : tasks) EXPECT_TRUE(Complete(task));
    return !tasks.empty();
  }
  int crashes_ = 0;
};

TEST_P(QueuePoison, OneDeadLetterAndNoInnocentPays) {
  std::vector<TaskSpec> specs;
  for (int i = 0; i < 64; ++i) {
    specs.push_back(Spec());
    specs.back().max_attempts = 1;  // an attempt that is burned shows at once
  }
  std::vector<TaskId> ids = Submit(specs);
  TaskId poison = ids[31];
  for (int claims = 0; Work(poison); ++claims) {
    ASSERT_LT(claims, 200) << "no end to it";
    if (!GetParam()) continue;
    world_->Do(world_->Drain());  // suspicion and crashes survive restarts
    ASSERT_TRUE(world_->Do(world_->Open()));
  }
  for (TaskId id : ids) {
    TaskRecord record = Get(id);
    EXPECT_EQ(record.state, id == poison ? State::kFailed : State::kSucceeded);
    EXPECT_EQ(record.attempts, id == poison ? 0u : 1u);
    EXPECT_EQ(record.crashes, id == poison ? 3u : 0u);
  }
  EXPECT_THAT(Get(poison).outcome.message, ::testing::HasSubstr("dead letter"));
  EXPECT_EQ(crashes_, 4);  // once among the others, three times alone
}

INSTANTIATE_TEST_SUITE_P(Server, QueuePoison, ::testing::Bool(), [](const auto& info) {
  return info.param ? "RestartsAfterEachClaim" : "Stays";
});

// --- T12

constexpr base::Micros kService = 5s;  // one worker: 0.2 tasks a second

class QueueFlood : public QueuePromises {
 protected:
  void SetUp() override { all_ended_ = false; }
  // Serves one task at a time for `duration`, while `arrive` submits.
  void Serve(base::Micros duration, const std::function<void(base::Micros)>& arrive) {
    for (base::Micros at{0}; at < duration; at += kService) {
      arrive(at);
      auto tasks = Claim(1);
      if (!tasks.empty()) {
        EXPECT_TRUE(Start(tasks[0]));
        started_[tasks[0].id] = world_->sim().clock().Steady();
      }
      world_->sim().RunFor(kService);
      if (!tasks.empty()) EXPECT_TRUE(Complete(tasks[0]));
    }
  }
  // Waits of a task that was submitted at `since`; none: for ever.
  base::Micros WaitOf(TaskId id, base::SteadyTime since) {
    auto started = started_.find(id);
    return started == started_.end() ? base::Micros::max() : started->second - since;
  }
  std::map<TaskId, base::SteadyTime> started_;
};

// More work that is due than there is time for, and all of the highest priority that half of the
// time has room for, for three hours: the task of the lowest priority starts within the bound.
TEST_F(QueueFlood, TheLowestPriorityStartsWithinTheBound) {
  LocalQueueOptions options;
  options.order.aging_per_second = 1.0;
  Restart(options);
  TaskSpec low = Spec();
  low.priority = model::kMinPriority;
  TaskId id{};
  base::SteadyTime since;
  for (int i = 0; i < 2; ++i) {  // so that some always wait
    TaskSpec high = Spec();
    high.priority = model::kMaxPriority;
    Submit({high});
  }
  Serve(3h, [&](base::Micros at) {
    TaskSpec due = Spec();
    due.deadline = world_->sim().clock().Wall() + 1us;
    Submit({due});
    TaskSpec high = Spec();
    high.priority = model::kMaxPriority;
    if (at % (2 * kService) == 0s) Submit({high});
    if (at != 300s) return;
    id = Submit({low})[0];
    since = world_->sim().clock().Steady();
  });
  constexpr double kRange = model::kMaxPriority - model::kMinPriority;
  double bound = (kRange + options.order.boost_cap) / options.order.aging_per_second;
  auto wait = WaitOf(id, since);
  EXPECT_LE(wait,
            base::Micros(static_cast<int64_t>(bound * 1e6)) + 6 * kService);  // of those before it
  EXPECT_GT(wait, 1900s) << "priority counts for something";
}

// A tenant with thousands waiting does not hold up one that comes now and then.
TEST_F(QueueFlood, ATrickleIsServedBesideAFlood) {
  Restart({});
  std::vector<TaskSpec> flood;
  for (int i = 0; i < 2000; ++i) {
    flood.push_back(Spec("flood"));
    flood.back().priority = model::kMaxPriority;
  }
  Submit(flood);
  std::map<TaskId, base::SteadyTime> trickle;
  Serve(2h, [&](base::Micros at) {
    if (at % 60s != 0s) return;
    trickle[Submit({Spec("trickle")})[0]] = world_->sim().clock().Steady();
  });
  EXPECT_EQ(trickle.size(), 120u);
  for (const auto& [id, since] : trickle) EXPECT_LE(WaitOf(id, since), 2 * kService);
}

// --- T13

// Three layers of joins, in which the end of each task is told twice and out of order.
class QueueJoins : public QueuePromises {
 protected:
  void SetUp() override {}
  std::vector<TaskSpec> Graph() {
    std::vector<TaskSpec> specs;
    for (int i = 0; i < 13; ++i) specs.push_back(Spec());
    for (uint32_t i = 0; i < 4; ++i)  // of eight tasks
      specs[8 + i].parents = {InThisCall(2 * i), InThisCall(2 * i + 1),
                              InThisCall((2 * i + 2) % 8)};
    for (uint32_t i = 0; i < 4; ++i) specs[12].parents.push_back(InThisCall(8 + i));
    return specs;
  }
  // Claims what there is and tells of its end twice, in any order; false: the power is out.
  bool Round(base::Rng& rng) {
    auto tasks = Claim(20);
    if (tasks.empty() && due_.empty()) return world_->healthy();
    for (const ClaimedTask& task : tasks) {
      EXPECT_TRUE(claimed_.insert({task.id, task.fence}).second);
      if (!Start(task)) return false;
      due_.push_back(task);
      due_.push_back(task);
    }
    while (due_.size() > tasks.size() / 2) {  // some are only told in the next round
      std::swap(due_[rng.Below(due_.size())], due_.back());
      ClaimedTask task = due_.back();
      due_.pop_back();
      auto told = Complete(task, task.fence.value);
      if (!told && told.error().code() == Code::kUnavailable) return false;
    }
    return true;
  }
  bool Ended(TaskId id) {
    auto record = world_->Do(queue().plain().Get(id));
    return record && IsTerminal(record->state);
  }
  uint64_t Claims(TaskId id) {
    return static_cast<uint64_t>(
        std::ranges::count(claimed_, id, &std::pair<TaskId, model::Fence>::first));
  }
  std::vector<ClaimedTask> due_;
  std::set<std::pair<TaskId, model::Fence>> claimed_;
};

TEST_F(QueueJoins, FireOnceWhereverThePowerGoes) {
  bool crashed = true;
  int points = 0;
  for (uint64_t n = 1; crashed && !HasFailure(); ++n, ++points) {
    SCOPED_TRACE(fmt::format("power cut {} operations after the submission", n));
    world_.reset();
    due_.clear();
    claimed_.clear();
    labels_ = 0;
    Restart({});
    base::Rng rng(n);
    std::vector<TaskId> ids = Submit(Graph());
    world_->disk().CrashAtOperation(world_->disk().operations() + n);
    crashed = false;
    for (int round = 0; round < 100 && !HasFailure() && !Ended(ids[12]); ++round) {
      if (Round(rng)) continue;
      ASSERT_FALSE(crashed) << "the power went only once";
      crashed = true;
      world_->Do(world_->Kill(n % 2 == 0 ? CrashMode::kStrict : CrashMode::kRandom));
      ASSERT_TRUE(world_->Do(world_->Open()));
    }
    for (size_t i = 8; i < ids.size(); ++i) EXPECT_LE(Claims(ids[i]), crashed ? 2u : 1u);
    ASSERT_EQ(world_->Check({}), "");
  }
  EXPECT_GT(points, 10);
}

}  // namespace
}  // namespace inferq::queue
