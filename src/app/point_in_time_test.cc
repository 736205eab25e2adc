#include "app/point_in_time.h"

#include <gtest/gtest.h>

namespace inferq::app {
namespace {

using namespace std::chrono_literals;

constexpr base::WallTime kNow{1'700'000'000s};

TEST(PointInTime, IsFromNowOrInUnixSecondsOrNone) {
  EXPECT_EQ(ParsePointInTime("+2h", kNow).value(), kNow + 2h);
  EXPECT_EQ(ParsePointInTime("+90m", kNow).value(), kNow + 90min);
  EXPECT_EQ(ParsePointInTime("1800000000", kNow).value(), base::WallTime(1'800'000'000s));
  ASSERT_TRUE(ParsePointInTime("none", kNow));
  EXPECT_FALSE(*ParsePointInTime("none", kNow));
}

TEST(PointInTime, NothingElseIsOne) {
  for (const char* text :
       {"", "+", "2h", "+2", "-1", "tomorrow", "1e9", "1800000000 ", "9999999999"}) {
    EXPECT_FALSE(ParsePointInTime(text, kNow)) << text;
  }
}

}  // namespace
}  // namespace inferq::app
