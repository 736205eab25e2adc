#include "runtime/call_on.h"

#include <gtest/gtest.h>

#include <thread>

#include "runtime/event.h"
#include "runtime/loop_thread.h"

namespace inferq::runtime {
namespace {

using namespace std::chrono_literals;

struct Trace {
  int value = 0;
  std::thread::id there;
  std::thread::id after;
};

Awaitable<Trace> Double(Runtime& runtime, int value) {
  co_await runtime.SleepFor(1ms);
  co_return Trace{.value = 2 * value, .there = std::this_thread::get_id(), .after = {}};
}

Awaitable<void> CallDouble(Runtime& here, Runtime& there, int value, Trace& out) {
  auto make = [&there, value] { return Double(there, value); };
  out = co_await CallOn(here, there, std::move(make));
  out.after = std::this_thread::get_id();
}

Awaitable<void> CallMany(AsioRuntime& here, Runtime& there, std::vector<Trace>& out) {
  Scope scope(here);
  for (size_t i = 0; i < out.size(); ++i)
    scope.Spawn(CallDouble(here, there, static_cast<int>(i), out[i]));
  co_await scope.Join();
  here.Stop();
}

TEST(CallOn, RunsThereAndResumesHere) {
  AsioRuntime here;
  LoopThread loop(here, "io-0");
  std::vector<Trace> traces(200);
  here.SpawnDetached(CallMany(here, loop.runtime(), traces));
  here.Run();
  for (size_t i = 0; i < traces.size(); ++i) {
    EXPECT_EQ(traces[i].value, static_cast<int>(2 * i));
    EXPECT_NE(traces[i].there, std::this_thread::get_id());
    EXPECT_EQ(traces[i].after, std::this_thread::get_id());
  }
}

TEST(CallOn, OnOneLoopItIsAPlainCall) {
  AsioRuntime here;
  std::vector<Trace> traces(1);
  traces[0].value = -1;
  here.SpawnDetached(CallMany(here, here, traces));
  here.Run();
  EXPECT_EQ(traces[0].value, 0);
  EXPECT_EQ(traces[0].there, std::this_thread::get_id());
}

Awaitable<void> BlockOn(Runtime& runtime, uint32_t lane, std::vector<int>& out, int value) {
  auto work = [&out, value] { return out.push_back(value), true; };
  co_await runtime.RunBlocking(lane, std::move(work));
}

Awaitable<bool> BlockThere(Runtime& there, std::vector<int>& out) {
  for (int i = 0; i < 100; ++i) co_await BlockOn(there, kJournalLane, out, i);
  co_return true;
}

Awaitable<void> BlockOnBoth(AsioRuntime& here, Runtime& there, std::vector<int>& out) {
  Scope scope(here);
  for (int i = 0; i < 100; ++i) scope.Spawn(BlockOn(here, kJournalLane, out, i));
  auto make = [&there, &out] { return BlockThere(there, out); };
  co_await CallOn(here, there, std::move(make));
  co_await scope.Join();
  here.Stop();
}

TEST(LoopThread, SharesTheBlockingLanes) {
  AsioRuntime here;
  LoopThread loop(here, "io-0");
  std::vector<int> calls;  // touched on one lane only, so by one thread at a time
  here.SpawnDetached(BlockOnBoth(here, loop.runtime(), calls));
  here.Run();
  EXPECT_EQ(calls.size(), 200u);
}

TEST(LoopThread, EndsWithoutHavingRunAnything) {
  AsioRuntime here;
  for (int i = 0; i < 50; ++i) LoopThread loop(here, "io-0");
}

TEST(AsioRuntime, OfSharedLanesWaitsForItsOwnCalls) {
  AsioRuntime lanes;
  std::atomic<bool> finished{false};
  {
    AsioRuntime other(lanes);
    auto work = [&finished] {
      for (int i = 0; i < 1000; ++i) std::this_thread::yield();
      finished = true;
    };
    other.PostBlocking(kAnyLane, std::move(work), [] {});
  }
  EXPECT_TRUE(finished);
}

}  // namespace
}  // namespace inferq::runtime
