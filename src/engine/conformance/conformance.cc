#include "engine/conformance/conformance.h"

#include <gmock/gmock.h>

#include <vector>

#include "runtime/event.h"

namespace inferq::engine::conformance {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using runtime::Awaitable;
using runtime::Runtime;

// The end of a generation: how it was read, whether or not it failed.
struct Ending {
  Result<Delta> result;
  bool done = false;
};

Awaitable<void> CollectInto(Generation& generation, Ending& out) {
  out.result = co_await Collect(generation);
  out.done = true;
}

std::unique_ptr<Generation> MustSubmit(Engine& engine, Request request) {
  auto generation = engine.Submit(std::move(request));
  EXPECT_TRUE(generation) << generation.error().ToString();
  return generation ? *std::move(generation) : nullptr;
}

// What the model said: text, or the chunks of a backend's stream.
bool SaysSomething(const Delta& delta) { return !delta.text.empty() || !delta.raw_chunks.empty(); }

// True for both ways in which an engine may say it: as an end, or as an error.
bool IsCancelled(const Result<Delta>& result) {
  if (!result) return result.error().code() == Code::kCancelled;
  return result->finish_reason == FinishReason::kCancelled;
}

// Lets the engine work until `n` requests run.
Awaitable<void> UntilRunning(Runtime& runtime, Engine& engine, uint32_t n) {
  while (engine.capacity().running != n) co_await runtime.SleepFor(100us);
}

}  // namespace

void EngineConformance::Run(uint32_t slots, Body body) {
  runtime::AsioRuntime runtime;
  std::unique_ptr<Rig> rig = GetParam().make(runtime, slots);
  runtime.SpawnDetached(RunAll(runtime, *rig, body));
  runtime.Run();
}

Awaitable<void> EngineConformance::RunAll(runtime::AsioRuntime& runtime, Rig& rig, Body body) {
  auto started = co_await rig.engine().Start();
  EXPECT_TRUE(started) << started.error().ToString();
  if (started) co_await body(runtime, rig);
  co_await rig.engine().Stop();
  co_await rig.TearDown();
  runtime.Stop();
}

TEST_P(EngineConformance, TextFinishReasonAndUsageArrive) {
  Run(1, [](Runtime&, Rig& rig) -> Awaitable<void> {
    auto generation = MustSubmit(rig.engine(), rig.ShortRequest(1));
    if (!generation) co_return;
    auto answer = co_await Collect(*generation);
    EXPECT_TRUE(answer) << answer.error().ToString();
    if (!answer) co_return;
    EXPECT_TRUE(SaysSomething(*answer));
    EXPECT_TRUE(answer->finish_reason == FinishReason::kStop ||
                answer->finish_reason == FinishReason::kLength);
    EXPECT_GT(answer->usage.prompt_tokens, 0u);
    EXPECT_GT(answer->usage.completion_tokens, 0u);
    EXPECT_EQ(answer->tokens, answer->usage.completion_tokens);
  });
}

TEST_P(EngineConformance, AStreamedRequestComesInTextOrInChunks) {
  Run(1, [](Runtime&, Rig& rig) -> Awaitable<void> {
    Request request = rig.ShortRequest(1);
    request.stream = true;
    auto generation = MustSubmit(rig.engine(), std::move(request));
    if (!generation) co_return;
    auto answer = co_await Collect(*generation);
    EXPECT_TRUE(answer) << answer.error().ToString();
    if (!answer) co_return;
    EXPECT_NE(answer->text.empty(), answer->raw_chunks.empty());
    EXPECT_TRUE(answer->raw_chunks.empty() || answer->raw_response.empty());
    EXPECT_GT(answer->usage.prompt_tokens, 0u);
    EXPECT_EQ(answer->tokens, answer->usage.completion_tokens);
  });
}

TEST_P(EngineConformance, NothingComesAfterTheEnd) {
  Run(1, [](Runtime&, Rig& rig) -> Awaitable<void> {
    auto generation = MustSubmit(rig.engine(), rig.ShortRequest(1));
    if (!generation) co_return;
    EXPECT_TRUE(co_await Collect(*generation));
    auto more = co_await generation->Next();
    EXPECT_TRUE(!more || !SaysSomething(*more));
  });
}

