#include "app/bench_stats.h"

#include <gtest/gtest.h>

namespace inferq::app {
namespace {

using namespace std::chrono_literals;
using base::Micros;
using base::SteadyTime;

TEST(LatenciesTest, APercentileIsTheSmallestThatThePartDoesNotExceed) {
  Latencies latencies;
  for (int i = 1000; i >= 1; --i) latencies.Add(Micros(i * 1000));  // 1..1000 ms, unsorted
  EXPECT_EQ(latencies.count(), 1000U);
  EXPECT_DOUBLE_EQ(latencies.Percentile(0.5), 500);
  EXPECT_DOUBLE_EQ(latencies.Percentile(0.99), 990);
  EXPECT_DOUBLE_EQ(latencies.Percentile(0.999), 999);
  EXPECT_DOUBLE_EQ(latencies.Percentile(1), 1000);
}

TEST(LatenciesTest, FewValuesHaveTheLongestAsTheirTail) {
  Latencies latencies;
  EXPECT_DOUBLE_EQ(latencies.Percentile(0.5), 0);
  latencies.Add(3ms);
  latencies.Add(1ms);
  EXPECT_DOUBLE_EQ(latencies.Percentile(0.5), 1);
  EXPECT_DOUBLE_EQ(latencies.Percentile(0.9), 3);
  latencies.Add(500us);  // after a look
  EXPECT_DOUBLE_EQ(latencies.Percentile(0.5), 1);
  EXPECT_DOUBLE_EQ(latencies.Percentile(0.1), 0.5);
}

TEST(LatenciesTest, BeforeTheAcknowledgementIsNoTimeAtAll) {
  Latencies latencies;
  latencies.Add(-5ms);
  latencies.Add(SteadyTime(1s) - SteadyTime::max());
  EXPECT_DOUBLE_EQ(latencies.Percentile(1), 0);
}

TEST(PaceTest, IntendedTimesDoNotDependOnWhenOneAsks) {
  SteadyTime begin(10s);
  Pace pace(4000);
  EXPECT_EQ(pace.Next(begin), begin);
  EXPECT_EQ(pace.Next(begin + 5s), begin + 250us);  // late: charged from its own time
  EXPECT_EQ(pace.Next(begin), begin + 500us);
}

TEST(PaceTest, FractionsOfAMicrosecondDoNotAddUp) {
  SteadyTime begin(10s);
  Pace pace(3);
  for (int i = 0; i < 3000; ++i) pace.Next(begin);
  EXPECT_EQ(pace.Next(begin), begin + 1000s);
}

TEST(PaceTest, WithoutARateItIsNow) {
  Pace pace(0);
  EXPECT_EQ(pace.Next(SteadyTime(7s)), SteadyTime(7s));
}

}  // namespace
}  // namespace inferq::app
