#include "testing/sim_runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/event.h"

namespace inferq::testing {
namespace {

using namespace std::chrono_literals;
using runtime::Awaitable;

Awaitable<int> SleepAndAnswer(runtime::Runtime& runtime, base::Micros duration, int answer) {
  co_await runtime.SleepFor(duration);
  co_return answer;
}

TEST(SimRuntimeTest, HoursPassWithoutWaiting) {
  SimRuntime sim;
  base::WallTime start = sim.clock().Wall();
  EXPECT_EQ(sim.Run(SleepAndAnswer(sim, 5h, 42)), 42);
  EXPECT_EQ(sim.clock().Wall() - start, 5h);
}

TEST(SimRuntimeTest, TimersRunInOrderOfTimeThenOfArrival) {
  SimRuntime sim;
  std::vector<int> order;
  base::SteadyTime now = sim.clock().Steady();
  sim.CallAt(now + 2s, [&] { order.push_back(3); });
  sim.CallAt(now + 1s, [&] { order.push_back(1); });
  sim.CallAt(now + 1s, [&] { order.push_back(2); });
  auto cancelled = sim.CallAt(now + 1s, [&] { order.push_back(99); });
  sim.CancelTimer(cancelled);
  sim.RunFor(1s);
  EXPECT_THAT(order, ::testing::ElementsAre(1, 2));
  EXPECT_EQ(sim.clock().Steady(), now + 1s);
  sim.RunFor(1s);
  EXPECT_THAT(order, ::testing::ElementsAre(1, 2, 3));
}

TEST(SimRuntimeTest, IdleDoesNotWaitForTimers) {
  SimRuntime sim;
  bool fired = false;
  bool ran = false;
  sim.CallAt(sim.clock().Steady() + 1s, [&] { fired = true; });
  sim.PostBlocking(runtime::kAnyLane, [] {}, [&] { ran = true; });
  sim.RunUntilIdle();
  EXPECT_TRUE(ran);
  EXPECT_FALSE(fired);
  EXPECT_EQ(sim.pending(), 1u);
  EXPECT_FALSE(sim.RunUntil([&] { return fired; }, 999ms));
  EXPECT_TRUE(sim.RunUntil([&] { return fired; }));
}

// The order in which 3 calls of each of two lanes finish, for one seed.
std::string Interleaving(uint64_t seed) {
  SimRuntime sim({.seed = seed, .max_blocking_delay = 10ms});
  std::string order;
  for (char lane : {'a', 'b'}) {
    for (char n : {'1', '2', '3'}) {
      auto work = [&order, lane, n] { (order += lane) += n; };
      sim.PostBlocking(static_cast<uint32_t>(lane), work, [] {});
    }
  }
  sim.RunUntilIdle();
  return order;
}

TEST(SimRuntimeTest, SeedsVaryInterleavingButLanesKeepOrder) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::string order = Interleaving(seed);
    EXPECT_EQ(order, Interleaving(seed)) << "seed " << seed << " does not replay";
    for (std::string lane : {"a", "b"}) {
      EXPECT_LT(order.find(lane + "1"), order.find(lane + "2"));
      EXPECT_LT(order.find(lane + "2"), order.find(lane + "3"));
    }
    seen.insert(order);
  }
  EXPECT_GT(seen.size(), 1u);
}

TEST(SimRuntimeTest, WallClockJumpsDoNotMoveTimers) {
  SimRuntime sim;
  base::SteadyTime now = sim.clock().Steady();
  sim.JumpWallClock(-48h);
  EXPECT_EQ(sim.clock().Steady(), now);
  sim.Run(SleepAndAnswer(sim, 1s, 0));
  EXPECT_EQ(sim.clock().Steady(), now + 1s);
}

}  // namespace
}  // namespace inferq::testing
