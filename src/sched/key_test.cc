#include <gtest/gtest.h>

#include <cmath>

#include "sched/scheduler.h"

namespace inferq::sched {
namespace {

base::WallTime At(int64_t seconds) { return base::WallTime(std::chrono::seconds(seconds)); }

TEST(MakeKey, IsTheEligibleTimeLessWhatThePriorityIsWorth) {
  OrderPolicy policy{.aging_per_second = 2.0};
  EXPECT_EQ(MakeKey(At(1000), 0, 0, policy), 1'000'000'000);
  EXPECT_EQ(MakeKey(At(1000), 100, 0, policy), 950'000'000);
  EXPECT_EQ(MakeKey(At(1000), -100, 0, policy), 1'050'000'000);
}

TEST(MakeKey, HoldsTheBoostInItsRange) {
  OrderPolicy policy{.boost_cap = 10};
  EXPECT_EQ(MakeKey(At(100), 0, 7, policy), 93'000'000);
  EXPECT_EQ(MakeKey(At(100), 0, 1'000, policy), 90'000'000);
  EXPECT_EQ(MakeKey(At(100), 0, -1, policy), 100'000'000);
}

TEST(MakeKey, RoundsHalfUp) {
  OrderPolicy policy{.aging_per_second = 2e6};
  EXPECT_EQ(MakeKey(At(1), 1, 0, policy), 999'999);
  EXPECT_EQ(MakeKey(At(1), -1, 0, policy), 1'000'000);
  EXPECT_EQ(MakeKey(At(1), -3, 0, policy), 1'000'001);
}

TEST(MakeKey, StaysExactInDoubles) {
  OrderPolicy slow{.aging_per_second = 1e-12};
  int64_t limit = (int64_t{1} << 53) - 1;
  EXPECT_EQ(MakeKey(At(1), 1000, 0, slow), -limit);
  EXPECT_EQ(MakeKey(At(1), -1000, 0, slow), limit);
}

TEST(MakeKeyDeathTest, RefusesARateThatDoesNotAge) {
  EXPECT_DEATH(MakeKey(At(1), 0, 0, {.aging_per_second = 0}), "aging_per_second > 0");
}

TEST(BatchPace, IsTheTimeOfOneLineAtTheTenantsRate) {
  base::Micros cap = std::chrono::seconds(1);
  EXPECT_EQ(BatchPace(100, 1'000, cap), std::chrono::milliseconds(100));
  EXPECT_EQ(BatchPace(1, 3'000'000, cap), base::Micros(1)) << "rounded up";
  EXPECT_EQ(BatchPace(5'000, 1'000, cap), cap);
  EXPECT_EQ(BatchPace(UINT64_MAX, 1e-300, cap), cap);
}

TEST(BatchPace, IsTheCapWhereTheRateIsUnknown) {
  base::Micros cap = std::chrono::milliseconds(20);
  for (double rate : {0.0, -1.0, std::nan("")}) EXPECT_EQ(BatchPace(1, rate, cap), cap);
  EXPECT_EQ(BatchPace(0, 0, cap), cap);
}

TEST(WaitBound, AddsUpWhatCanGoBefore) {
  OrderPolicy policy{.aging_per_second = 2.0, .boost_cap = 50, .prefix_window = base::Micros(7)};
  EXPECT_EQ(WaitBound(policy, base::Micros(3)), std::chrono::seconds(1'025) + base::Micros(10));
  policy.boost_cap = -1;
  EXPECT_EQ(WaitBound(policy, base::Micros(3)), std::chrono::seconds(1'000) + base::Micros(10));
}

TEST(WaitBound, IsHeldInItsRange) {
  EXPECT_EQ(WaitBound({.aging_per_second = 1e-300}, base::Micros(0)), base::Micros::max());
}

}  // namespace
}  // namespace inferq::sched
