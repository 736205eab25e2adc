// inferq-bench-llama-engine: generation through the engine (child process, protocol, supervisor),
// to be held against inferq-bench-plain-loop with the same numbers. Prints one JSON object.

#include "engine/llama/llama_engine.h"

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/rng.h"
#include "runtime/asio_runtime.h"
#include "runtime/event.h"

namespace inferq::engine::llama {
namespace {

struct Options {
  LlamaOptions engine;
  uint32_t requests = 1;  // at once, and slots
  uint32_t rounds = 1;
  uint32_t prompt_tokens = 32;
  uint32_t output_tokens = 64;
};

struct Totals {
  uint64_t tokens = 0;
  uint64_t failed = 0;
};

// Control characters are one token each in a byte-level vocabulary.
Request MakeRequest(const Options& options, base::Rng& rng) {
  std::string prompt;
  for (uint32_t i = 0; i < options.prompt_tokens; ++i) {
    prompt += fmt::format("\\u{:04x}", 1 + rng.Below(8));
  }
  Request request;
  request.endpoint = Endpoint::kCompletions;
  request.body =
      fmt::format(R"({{"prompt":"{}","max_tokens":{},"temperature":0,"ignore_eos":true}})", prompt,
                  options.output_tokens);
  return request;
}

Awaitable<void> RunOne(Engine& engine, Request request, Totals& totals) {
  auto generation = engine.Submit(std::move(request));
  if (!generation) {
    ++totals.failed;
    co_return;
  }
  auto answer = co_await Collect(**generation);
  if (answer) totals.tokens += answer->usage.completion_tokens;
  if (!answer) ++totals.failed;
}

Awaitable<void> RunRound(runtime::Runtime& runtime, Engine& engine, const Options& options,
                         Totals& totals) {
  base::Rng rng(1);
  runtime::Scope scope(runtime);
  for (uint32_t i = 0; i < options.requests; ++i) {
    scope.Spawn(RunOne(engine, MakeRequest(options, rng), totals));
  }
  co_await scope.Join();
}

double ParentCpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Awaitable<void> Run(runtime::AsioRuntime& runtime, const Options& options, int& exit_code) {
  LlamaEngine engine(runtime, options.engine);
  const auto started = co_await engine.Start();
  if (!started) {
    fmt::print(stderr, "inferq-bench-llama-engine: {}\n", started.error().message());
    exit_code = 1;
  } else {
    Totals warm_up;
    co_await RunRound(runtime, engine, options, warm_up);
    Totals totals;
    const double cpu = ParentCpuSeconds();
    const base::SteadyTime begin = runtime.clock().Steady();
    for (uint32_t i = 0; i < options.rounds; ++i)
      co_await RunRound(runtime, engine, options, totals);
    const std::chrono::duration<double> time = runtime.clock().Steady() - begin;
    fmt::print(
        R"({{"requests":{},"rounds":{},"prompt_tokens":{},"output_tokens":{},"threads":{},"seconds":{:.6f},)"
        R"("tokens_per_s":{:.3f},"failed":{},"server_cpu_seconds":{:.6f}}})"
        "\n",
        options.requests, options.rounds, options.prompt_tokens, options.output_tokens,
        engine.effective_options().threads, time.count(),
        static_cast<double>(totals.tokens) / time.count(), totals.failed, ParentCpuSeconds() - cpu);
    exit_code = totals.failed == 0 ? 0 : 1;
  }
  co_await engine.Stop();
  runtime.Stop();
}

int Main(int argc, char** argv) {
  CLI::App app("Generation through the local engine. Prints one JSON object.");
  Options options;
  app.add_option("--model", options.engine.model_path, "GGUF file")->required();
  app.add_option("--requests", options.requests, "Requests at once, and slots")
      ->check(CLI::Range(1, 256));
  app.add_option("--rounds", options.rounds, "Times that all requests run");
  app.add_option("--prompt-tokens", options.prompt_tokens, "Tokens per prompt");
  app.add_option("--output-tokens", options.output_tokens, "Tokens per answer");
  app.add_option("--threads", options.engine.threads, "Threads");
  CLI11_PARSE(app, argc, argv);
  options.engine.slots = options.requests;
  options.engine.context_tokens = options.prompt_tokens + options.output_tokens + 16;
  runtime::AsioRuntime runtime;
  int exit_code = 1;
  runtime.SpawnDetached(Run(runtime, options, exit_code));
  runtime.Run();
  return exit_code;
}

}  // namespace
}  // namespace inferq::engine::llama

int main(int argc, char** argv) { return inferq::engine::llama::Main(argc, argv); }
