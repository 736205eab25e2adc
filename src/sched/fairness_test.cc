#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "sched/scheduler.h"

namespace inferq::sched {
namespace {

using std::chrono::seconds;

/// One model, a virtual clock, tasks that take no time: what counts is the order.
class World {
 public:
  explicit World(OrderPolicy policy = {}) : policy_(policy), scheduler_(MakeScheduler(policy)) {}

  Scheduler& scheduler() { return *scheduler_; }
  base::WallTime now() const { return now_; }
  void Wait(base::Micros time) { now_ += time; }

  model::TaskId Submit(const std::string& tenant, int priority, model::TokenCount cost = 1,
                       std::optional<base::WallTime> deadline = std::nullopt,
                       model::LocalityKey locality = {}) {
    model::TaskId id{++last_id_};
    tasks_[id] = {tenant, cost};
    ++waiting_[tenant];
    scheduler_->Add({.id = id,
                     .tenant = tenant,
                     .lane = "m",
                     .key = MakeKey(now_, priority, 0, policy_),
                     .deadline = deadline,
                     .cost = cost,
                     .locality = locality});
    return id;
  }
  /// Claims, runs and settles one task. 0 when there is none.
  model::TaskId RunOne() {
    std::vector<std::string> lanes{"m"};
    auto picked = scheduler_->Pick({.lanes = lanes, .now = now_});
    if (picked.empty()) return {};
    const Task& task = tasks_.at(picked[0]);
    --waiting_[task.tenant];
    served_[task.tenant] += static_cast<double>(task.cost);
    scheduler_->Settle(task.tenant, task.cost, task.cost);
    tasks_.erase(picked[0]);
    return picked[0];
  }
  /// Lines with neighbouring ids, each eligible `pace` after the one before. @return the first.
  model::TaskId SubmitBatch(const std::string& tenant, int lines, model::TokenCount cost,
                            base::Micros pace) {
    base::WallTime created = now_;
    model::TaskId first{last_id_ + 1};
    for (int i = 0; i < lines; ++i, now_ += pace) Submit(tenant, 0, cost);
    now_ = created;
    return first;
  }
  bool Ran(model::TaskId id) const { return !tasks_.contains(id); }
  int waiting(const std::string& tenant) { return waiting_[tenant]; }
  double served(const std::string& tenant) { return served_[tenant]; }

