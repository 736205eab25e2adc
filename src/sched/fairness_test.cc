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
                       std::optional<base::WallTime> deadline = std::nullopt) {
    model::TaskId id{++last_id_};
    tasks_[id] = {tenant, cost};
    ++waiting_[tenant];
    scheduler_->Add({.id = id,
                     .tenant = tenant,
                     .lane = "m",
                     .key = MakeKey(now_, priority, 0, policy_),
                     .deadline = deadline,
                     .cost = cost});
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
  std::map<model::TaskId, Task> tasks_;
  std::map<std::string, double> served_;
  std::map<std::string, int> waiting_;
};

/// Seconds until a task of the lowest priority runs, while each second brings `urgent` tasks of the
/// highest and `due` overdue ones, and as many run as come. Gives up after `limit`.
int64_t WaitOfTheLowest(OrderPolicy policy, int urgent, int due, int64_t limit) {
  World world(policy);
  for (int i = 0; i < urgent + due; ++i) world.Submit("t", model::kMaxPriority);
  model::TaskId lowest = world.Submit("t", model::kMinPriority);
  for (int64_t second = 0; second < limit; ++second) {
    for (int i = 0; i < urgent; ++i) world.Submit("t", model::kMaxPriority);
    for (int i = 0; i < due; ++i) {
      world.Submit("t", model::kMinPriority, 1, world.now() - seconds(1));
    }
    for (int i = 0; i < urgent + due; ++i) {
      if (world.RunOne() == lowest) return second;
    }
    world.Wait(seconds(1));
  }
  return limit;
}

TEST(Starvation, TheLowestPriorityRunsWithinTheRangeOfPrioritiesOverTheAgingRate) {
  int64_t day = 86'400;
  EXPECT_LE(WaitOfTheLowest({.aging_per_second = 1}, 1, 0, day), 2'001);
  EXPECT_LE(WaitOfTheLowest({.aging_per_second = 0.1}, 1, 0, day), 20'001);
  EXPECT_GE(WaitOfTheLowest({.aging_per_second = 0.1}, 1, 0, day), 19'000) << "and priority counts";
}

TEST(Starvation, OverdueWorkDoesNotHoldTheRestUp) {
  EXPECT_LE(WaitOfTheLowest({.aging_per_second = 1}, 1, 1, 86'400), 2'002);
  EXPECT_LE(WaitOfTheLowest({.aging_per_second = 1, .due_quota_window = 8}, 2, 2, 86'400), 2'004);
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

}  // namespace
}  // namespace inferq::sched
