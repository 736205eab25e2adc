#include "engine/fake/fake_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "testing/sim_runtime.h"

namespace inferq::engine {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using testing::SimRuntime;

Request Ask(std::string_view content, uint64_t max_tokens = 0) {
  Request request;
  std::string limit = max_tokens == 0 ? "" : fmt::format(R"(,"max_tokens":{})", max_tokens);
  request.body =
      fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}]{}}})", content, limit);
  return request;
}

Awaitable<Result<Delta>> SubmitAndCollect(Engine& engine, Request request) {
  INFERQ_CO_ASSIGN(auto generation, engine.Submit(std::move(request)));
  co_return co_await Collect(*generation);
}

class FakeEngineTest : public ::testing::Test {
 protected:
  // Under a virtual clock, started; the last one made is the one that runs.
  FakeEngine& Make(FakeOptions options) {
    Drop();
    auto made = MakeFakeEngine(runtime_, options);
    EXPECT_TRUE(made);
    engine_ = *std::move(made);
    EXPECT_TRUE(runtime_.Run(engine_->Start()));
    return *engine_;
  }
  void Drop() {
    if (engine_) runtime_.Run(engine_->Stop());
    engine_.reset();
  }
  ~FakeEngineTest() override { Drop(); }

  Result<Delta> Run(Request request) {
    return runtime_.Run(SubmitAndCollect(*engine_, std::move(request)));
  }
  base::SteadyTime Now() { return runtime_.clock().Steady(); }

  SimRuntime runtime_;
  std::unique_ptr<FakeEngine> engine_;
};

TEST_F(FakeEngineTest, TakesTheTimeOfItsCostModel) {
  Make({.ttft = 50ms, .itl = 3ms, .tokens = 100});
  base::SteadyTime begin = Now();
  ASSERT_TRUE(Run(Ask("x")));
  EXPECT_EQ(Now() - begin, 50ms + 99 * 3ms);
}

TEST_F(FakeEngineTest, JitterStaysInItsRange) {
  Make({.ttft = 100ms, .itl = 0ms, .ttft_jitter = 0.5, .tokens = 1});
  std::vector<base::Micros> times;
  for (int i = 0; i < 50; ++i) {
    base::SteadyTime begin = Now();
    ASSERT_TRUE(Run(Ask("x")));
    times.push_back(Now() - begin);
  }
  auto [least, most] = std::ranges::minmax(times);
  EXPECT_GE(least, 100ms);
  EXPECT_LE(most, 150ms);
  EXPECT_GT(most - least, 20ms);
}

Awaitable<void> RunMany(runtime::Runtime& runtime, Engine& engine, int n,
                        std::vector<base::SteadyTime>& ends) {
  auto one = [](runtime::Runtime& rt, Engine& e,
                std::vector<base::SteadyTime>& out) -> Awaitable<void> {
    EXPECT_TRUE(co_await SubmitAndCollect(e, Ask("x")));
    out.push_back(rt.clock().Steady());
  };
  runtime::Scope scope(runtime);
  for (int i = 0; i < n; ++i) scope.Spawn(one(runtime, engine, ends));
  co_await scope.Join();
}

TEST_F(FakeEngineTest, RequestsBeyondTheSlotsWaitTheirTurn) {
  Make({.ttft = 10ms, .itl = 0ms, .slots = 2, .tokens = 1});
  std::vector<base::SteadyTime> ends;
  base::SteadyTime t = Now();
  runtime_.Run(RunMany(runtime_, *engine_, 5, ends));
  EXPECT_THAT(ends, ::testing::ElementsAre(t + 10ms, t + 10ms, t + 20ms, t + 20ms, t + 30ms));
}

TEST_F(FakeEngineTest, TheSameBodyAndSeedGiveTheSameAnswer) {
  Make({.seed = 7});
  auto first = Run(Ask("hello"));
  auto other = Run(Ask("world"));
  auto again = Run(Ask("hello"));
  ASSERT_TRUE(first && other && again);
  EXPECT_EQ(first->text, again->text);
  EXPECT_EQ(first->usage.completion_tokens, again->usage.completion_tokens);
  EXPECT_NE(first->text, other->text);
  Make({.seed = 8});
  EXPECT_NE(Run(Ask("hello"))->text, first->text);
}

TEST_F(FakeEngineTest, VectorsDependOnTheSeedAndTheInputAlone) {
  auto embed = [](std::string body) {
    Request request;
    request.endpoint = Endpoint::kEmbeddings;
    request.model = "m";
    request.body = std::move(body);
    return request;
  };
  Make({.ttft = 10ms, .seed = 7});
  base::SteadyTime begin = Now();
  auto one = Run(embed(R"({"input":"a","dimensions":3})"));
  EXPECT_EQ(Now() - begin, 10ms);
  auto again = Run(embed(R"({"user":"other","dimensions":3,"input":["a"]})"));
  auto other = Run(embed(R"({"input":"b","dimensions":3})"));
  ASSERT_TRUE(one && again && other);
  EXPECT_EQ(one->raw_response, again->raw_response);
  EXPECT_NE(one->raw_response, other->raw_response);
  EXPECT_EQ(one->finish_reason, FinishReason::kStop);
  EXPECT_EQ(one->usage.prompt_tokens, 1u);
  auto wide = Run(embed(R"({"input":"a","dimensions":65})"));
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().param(), "body.dimensions");
}

