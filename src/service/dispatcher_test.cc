#include "service/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "queue/local/local_queue.h"
#include "queue/local/memory_journal.h"
#include "testing/sim_runtime.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using model::State;

// An engine whose answers the test decides, request by request.
class ScriptedEngine final : public engine::Engine {
 public:
  explicit ScriptedEngine(runtime::Runtime& runtime) : runtime_(runtime) {}

  struct Answer {
    base::Micros after{1'000};
    std::optional<base::Error> error;
  };
  // Answers for the next requests; then all succeed after 1 ms.
  std::deque<Answer> script;
  // A request of this id kills the engine, and with it everything that runs beside it.
  std::string poison;
  bool ready = true;
  size_t running = 0;
  size_t most_running = 0;
  size_t submitted = 0;

  Awaitable<base::Result<>> Start() override { co_return base::Result<>{}; }
  Awaitable<void> Stop() override { co_return; }
  base::Result<std::unique_ptr<engine::Generation>> Submit(engine::Request) override;
  engine::Capacity capacity() const override { return {.slots = 8, .ready = ready}; }
  std::string Describe() const override { return "scripted"; }

 private:
  class ScriptedGeneration;
  void Crash() {
    ++crashes_;
    wake_.NotifyAll();
  }
  runtime::Runtime& runtime_;
  runtime::Event wake_{runtime_};
  int crashes_ = 0;
};

class ScriptedEngine::ScriptedGeneration final : public engine::Generation {
 public:
  ScriptedGeneration(ScriptedEngine& engine, Answer answer, bool poison)
      : engine_(engine),
        answer_(std::move(answer)),
        poison_(poison),
        crashes_before_(engine.crashes_) {
    engine_.most_running = std::max(engine_.most_running, ++engine_.running);
  }
  ~ScriptedGeneration() override { --engine_.running; }

  Awaitable<base::Result<engine::Delta>> Next() override {
    base::SteadyTime end = engine_.runtime_.clock().Steady() + answer_.after;
    while (!cancel_ && !crashed() && engine_.runtime_.clock().Steady() < end) {
      co_await engine_.wake_.WaitUntil(end);
    }
    if (poison_ && !crashed()) engine_.Crash();
    if (crashed()) co_return base::Fail(Code::kAborted, "the engine died");
    if (!cancel_ && answer_.error) co_return std::unexpected(*answer_.error);
    engine::Delta delta;
    delta.text = "text";
    delta.finish_reason = cancel_ ? engine::FinishReason::kCancelled : engine::FinishReason::kStop;
    delta.usage = {.prompt_tokens = 3, .completion_tokens = 2};
    co_return delta;
  }
  void Cancel() override {
    cancel_ = true;
    engine_.wake_.NotifyAll();
  }

 private:
  bool crashed() const { return engine_.crashes_ > crashes_before_; }

  ScriptedEngine& engine_;
  Answer answer_;
  const bool poison_;
  const int crashes_before_;
  bool cancel_ = false;
};

base::Result<std::unique_ptr<engine::Generation>> ScriptedEngine::Submit(engine::Request request) {
  ++submitted;
  Answer answer;
  if (!script.empty()) {
    answer = script.front();
    script.pop_front();
  }
  return std::make_unique<ScriptedGeneration>(*this, std::move(answer), request.id == poison);
}

// Keeps nothing: results are extents that say which task they are of.
class NullHandler final : public TaskHandler {
 public:
  std::optional<base::Error> store_error;
  int errors_stored = 0;

