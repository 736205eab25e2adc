#include <gtest/gtest.h>

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

}  // namespace
}  // namespace inferq::sched