TEST_P(EngineConformance, MoreRequestsThanSlotsAllFinish) {
  Run(2, [](Runtime& runtime, Rig& rig) -> Awaitable<void> {
    constexpr int kRequests = 9;
    runtime::Scope scope(runtime);
    std::vector<std::unique_ptr<Generation>> generations;
    std::vector<Ending> endings(kRequests);
    for (int i = 0; i < kRequests; ++i) {
      generations.push_back(MustSubmit(rig.engine(), rig.ShortRequest(i)));
      if (!generations.back()) co_return;
    }
    for (size_t i = 0; i < kRequests; ++i) scope.Spawn(CollectInto(*generations[i], endings[i]));
    EXPECT_LE(rig.engine().capacity().running, 2u);
    co_await scope.Join();
    for (const Ending& ending : endings) {
      EXPECT_TRUE(ending.result) << ending.result.error().ToString();
    }
  });
}

TEST_P(EngineConformance, CapacityCounts) {
  Run(3, [](Runtime& runtime, Rig& rig) -> Awaitable<void> {
    Engine& engine = rig.engine();
    EXPECT_EQ(engine.capacity().slots, 3u);
    EXPECT_EQ(engine.capacity().running, 0u);
    EXPECT_TRUE(engine.capacity().ready);
    auto one = MustSubmit(engine, rig.LongRequest());
    auto two = MustSubmit(engine, rig.LongRequest());
    co_await UntilRunning(runtime, engine, 2);
    one.reset();
    co_await UntilRunning(runtime, engine, 1);
    two.reset();
    co_await UntilRunning(runtime, engine, 0);
  });
}

TEST_P(EngineConformance, CancelEndsARunningRequest) {
  Run(1, [](Runtime& runtime, Rig& rig) -> Awaitable<void> {
    auto generation = MustSubmit(rig.engine(), rig.LongRequest());
    if (!generation) co_return;
    runtime::Scope scope(runtime);
    Ending ending;
    scope.Spawn(CollectInto(*generation, ending));
    co_await UntilRunning(runtime, rig.engine(), 1);
    EXPECT_FALSE(ending.done);
    generation->Cancel();
    co_await scope.Join();
    EXPECT_TRUE(ending.result && ending.result->finish_reason == FinishReason::kCancelled);
    co_await UntilRunning(runtime, rig.engine(), 0);
  });
}

TEST_P(EngineConformance, CancelEndsAWaitingRequest) {
  Run(1, [](Runtime& runtime, Rig& rig) -> Awaitable<void> {
    auto running = MustSubmit(rig.engine(), rig.LongRequest());
    co_await UntilRunning(runtime, rig.engine(), 1);
    auto waiting = MustSubmit(rig.engine(), rig.ShortRequest(1));
    if (!waiting) co_return;
    waiting->Cancel();
    auto end = co_await Collect(*waiting);
    EXPECT_TRUE(end && end->finish_reason == FinishReason::kCancelled);
    EXPECT_EQ(rig.engine().capacity().running, 1u);
  });
}

TEST_P(EngineConformance, CancelAfterTheEndChangesNothing) {
  Run(1, [](Runtime&, Rig& rig) -> Awaitable<void> {
    auto generation = MustSubmit(rig.engine(), rig.ShortRequest(1));
    if (!generation) co_return;
    auto answer = co_await Collect(*generation);
    EXPECT_TRUE(answer && answer->finish_reason != FinishReason::kCancelled);
    generation->Cancel();
    generation->Cancel();
  });
}

TEST_P(EngineConformance, DestroyingARequestFreesItsSlot) {
  Run(1, [](Runtime& runtime, Rig& rig) -> Awaitable<void> {
    auto running = MustSubmit(rig.engine(), rig.LongRequest());
    auto dropped = MustSubmit(rig.engine(), rig.LongRequest());
    auto waiting = MustSubmit(rig.engine(), rig.ShortRequest(1));
    if (!waiting) co_return;
    co_await UntilRunning(runtime, rig.engine(), 1);
    dropped.reset();  // never began
    running.reset();
    auto answer = co_await Collect(*waiting);
    EXPECT_TRUE(answer) << answer.error().ToString();
  });
}

TEST_P(EngineConformance, ADeadlineEndsARunningRequest) {
  Run(1, [](Runtime& runtime, Rig& rig) -> Awaitable<void> {
    Request request = rig.LongRequest();
    request.deadline = runtime.clock().Steady() + 20ms;
    auto generation = MustSubmit(rig.engine(), std::move(request));
    if (!generation) co_return;
    auto end = co_await Collect(*generation);
    EXPECT_TRUE(!end && end.error().code() == Code::kDeadlineExceeded);
    co_await UntilRunning(runtime, rig.engine(), 0);
  });
}