TEST_F(FakeEngineTest, MaxTokensEndsAnAnswer) {
  Make({.tokens = 10});
  auto cut = Run(Ask("x", 4));
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->tokens, 4u);
  EXPECT_EQ(cut->finish_reason, FinishReason::kLength);
  auto whole = Run(Ask("x", 11));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->tokens, 10u);
  EXPECT_EQ(whole->finish_reason, FinishReason::kStop);
}

TEST_F(FakeEngineTest, APromptLongerThanTheContextIsRefused) {
  Make({.tokens = 100, .context_tokens = 50});
  auto refused = Run(Ask(std::string(400, 'x')));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(refused.error().param(), "body.messages");
  auto fits = Run(Ask("x"));
  ASSERT_TRUE(fits);
  EXPECT_EQ(fits->usage.prompt_tokens + fits->usage.completion_tokens, 50u);
}

TEST_F(FakeEngineTest, FailuresComeAtTheirRates) {
  Make({.fail_rate = 0.3, .crash_rate = 0.2});
  int failed = 0;
  int crashed = 0;
  constexpr int kRuns = 1000;
  for (int i = 0; i < kRuns; ++i) {
    auto answer = Run(Ask("x"));
    failed += !answer && answer.error().code() == Code::kUnavailable;
    crashed += !answer && answer.error().code() == Code::kAborted;
  }
  EXPECT_NEAR(failed, 300, 60);  // the seed is fixed: this is no matter of luck
  EXPECT_NEAR(crashed, 140, 50);
}

TEST_F(FakeEngineTest, AHookDecidesOverOneRequest) {
  Make({.tokens = 10})
      .set_fault_hook([](const Request& request) -> std::optional<FakeEngine::Fault> {
        if (!request.body.contains("poison")) return std::nullopt;
        return FakeEngine::Fault{.after_tokens = 4, .error = base::Error(Code::kAborted, "boom")};
      });
  auto poison = Run(Ask("poison"));
  ASSERT_FALSE(poison);
  EXPECT_EQ(poison.error().message(), "boom");
  EXPECT_TRUE(Run(Ask("fine")));
}

TEST_F(FakeEngineTest, AHangEndsAtTheDeadline) {
  Make({}).set_fault_hook([](const Request&) { return FakeEngine::Fault{}; });
  Request request = Ask("x");
  request.deadline = Now() + 5s;
  auto end = Run(std::move(request));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), Code::kDeadlineExceeded);
  runtime_.RunUntilIdle();
  EXPECT_EQ(engine_->capacity().running, 0u);
}

TEST_F(FakeEngineTest, ACrashFailsWhatRunsAndKeepsWhatWaits) {
  FakeEngine& engine = Make({.ttft = 10ms, .itl = 0ms, .slots = 1, .tokens = 1});
  auto running = *engine.Submit(Ask("a"));
  auto waiting = *engine.Submit(Ask("b"));
  runtime_.RunFor(5ms);
  engine.Crash(1s);
  EXPECT_FALSE(engine.capacity().ready);
  auto died = runtime_.Run(Collect(*running));
  ASSERT_FALSE(died);
  EXPECT_EQ(died.error().code(), Code::kAborted);
  base::SteadyTime crash = Now();
  ASSERT_TRUE(runtime_.Run(Collect(*waiting)));
  EXPECT_EQ(Now() - crash, 1s + 10ms);
  EXPECT_TRUE(engine.capacity().ready);
}

TEST_F(FakeEngineTest, WhileUnavailableNothingBegins) {
  FakeEngine& engine = Make({});
  engine.SetAvailable(false);
  auto waiting = *engine.Submit(Ask("a"));
  runtime_.RunFor(1h);
  EXPECT_EQ(engine.capacity().running, 0u);
  EXPECT_FALSE(engine.capacity().ready);
  engine.SetAvailable(true);
  EXPECT_TRUE(runtime_.Run(Collect(*waiting)));
}

TEST_F(FakeEngineTest, TheWaitingRoomHasALimit) {
  FakeEngine& engine = Make({.slots = 1, .max_waiting = 2});
  auto running = engine.Submit(Ask("a"));
  auto one = engine.Submit(Ask("b"));
  auto two = engine.Submit(Ask("c"));
  ASSERT_TRUE(running && one && two);
  auto over = engine.Submit(Ask("d"));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code(), Code::kResourceExhausted);
  one->reset();  // whoever goes makes room
  EXPECT_TRUE(engine.Submit(Ask("e")));
}

TEST_F(FakeEngineTest, BadOptionsAreRefused) {
  for (FakeOptions bad :
       {FakeOptions{.fail_rate = 1.1}, FakeOptions{.crash_rate = -0.1}, FakeOptions{.ttft = -1ms},
        FakeOptions{.itl = -1ms}, FakeOptions{.ttft_jitter = -1}, FakeOptions{.slots = 0}}) {
    auto made = MakeFakeEngine(runtime_, bad);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace inferq::engine
