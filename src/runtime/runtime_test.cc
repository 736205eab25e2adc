#include "runtime/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "runtime/asio_runtime.h"
#include "runtime/event.h"

namespace inferq::runtime {
namespace {

using namespace std::chrono_literals;

class RuntimeTest : public testing::Test {
 protected:
  // Runs one coroutine to its end.
  void RunToEnd(Awaitable<void> body) {
    auto finish = [](AsioRuntime& runtime, Awaitable<void> inner) -> Awaitable<void> {
      co_await std::move(inner);
      runtime.Stop();
    };
    runtime_.SpawnDetached(finish(runtime_, std::move(body)));
    runtime_.Run();
  }
  AsioRuntime runtime_;
};

Awaitable<void> BlockElsewhere(Runtime& runtime, std::thread::id& where, int& result) {
  auto work = [&where] {
    where = std::this_thread::get_id();
    return 42;
  };
  result = co_await runtime.RunBlocking(kAnyLane, work);
}

TEST_F(RuntimeTest, BlockingWorkRunsOnAnotherThreadAndReturnsItsValue) {
  std::thread::id where;
  int result = 0;
  RunToEnd(BlockElsewhere(runtime_, where, result));
  EXPECT_EQ(result, 42);
  EXPECT_NE(where, std::this_thread::get_id());
}

Awaitable<void> AppendAfter(Runtime& runtime, base::Micros delay, int value,
                            std::vector<int>& out) {
  co_await runtime.SleepFor(delay);
  out.push_back(value);
}

Awaitable<void> TwoSleepers(Runtime& runtime, std::vector<int>& out) {
  Scope scope(runtime);
  scope.Spawn(AppendAfter(runtime, 20ms, 2, out));
  scope.Spawn(AppendAfter(runtime, 1ms, 1, out));
  co_await scope.Join();
}

TEST_F(RuntimeTest, TimersFireInOrderOfTheirTimeAndScopeJoins) {
  std::vector<int> order;
  RunToEnd(TwoSleepers(runtime_, order));
  EXPECT_THAT(order, testing::ElementsAre(1, 2));
}

Awaitable<void> WaitFor(Event& event, base::SteadyTime deadline, std::vector<bool>& out) {
  out.push_back(co_await event.WaitUntil(deadline));
}

Awaitable<void> NotifiedAndTimedOut(Runtime& runtime, std::vector<bool>& out) {
  Event event(runtime);
  Scope scope(runtime);
  scope.Spawn(WaitFor(event, runtime.clock().Steady() + 1h, out));
  co_await runtime.Yield();
  event.NotifyAll();
  co_await scope.Join();
  scope.Spawn(WaitFor(event, runtime.clock().Steady() + 1ms, out));
  co_await scope.Join();
}

TEST_F(RuntimeTest, EventTellsNotificationFromTimeout) {
  std::vector<bool> notified;
  RunToEnd(NotifiedAndTimedOut(runtime_, notified));
  EXPECT_THAT(notified, testing::ElementsAre(true, false));
}

// Two timers are due in the same turn of the loop; the first one to run takes the other back.
Awaitable<void> CancelTheOther(AsioRuntime& runtime, int& runs) {
  base::SteadyTime now = runtime.clock().Steady();
  Runtime::TimerId ids[2] = {0, 0};
  for (int i : {0, 1}) {
    ids[i] = runtime.CallAt(now, [&runtime, &runs, &ids, i] {
      ++runs;
      runtime.CancelTimer(ids[1 - i]);
    });
  }
  co_await runtime.SleepUntil(now + 1ms);
}

TEST_F(RuntimeTest, ATimerCancelledInTheTurnInWhichItIsDueDoesNotRun) {
  int runs = 0;
  RunToEnd(CancelTheOther(runtime_, runs));
  EXPECT_EQ(runs, 1);
}

Awaitable<void> OrderedLane(Runtime& runtime, std::vector<int>& out) {
  Scope scope(runtime);
  for (int i = 0; i < 5; ++i) {
    auto one = [](Runtime& r, int n, std::vector<int>& o) -> Awaitable<void> {
      co_await r.RunBlocking(kJournalLane, [n, &o] { return o.push_back(n), true; });
    };
    scope.Spawn(one(runtime, i, out));
  }
  co_await scope.Join();
}

TEST_F(RuntimeTest, ALaneKeepsTheOrderOfItsCalls) {
  std::vector<int> order;
  RunToEnd(OrderedLane(runtime_, order));
  EXPECT_THAT(order, testing::ElementsAre(0, 1, 2, 3, 4));
}

}  // namespace
}  // namespace inferq::runtime
