#include <benchmark/benchmark.h>

#include "base/check.h"
#include "engine/remote/remote_engine.h"
#include "http/asio_dialer.h"
#include "http/testing/test_server.h"
#include "runtime/event.h"

namespace inferq::engine {
namespace {

using http::testing::Answer;
using http::testing::Seen;
using http::testing::TestServer;

constexpr std::string_view kAnswer =
    R"({"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,)"
    R"("message":{"role":"assistant","content":"hello there"},"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}})";

Awaitable<void> One(Engine& engine) {
  Request request;
  request.body =
      R"({"messages":[{"role":"user","content":"Is this positive? I liked it."}],"max_tokens":4})";
  request.model = "m";
  auto generation = engine.Submit(std::move(request));
  INFERQ_CHECK(generation.has_value());
  auto answer = co_await Collect(**generation);
  INFERQ_CHECK(answer.has_value());
}

Awaitable<void> Many(runtime::AsioRuntime& runtime, Engine& engine, int64_t n) {
  runtime::Scope scope(runtime);
  for (int64_t i = 0; i < n; ++i) scope.Spawn(One(engine));
  co_await scope.Join();
  runtime.Stop();
}

Awaitable<void> Begin(runtime::AsioRuntime& runtime, Engine& engine) {
  auto started = co_await engine.Start();
  INFERQ_CHECK(started.has_value());
  runtime.Stop();
}

Awaitable<void> End(runtime::AsioRuntime& runtime, Engine& engine, TestServer& server) {
  co_await engine.Stop();
  co_await server.Stop();
  runtime.Stop();
}

// Small requests through the engine to a server on the same thread: client and server share one
// core.
void BM_SmallRequests(benchmark::State& state) {
  constexpr int64_t kPerRound = 10'000;
  runtime::AsioRuntime runtime;
  TestServer server(runtime, [](const Seen&) { return Answer(200, kAnswer); });
  std::shared_ptr<runtime::Dialer> dialer = *http::MakeAsioDialer(runtime);
  auto slots = static_cast<uint32_t>(state.range(0));
  auto engine = *MakeRemoteEngine(runtime, dialer, {.base_url = server.url(), .slots = slots});
  runtime.SpawnDetached(Begin(runtime, *engine));
  runtime.Run();
  for (auto _ : state) {
    runtime.SpawnDetached(Many(runtime, *engine, kPerRound));
    runtime.Run();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kPerRound);
  runtime.SpawnDetached(End(runtime, *engine, server));
  runtime.Run();
}
BENCHMARK(BM_SmallRequests)->Arg(1)->Arg(16)->Arg(64)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace inferq::engine
