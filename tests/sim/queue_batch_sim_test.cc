// Batches of lines in one thread under a virtual clock: clients submit them, cancel, requeue and
// edit lines, cut, pause and forget batches, and submit tasks that wait for lines; workers of this
// and of other processes claim, die, oversleep, fail, hand back and tell twice; indices cannot be
// read for a while or are damaged; the power goes, processes are killed and drained, the disk
// fails. After each restart and at the end the queue must show what clients were told
// (batch_ledger.h). At last every batch is forgotten, and the store is checked as
// `inferq store check` does.
//
// Seeds as in queue_sim_test.cc.

#include <gtest/gtest.h>

#include <cstdlib>

#include "queue_batch_actors.h"

namespace inferq::queue {
namespace {

class QueueBatchSim : public ::testing::TestWithParam<uint64_t> {};

TEST_P(QueueBatchSim, KeepsItsPromises) {
  SCOPED_TRACE(
      fmt::format("replay: INFERQ_SIM_SEED={} INFERQ_SIM_LOG=1 "
                  "build/release/bin/queue_batch_sim_test "
                  "--gtest_filter='*KeepsItsPromises*'",
                  GetParam()));
  QueueBatchSimulation simulation(GetParam());
  EXPECT_TRUE(simulation.RunToEnd()) << "work is left that nobody gets to";
  EXPECT_EQ(simulation.Breaches(), "");
  if (std::getenv("INFERQ_SIM_LOG")) fmt::print("{}", simulation.Log());
}

INSTANTIATE_TEST_SUITE_P(Seeds, QueueBatchSim, ::testing::ValuesIn(SimSeeds(40)),
                         [](const auto& info) { return fmt::format("seed_{}", info.param); });

std::string LogOf(uint64_t seed) {
  QueueBatchSimulation simulation(seed);
  EXPECT_TRUE(simulation.RunToEnd());
  return simulation.Log();
}

TEST(QueueBatchSimReplay, TheSameSeedGivesTheSameLog) {
  for (uint64_t seed : {uint64_t{3}, uint64_t{7}}) EXPECT_EQ(LogOf(seed), LogOf(seed));
  EXPECT_NE(LogOf(3), LogOf(7));
}

}  // namespace
}  // namespace inferq::queue