TEST_P(EngineConformance, ADeadlineEndsAWaitingRequest) {
  Run(1, [](Runtime& runtime, Rig& rig) -> Awaitable<void> {
    auto running = MustSubmit(rig.engine(), rig.LongRequest());
    co_await UntilRunning(runtime, rig.engine(), 1);
    Request request = rig.ShortRequest(1);
    request.deadline = runtime.clock().Steady() + 1ms;
    auto waiting = MustSubmit(rig.engine(), std::move(request));
    if (!waiting) co_return;
    auto end = co_await Collect(*waiting);
    EXPECT_TRUE(!end && end.error().code() == Code::kDeadlineExceeded);
  });
}

TEST_P(EngineConformance, ABadRequestIsRefusedWithItsField) {
  Run(1, [](Runtime&, Rig& rig) -> Awaitable<void> {
    auto generation = rig.engine().Submit(rig.BadRequest());
    std::optional<base::Error> error;
    if (!generation) {
      error = generation.error();
    } else if (auto end = co_await Collect(**generation); !end) {
      error = end.error();
    }
    EXPECT_TRUE(error);
    if (!error) co_return;
    EXPECT_EQ(error->code(), Code::kInvalidArgument);
    EXPECT_THAT(error->param(), testing::StartsWith("body"));
    EXPECT_FALSE(error->message().empty());
    auto good = MustSubmit(rig.engine(), rig.ShortRequest(1));
    if (!good) co_return;
    EXPECT_TRUE(co_await Collect(*good));  // the neighbour does not suffer
  });
}

TEST_P(EngineConformance, ABodyThatIsNotJsonIsRefused) {
  Run(1, [](Runtime&, Rig& rig) -> Awaitable<void> {
    for (const char* body : {"", "{", "[]", "\"text\""}) {
      Request request = rig.ShortRequest(1);
      request.body = body;
      auto generation = rig.engine().Submit(std::move(request));
      std::optional<base::Error> error;
      if (!generation) {
        error = generation.error();
      } else if (auto end = co_await Collect(**generation); !end) {
        error = end.error();
      }
      EXPECT_TRUE(error && error->code() == Code::kInvalidArgument) << body;
    }
  });
}

TEST_P(EngineConformance, StopEndsWhatRunsAndWhatWaits) {
  Run(1, [](Runtime& runtime, Rig& rig) -> Awaitable<void> {
    auto running = MustSubmit(rig.engine(), rig.LongRequest());
    auto waiting = MustSubmit(rig.engine(), rig.ShortRequest(1));
    if (!running || !waiting) co_return;
    runtime::Scope scope(runtime);
    Ending endings[2];
    scope.Spawn(CollectInto(*running, endings[0]));
    scope.Spawn(CollectInto(*waiting, endings[1]));
    co_await UntilRunning(runtime, rig.engine(), 1);
    co_await rig.engine().Stop();
    co_await scope.Join();
    EXPECT_TRUE(IsCancelled(endings[0].result));
    EXPECT_TRUE(IsCancelled(endings[1].result));
    EXPECT_FALSE(rig.engine().capacity().ready);
    co_await rig.engine().Stop();  // once more does no harm
  });
}

TEST_P(EngineConformance, SubmitAfterStopFails) {
  Run(1, [](Runtime&, Rig& rig) -> Awaitable<void> {
    co_await rig.engine().Stop();
    EXPECT_FALSE(rig.engine().Submit(rig.ShortRequest(1)));
  });
}

TEST_P(EngineConformance, AReaderMayComeLate) {
  Run(1, [](Runtime& runtime, Rig& rig) -> Awaitable<void> {
    auto first = MustSubmit(rig.engine(), rig.ShortRequest(1));
    auto second = MustSubmit(rig.engine(), rig.ShortRequest(2));
    if (!first || !second) co_return;
    EXPECT_TRUE(co_await Collect(*second));  // so the first one has ended, too
    co_await UntilRunning(runtime, rig.engine(), 0);
    auto answer = co_await Collect(*first);
    EXPECT_TRUE(answer && SaysSomething(*answer));
  });
}

TEST_P(EngineConformance, DescribeNamesTheEngine) {
  Run(1, [](Runtime&, Rig& rig) -> Awaitable<void> {
    EXPECT_FALSE(rig.engine().Describe().empty());
    co_return;
  });
}

}  // namespace inferq::engine::conformance