  Awaitable<base::Result<Work>> Load(queue::ClaimedTask task) override {
    Work work;
    work.request.id = model::ToString(task.id);
    co_return work;
  }
  Awaitable<base::Result<model::Extent>> StoreAnswer(queue::ClaimedTask task, Work,
                                                     engine::Delta) override {
    if (store_error) co_return std::unexpected(*store_error);
    co_return model::Extent{.blob = 1, .offset = task.id.value, .length = 1};
  }
  Awaitable<base::Result<model::Extent>> StoreError(queue::ClaimedTask, base::Error) override {
    ++errors_stored;
    co_return model::Extent{.blob = 1, .offset = 0, .length = 1};
  }
};

class DispatcherTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(runtime_.Run(queue_->Open())); }
  void TearDown() override { ASSERT_TRUE(runtime_.Run(queue_->Close())); }

  void SubmitTasks(int n, uint32_t max_attempts = 3) {
    std::vector<model::TaskSpec> specs(static_cast<size_t>(n));
    for (auto& spec : specs) {
      spec.lane = "lane";
      spec.max_attempts = max_attempts;
    }
    ids_ = runtime_.Run(queue_->Submit(std::move(specs))).value();
  }
  model::TaskRecord Record(size_t i) { return runtime_.Run(queue_->Get(ids_.at(i))).value(); }

  Dispatcher& Make(DispatcherOptions options = {.lane = "lane", .concurrency = 4}) {
    return *(dispatcher_ =
                 std::make_unique<Dispatcher>(runtime_, *queue_, engine_, handler_, options));
  }
  // Runs for `duration`, then drains with no grace and returns how Run ended.
  base::Result<> RunFor(base::Micros duration, base::Micros grace = 0s) {
    auto drain = [this, grace] { dispatcher_->Drain(runtime_.clock().Steady() + grace); };
    runtime_.CallAt(runtime_.clock().Steady() + duration, drain);
    return runtime_.Run(dispatcher_->Run());
  }

  testing::SimRuntime runtime_;
  std::unique_ptr<queue::Queue> queue_ = queue::MakeLocalQueue(
      runtime_, queue::MakeMemoryJournal(std::make_shared<queue::MemoryStore>()), {});
  ScriptedEngine engine_{runtime_};
  NullHandler handler_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<model::TaskId> ids_;
};

TEST_F(DispatcherTest, RunsEverythingWithinItsConcurrency) {
  SubmitTasks(20);
  Make();
  ASSERT_TRUE(RunFor(1s));
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(Record(i).state, State::kSucceeded);
  EXPECT_EQ(engine_.most_running, 4u);
  EXPECT_EQ(dispatcher_->counters().completion_tokens, 40u);
}

TEST_F(DispatcherTest, AFailureThatMayPassIsTriedAgainThenIsFinal) {
  SubmitTasks(1, 2);
  base::Error error(Code::kUnavailable, "try again");
  engine_.script = {{1ms, error}, {1ms, error}};
  Make();
  ASSERT_TRUE(RunFor(5min));
  EXPECT_EQ(Record(0).state, State::kFailed);
  EXPECT_EQ(Record(0).attempts, 2u);
  EXPECT_EQ(handler_.errors_stored, 1);
}

TEST_F(DispatcherTest, AWrongRequestFailsAloneAndAtOnce) {
  SubmitTasks(3);
  engine_.script = {{1ms, base::Error(Code::kInvalidArgument, "no")}};
  Make();
  ASSERT_TRUE(RunFor(1s));
  EXPECT_EQ(Record(0).state, State::kFailed);
  EXPECT_EQ(Record(0).attempts, 1u);
  EXPECT_EQ(Record(1).state, State::kSucceeded);
  EXPECT_EQ(Record(2).state, State::kSucceeded);
}

TEST_F(DispatcherTest, AnEngineThatIsAwayBurnsNoAttempt) {
  SubmitTasks(2);
  engine_.script.assign(2, {1ms, base::Error(Code::kUnavailable, "connection refused")});
  engine_.ready = false;
  Make();
  runtime_.CallAt(runtime_.clock().Steady() + 10s, [this] { engine_.ready = true; });
  // Ready for a moment, so that both are claimed, and away when they fail.
  runtime_.CallAt(runtime_.clock().Steady() + 10s + 150ms, [this] { engine_.ready = false; });
  runtime_.CallAt(runtime_.clock().Steady() + 60s, [this] { engine_.ready = true; });
  for (auto& answer : engine_.script) answer.after = 1s;
  ASSERT_TRUE(RunFor(2min));
  EXPECT_EQ(Record(0).state, State::kSucceeded);
  EXPECT_EQ(Record(0).attempts, 1u);
  EXPECT_EQ(Record(1).attempts, 1u);
  EXPECT_EQ(engine_.submitted, 4u);
}

TEST_F(DispatcherTest, AnEngineThatStaysAwayEndsTheDispatchAndKeepsTheWork) {
  SubmitTasks(1);
  engine_.ready = false;
  Make({.lane = "lane", .give_up_after = 30s});
  auto ended = RunFor(1h);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code(), Code::kUnavailable);
  EXPECT_TRUE(dispatcher_->engine_failed());
  EXPECT_EQ(Record(0).state, State::kQueued);
}

TEST_F(DispatcherTest, AnEngineThatIsBrokenEndsTheDispatchAtOnce) {
  SubmitTasks(3);
  engine_.script = {{1ms, base::Error(Code::kFailedPrecondition, "the model is gone")}};
  Make({.lane = "lane", .concurrency = 1});
  auto ended = RunFor(1h);
  ASSERT_FALSE(ended);
  EXPECT_TRUE(dispatcher_->engine_failed());
  EXPECT_EQ(Record(0).state, State::kQueued);
  EXPECT_EQ(Record(0).attempts, 0u);
}