 private:
  struct Task {
    std::string tenant;
    model::TokenCount cost;
  };
  const OrderPolicy policy_;
  std::unique_ptr<Scheduler> scheduler_;
  base::WallTime now_{seconds(1'800'000'000)};
  uint64_t last_id_ = 0;
  std::unordered_map<model::TaskId, Task> tasks_;  ///< Not yet run.
  std::map<std::string, double> served_;
  std::map<std::string, int> waiting_;
};

/// Seconds until a task of the lowest priority runs, while each second brings `urgent` tasks of the
/// highest and `due` overdue ones, and as many run as come. All but that one share a prefix. Gives
/// up after two days.
int64_t WaitOfTheLowest(OrderPolicy policy, int urgent, int due) {
  World world(policy);
  model::LocalityKey shared{1};
  for (int i = 0; i < urgent + due; ++i) world.Submit("t", model::kMaxPriority, 1, {}, shared);
  model::TaskId lowest = world.Submit("t", model::kMinPriority);
  for (int64_t second = 0; second < 2 * 86'400; ++second) {
    for (int i = 0; i < urgent; ++i) world.Submit("t", model::kMaxPriority, 1, {}, shared);
    for (int i = 0; i < due; ++i) {
      world.Submit("t", model::kMinPriority, 1, world.now() - seconds(1), shared);
    }
    for (int i = 0; i < urgent + due; ++i) {
      if (world.RunOne() == lowest) return second;
    }
    world.Wait(seconds(1));
  }
  return INT64_MAX;
}

/// The bound, with `turns` seconds for what goes before the task at its end: the work of the second
/// that waits all along, that of the second in which the window ends, and due work's turn.
int64_t Bound(const OrderPolicy& policy, int turns) {
  return std::chrono::ceil<seconds>(WaitBound(policy, seconds(turns))).count();
}

TEST(Starvation, TheLowestPriorityRunsWithinTheBound) {
  for (double aging : {1.0, 0.1}) {
    for (base::Micros window : {base::Micros(0), base::Micros(seconds(300))}) {
      OrderPolicy policy{.aging_per_second = aging, .boost_cap = 0, .prefix_window = window};
      int64_t waited = WaitOfTheLowest(policy, 1, 0);
      EXPECT_LE(waited, Bound(policy, 2));
      EXPECT_GE(waited, Bound(policy, -1) * 95 / 100) << "and priority and prefixes count";
    }
  }
}

TEST(Starvation, OverdueWorkDoesNotHoldTheRestUp) {
  for (OrderPolicy policy :
       {OrderPolicy{.boost_cap = 0}, OrderPolicy{.boost_cap = 0, .prefix_window = seconds(60)},
        OrderPolicy{.boost_cap = 0, .due_quota_window = 8}}) {
    int rows = static_cast<int>(policy.due_quota_window) / 2;  // of due work at most, in a row
    EXPECT_LE(WaitOfTheLowest(policy, rows, rows), Bound(policy, 3));
  }
}

TEST(Starvation, AnOverloadOfDueWorkTakesHalf) {
  World world;
  for (int i = 0; i < 1000; ++i) {
    world.Submit("t", 1000, 1, world.now() - seconds(1));
    world.Submit("t", 0);
  }
  int due = 0;
  for (int i = 0; i < 1000; ++i) due += static_cast<int>(world.RunOne().value % 2);
  EXPECT_EQ(due, 500);
}

TEST(Share, FollowsTheWeightsUnderSaturation) {
  World world;
  base::Rng rng(1);
  std::map<std::string, double> weights{{"a", 1}, {"b", 2}, {"c", 5}};
  for (auto& [name, weight] : weights) world.scheduler().SetTenant(name, {.weight = weight});
  double total = 0;
  for (int second = 0; second < 2 * 86'400; ++second) {
    for (auto& [name, weight] : weights) {
      while (world.waiting(name) < 5) world.Submit(name, 0, 1 + rng.Below(100));
    }
    world.RunOne();
    world.Wait(seconds(1));
  }
  for (auto& [name, weight] : weights) total += world.served(name);
  for (auto& [name, weight] : weights) {
    EXPECT_NEAR(world.served(name) / total, weight / 8, 0.001) << name;
  }
}

TEST(Share, OfNewcomersIsFairFromTheirFirstMinute) {
  // Tenants come for an hour and go for an hour, in turn, for a day. While two are there each
  // gets half.
  World world;
  for (int i = 0; i < 100; ++i) world.Submit("steady", 0);
  for (int hour = 0; hour < 24; ++hour) {
    double before = world.served("guest");
    for (int second = 0; second < 3'600; ++second) {
      world.Submit("steady", 0);
      if (hour % 2 == 1) world.Submit("guest", 0);
      world.RunOne();
      world.Wait(seconds(1));
    }
    if (hour % 2 == 1) EXPECT_NEAR(world.served("guest") - before, 1'800, 1);
    while (hour % 2 == 1 && world.scheduler().waiting() > 200) world.RunOne();
  }
}

TEST(Share, ATinyWeightIsServedStill) {
  World world;
  world.scheduler().SetTenant("tiny", {.weight = 0.001});
  world.Submit("tiny", 0, 100);
  world.Submit("tiny", 0, 100);
  for (int i = 0; i < 1'000; ++i) world.Submit("big", 0, 100);
  int64_t picks = 0;
  while (world.served("tiny") < 200 && picks < 10'000) {
    world.Submit("big", 0, 100);
    world.RunOne();
    ++picks;
  }
  EXPECT_NEAR(static_cast<double>(picks), 1'002, 2);
}

TEST(Share, FollowsTheWeightsWhateverTheSizesOfTheTasks) {
  World world;
  base::Rng rng(2);
  world.scheduler().SetTenant("small", {.weight = 3});
  for (int second = 0; second < 86'400; ++second) {
    while (world.waiting("small") < 3) world.Submit("small", 0, 1 + rng.Below(10));
    while (world.waiting("big") < 3) world.Submit("big", 0, 50 + rng.Below(450));
    world.RunOne();
    world.Wait(seconds(1));
  }
  EXPECT_NEAR(world.served("small") / world.served("big"), 3, 0.15);
}

TEST(Share, AGuaranteeIsHeldInEveryHour) {
  World world;
  base::Rng rng(3);
  world.scheduler().SetTenant("sure", {.weight = 0.01, .min_share = 0.3});
  world.scheduler().SetTenant("heavy", {.weight = 100});
  double sure = 0;
  double all = 0;
  for (int second = 0; second < 86'400; ++second) {
    for (const char* name : {"sure", "heavy", "other"}) {
      while (world.waiting(name) < 3)
        world.Submit(name, 0, 1 + rng.Below(name[0] == 's' ? 20 : 200));
    }
    world.RunOne();
    world.Wait(seconds(1));
    if (second % 3'600 != 3'599) continue;
    double now_sure = world.served("sure");
    double now_all = now_sure + world.served("heavy") + world.served("other");
    EXPECT_NEAR((now_sure - sure) / (now_all - all), 0.3, 0.005) << "hour " << second / 3'600;
    sure = now_sure;
    all = now_all;
  }
  EXPECT_GT(world.served("other"), 0) << "and the rest goes by weight";
}

TEST(Share, AGuaranteeIsAMinimumNotACap) {
  World world;
  world.scheduler().SetTenant("sure", {.weight = 3, .min_share = 0.3});
  for (int second = 0; second < 10'000; ++second) {
    for (const char* name : {"sure", "other"}) {
      while (world.waiting(name) < 3) world.Submit(name, 0, 5);
    }
    world.RunOne();
    world.Wait(seconds(1));
  }
  EXPECT_NEAR(world.served("sure") / world.served("other"), 3, 0.01);
}

TEST(Share, ACapOnTokensIsHeldAndTheRestIsUsed) {
  World world;
  base::Rng rng(4);
  world.scheduler().SetTenant("capped", {.weight = 100, .tokens_per_minute = 600});
  int day = 86'400;
  for (int second = 0; second < day; ++second) {
    for (const char* name : {"capped", "other"}) {
      while (world.waiting(name) < 3) world.Submit(name, 0, 1 + rng.Below(99));
    }
    world.RunOne();
    world.Wait(seconds(1));
  }
  double bound = 600.0 * (day / 60 + 1) + 99;  // one bucket more, overdrawn by one task
  EXPECT_LE(world.served("capped"), bound);
  EXPECT_GE(world.served("capped"), bound * 0.99);
  EXPECT_NEAR(world.served("capped") + world.served("other"), 50.0 * day, 50.0 * day * 0.01);
}

TEST(Pace, AFewLinesStartWithinSecondsThoughAMillionOfTheSameTenantCameBefore) {
  World world;
  constexpr double kRate = 1'000;           // tokens per second
  constexpr model::TokenCount kCost = 100;  // of each line
  base::Micros pace = BatchPace(kCost, kRate, seconds(1));
  ASSERT_EQ(pace, std::chrono::milliseconds(100));
  world.SubmitBatch("t", 1'000'000, kCost, pace);
  auto run_for = [&](base::Micros time) {  // at the tenant's rate
    for (base::WallTime end = world.now() + time; world.now() < end; world.Wait(pace)) {
      world.RunOne();
    }
  };
  run_for(std::chrono::hours(1));
  model::TaskId first = world.SubmitBatch("t", 20, kCost, pace);
  run_for(seconds(5));
  for (uint64_t line = 0; line < 20; ++line) EXPECT_TRUE(world.Ran({first.value + line})) << line;
}

}  // namespace
}  // namespace inferq::sched
