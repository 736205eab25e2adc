#include "base/rng.h"

#include <gtest/gtest.h>

#include <array>

namespace inferq::base {
namespace {

TEST(Rng, TheSameSeedGivesTheSameNumbers) {
  Rng a(7), b(7), c(8);
  EXPECT_EQ(a.Next(), b.Next());
  EXPECT_NE(a.Next(), c.Next());
}

TEST(Rng, BelowStaysInRangeAndReachesEveryValue) {
  Rng rng(1);
  std::array<int, 5> seen{};
  for (int i = 0; i < 1000; ++i) ++seen.at(rng.Below(5));
  for (int count : seen) EXPECT_GT(count, 150);
}

TEST(Rng, UniformLiesInTheUnitInterval) {
  Rng rng(2);
  double sum = 0;
  for (int i = 0; i < 1000; ++i) {
    double x = rng.Uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    sum += x;
  }
  EXPECT_NEAR(sum / 1000, 0.5, 0.05);
}

}  // namespace
}  // namespace inferq::base