TEST_F(DispatcherTest, AKeyThatIsNoLongerTakenCostsNoTask) {
  SubmitTasks(20);
  for (int i = 0; i < 20; ++i) {
    engine_.script.push_back({1ms, base::Error(Code::kUnauthenticated, "invalid key")});
  }
  Make();
  auto ended = RunFor(1h);
  ASSERT_FALSE(ended);
  EXPECT_TRUE(dispatcher_->engine_failed());
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(Record(i).state, State::kQueued);
}

TEST_F(DispatcherTest, AStoreThatFailsEndsTheDispatchAndAcknowledgesNothing) {
  SubmitTasks(2);
  handler_.store_error = base::Error(Code::kResourceExhausted, "disk full");
  Make();
  auto ended = RunFor(1h);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message(), "disk full");
  EXPECT_FALSE(dispatcher_->engine_failed());
  EXPECT_NE(Record(0).state, State::kSucceeded);
}

TEST_F(DispatcherTest, DrainLetsRunningWorkFinishWithinTheGrace) {
  SubmitTasks(8);
  engine_.script.assign(8, {10s, {}});
  Make();
  ASSERT_TRUE(RunFor(1s, 30s));
  int succeeded = 0, queued = 0;
  for (size_t i = 0; i < 8; ++i) {
    succeeded += Record(i).state == State::kSucceeded;
    queued += Record(i).state == State::kQueued;
  }
  EXPECT_EQ(succeeded, 4);
  EXPECT_EQ(queued, 4);
}

TEST_F(DispatcherTest, DrainHandsBackWhatDoesNotFinishWithoutBurningAnAttempt) {
  SubmitTasks(4);
  engine_.script.assign(4, {1h, {}});
  Make();
  ASSERT_TRUE(RunFor(1s, 2s));
  EXPECT_LT(runtime_.clock().Steady().time_since_epoch(), 10s);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(Record(i).state, State::kQueued);
    EXPECT_EQ(Record(i).attempts, 0u);
  }
}

TEST_F(DispatcherTest, WhatAClaimUnderWayBringsInAfterDrainIsHandedBack) {
  Make();
  engine_.script.assign(4, {1h, {}});
  auto submit = [](queue::Queue& queue, std::vector<model::TaskId>& ids) -> Awaitable<void> {
    std::vector<model::TaskSpec> specs(4);
    for (auto& spec : specs) spec.lane = "lane";
    ids = (co_await queue.Submit(std::move(specs))).value();
  };
  // The dispatcher waits in Claim when the tasks come and, in the same moment, the drain.
  runtime_.CallAt(runtime_.clock().Steady() + 1s, [this, submit] {
    runtime_.SpawnDetached(submit(*queue_, ids_));
    dispatcher_->Drain(runtime_.clock().Steady());
  });
  ASSERT_TRUE(runtime_.Run(dispatcher_->Run()));
  EXPECT_LT(runtime_.clock().Steady().time_since_epoch(), 1min);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(Record(i).state, State::kQueued);
    EXPECT_EQ(Record(i).attempts, 0u);
  }
}

TEST_F(DispatcherTest, LongWorkKeepsItsLease) {
  SubmitTasks(1);
  engine_.script = {{10min, {}}};
  Make();
  ASSERT_TRUE(RunFor(20min));
  EXPECT_EQ(Record(0).state, State::kSucceeded);
  EXPECT_EQ(engine_.submitted, 1u);
}

TEST_F(DispatcherTest, ACancelledTaskIsCutWithinOneRenewal) {
  SubmitTasks(1);
  engine_.script = {{1h, {}}};
  Make();
  auto cancel = [](queue::Queue& queue, std::vector<model::TaskId> ids) -> Awaitable<void> {
    co_await queue.Cancel(std::move(ids));
  };
  runtime_.CallAt(runtime_.clock().Steady() + 1s,
                  [this, cancel] { runtime_.SpawnDetached(cancel(*queue_, ids_)); });
  ASSERT_TRUE(RunFor(8s, 0s));
  EXPECT_EQ(Record(0).state, State::kCancelled);
  EXPECT_EQ(engine_.running, 0u);
}

TEST_F(DispatcherTest, OnlyThePoisonTaskDiesOfIt) {
  SubmitTasks(12);
  engine_.poison = model::ToString(ids_.at(2));
  Make();
  ASSERT_TRUE(RunFor(30min));
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(Record(i).state, i == 2 ? State::kFailed : State::kSucceeded) << i;
  }
  EXPECT_EQ(Record(2).crashes, 3u);
}

}  // namespace
}  // namespace inferq::service
