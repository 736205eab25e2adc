#include "service/worker_registry.h"

#include <gtest/gtest.h>

namespace inferq::service {
namespace {

using namespace std::chrono_literals;

WorkerRegistry::Now At(base::Micros time) {
  return {.steady = base::SteadyTime(time), .wall = base::WallTime(time)};
}

void SweepAll(WorkerRegistry& registry, base::Micros now) {
  while (registry.SweepLeases(base::SteadyTime(now), 1)) {
  }
}

TEST(WorkerRegistry, CountsWhatEachHolds) {
  WorkerRegistry registry({});
  auto one = registry.Touch("t", "one", At(0s));
  auto two = registry.Touch("t", "two", At(0s));
  registry.Hold(model::TaskId{1}, one, base::SteadyTime(10s));
  registry.Hold(model::TaskId{2}, one, base::SteadyTime(20s));
  registry.Hold(model::TaskId{2}, two, base::SteadyTime(20s));  // claimed by another
  EXPECT_EQ(one->seen.leases, 1u);
  EXPECT_EQ(two->seen.leases, 1u);
  EXPECT_EQ(*registry.TenantOf(model::TaskId{2}), "t");
  SweepAll(registry, 15s);
  EXPECT_EQ(one->seen.leases, 0u);
  EXPECT_EQ(registry.TenantOf(model::TaskId{1}), nullptr);
  registry.Drop(model::TaskId{2});
  registry.Drop(model::TaskId{2});
  EXPECT_EQ(two->seen.leases, 0u);
  EXPECT_EQ(registry.held(), 0u);
}

TEST(WorkerRegistry, HasALimitAndForgetsTheSilent) {
  WorkerRegistry registry({.workers_max = 2, .silence = 10s});
  registry.Touch("t", "a", At(0s));
  registry.Touch("t", "b", At(5s));
  auto third = registry.Touch("t", "c", At(6s));
  EXPECT_EQ(third->seen.worker, "c") << "served, but not listed";
  EXPECT_EQ(registry.List("t").size(), 2u);
  registry.Touch("t", "c", At(11s));
  ASSERT_EQ(registry.List("t").size(), 2u);
  EXPECT_EQ(registry.List("t")[1].worker, "c") << "in the place of a, which was silent";
  registry.SweepWorkers(base::SteadyTime(30s));
  EXPECT_TRUE(registry.List("t").empty());
}

TEST(WorkerRegistry, ListsOneTenantsOwn) {
  WorkerRegistry registry({});
  registry.Touch("t", "b", At(0s));
  registry.Touch("t", "a", At(0s));
  registry.Touch("tt", "x", At(0s));
  registry.Touch("s", "y", At(0s));
  auto list = registry.List("t");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].worker, "a");
}

}  // namespace
}  // namespace inferq::service
