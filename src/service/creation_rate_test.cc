#include "service/creation_rate.h"

#include <gtest/gtest.h>

namespace inferq::service {
namespace {

using namespace std::chrono_literals;

constexpr base::WallTime kNoon{1'700'000'000s};

TEST(CreationRate, OneMoreThanTheBoundWaitsForTheOldestToBeAnHourOld) {
  CreationRate rate(2);
  ASSERT_TRUE(rate.Check("ann", kNoon));
  rate.Add("ann", kNoon);
  rate.Add("ann", kNoon + 10min);
  auto refused = rate.Check("ann", kNoon + 20min);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), base::Code::kResourceExhausted);
  EXPECT_EQ(refused.error().retry_after(), 40min);
  EXPECT_TRUE(rate.Check("bob", kNoon + 20min)) << "others are not held up";
  EXPECT_FALSE(rate.Check("ann", kNoon + 1h - 1us));
  EXPECT_TRUE(rate.Check("ann", kNoon + 1h));
  rate.Add("ann", kNoon + 1h);
  EXPECT_FALSE(rate.Check("ann", kNoon + 1h));
  EXPECT_TRUE(rate.Check("ann", kNoon + 70min));
}

TEST(CreationRate, ZeroIsNoBound) {
  CreationRate rate(0);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(rate.Check("ann", kNoon));
    rate.Add("ann", kNoon);
  }
}

}  // namespace
}  // namespace inferq::service
