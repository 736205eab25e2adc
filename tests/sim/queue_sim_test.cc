// The queue in one thread under a virtual clock, behind a network that loses, delays, doubles and
// reorders: clients submit graphs of tasks, change their minds and ask; workers claim, die, fall
// asleep past their leases and tell everything twice; the power goes, the disk fails and fills up,
// processes drain, and the civil clock jumps. Then the faults stop: all work must end, and the log
// of every call and answer must keep every promise (testing/history_check.h).
//
// The seed also draws which faults there are at all. INFERQ_SIM_SEEDS=n runs seeds 1..n (default
// 20); INFERQ_SIM_SEED=s replays one; INFERQ_SIM_LOG=1 prints its log.

#include <gtest/gtest.h>

#include <cstdlib>

#include "queue_actors.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;

class QueueSim : public ::testing::TestWithParam<uint64_t> {};

TEST_P(QueueSim, KeepsItsPromises) {
  SCOPED_TRACE(
      fmt::format("replay: INFERQ_SIM_SEED={} INFERQ_SIM_LOG=1 "
                  "build/release/bin/queue_sim_test --gtest_filter='*KeepsItsPromises*'",
                  GetParam()));
  QueueSimulation simulation(GetParam());
  EXPECT_TRUE(simulation.RunToEnd()) << "work is left that nobody gets to";
  EXPECT_EQ(simulation.Check(), "");
  if (std::getenv("INFERQ_SIM_LOG")) fmt::print("{}", simulation.Log());
}

INSTANTIATE_TEST_SUITE_P(Seeds, QueueSim, ::testing::ValuesIn(SimSeeds(20)),
                         [](const auto& info) { return fmt::format("seed_{}", info.param); });

std::string LogOf(uint64_t seed, bool naive = false) {
  QueueSimulation simulation(seed, naive);
  EXPECT_TRUE(simulation.RunToEnd());
  return simulation.Log();
}

TEST(QueueSimReplay, TheSameSeedGivesTheSameLogByteForByte) {
  for (uint64_t seed : {uint64_t{3}, uint64_t{7}}) EXPECT_EQ(LogOf(seed), LogOf(seed));
}

TEST(QueueSimReplay, OtherSeedsGiveOtherLogs) { EXPECT_NE(LogOf(3), LogOf(7)); }

// A simulation in which something never happens proves nothing about it.
TEST(QueueSimCoverage, TwentySeedsSeeEverything) {
  std::string logs;
  for (uint64_t seed = 1; seed <= 20; ++seed) logs += LogOf(seed);
  for (const char* sign : {"STOPPED",
                           "CLOSING",
                           "disk fault 0",
                           "disk fault 1",
                           "disk fault 2",
                           "clock jumps",
                           "unhealthy: restarts",
                           "REFUSED aborted",
                           "REFUSED already_exists",
                           "REFUSED unavailable",
                           "REFUSED resource_exhausted",
                           "REFUSED failed_precondition",
                           " lost",
                           "cancel requested",
                           " alone",
                           " crashed",
                           "attempt=2",
                           "attempt=3",
                           "crashes=3",
                           " failed gen=",
                           " expired gen=",
                           " cancelled gen=",
                           " succeeded gen=1",
                           " blocked gen=",
                           " running gen="})
    EXPECT_NE(logs.find(sign), logs.npos) << sign;
}

// I9 under all faults: the scheduler that looks at everything leads to the same history.
TEST(QueueSimOrder, TheNaiveSchedulerGivesTheSameLog) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_EQ(LogOf(seed), LogOf(seed, true));
  }
}

}  // namespace
}  // namespace inferq::queue
