// inferq-bench-batch: batches of requests through the local engine: prompts that share what they
// begin with, answers of varied length, and somebody who waits for an answer meanwhile. Prints one
// JSON object. bench/batch_engine.py makes a table of runs in pairs.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

#include "base/rng.h"
#include "engine/llama/llama_engine.h"
#include "runtime/asio_runtime.h"
#include "runtime/event.h"

namespace inferq::engine::llama {
namespace {

struct Options {
  LlamaOptions engine;
  uint32_t requests = 64;
  uint32_t prefix_tokens = 0;  // of all requests,
  uint32_t branches = 1;       // then of one of so many groups
  uint32_t branch_tokens = 0;
  uint32_t own_tokens = 32;
  uint32_t output_tokens = 16;
  uint32_t output_mean = 0;  // > 0: geometric lengths, up to output_tokens
  bool waves = false;        // static batching: as many as there are slots, then the next ones
  uint32_t probes = 0;       // requests of somebody who waits, one after the other
  uint32_t probe_tokens = 32;
  bool probes_interactive = true;
  uint64_t seed = 1;
};

struct Totals {
  uint64_t ended = 0;
  uint64_t tokens = 0;
  uint64_t failed = 0;
  uint64_t kv_most = 0;
  double kv_sum = 0;  // of the used part, over samples
  uint64_t kv_samples = 0;
  uint64_t rss_tenth = 0;           // KiB of the child after a tenth of the requests
  std::vector<double> first_token;  // seconds, of the probes
};

// Control characters are one token each in a byte-level vocabulary.
std::string Tokens(uint64_t seed, uint32_t count) {
  base::Rng rng(seed);
  std::string text;
  for (uint32_t i = 0; i < count; ++i) text += fmt::format("\\u{:04x}", 1 + rng.Below(8));
  return text;
}

Request MakeRequest(const std::string& prompt, uint64_t max_tokens) {
  Request request;
  request.endpoint = Endpoint::kCompletions;
  request.body = fmt::format(
      R"({{"prompt":"{}","max_tokens":{},"temperature":0,"ignore_eos":true}})", prompt, max_tokens);
  return request;
}

std::vector<Request> MakeBatch(const Options& o) {
  base::Rng rng(o.seed);
  std::vector<Request> batch;
  const std::string prefix = Tokens(1, o.prefix_tokens);
  for (uint32_t i = 0; i < o.requests; ++i) {
    uint64_t length = o.output_tokens;
    if (o.output_mean > 0) {
      const double draw = std::log(1 - rng.Uniform()) / std::log(1 - 1.0 / o.output_mean);
      length = std::clamp<uint64_t>(static_cast<uint64_t>(draw) + 1, 1, o.output_tokens);
    }
    batch.push_back(MakeRequest(prefix + Tokens(1000 + i % o.branches, o.branch_tokens) +
                                    Tokens(1'000'000 + i, o.own_tokens),
                                length));
  }
  for (size_t i = batch.size(); i > 1; --i) std::swap(batch[i - 1], batch[rng.Below(i)]);
  return batch;
}

uint64_t ChildMemory(const LlamaEngine& engine, std::string_view key) {
  std::ifstream file(fmt::format("/proc/{}/status", engine.child_pid()));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return std::strtoull(line.c_str() + key.size(), nullptr, 10);
  }
  return 0;
}

Awaitable<void> RunOne(LlamaEngine& engine, Request request, Totals& totals, uint64_t tenth) {
  auto generation = engine.Submit(std::move(request));
  if (!generation) {
    ++totals.failed;
    co_return;
  }
  auto answer = co_await Collect(**generation);
  if (answer) totals.tokens += answer->usage.completion_tokens;
  if (!answer) ++totals.failed;
  if (++totals.ended == tenth) totals.rss_tenth = ChildMemory(engine, "VmRSS:");
}

Awaitable<void> RunBatch(runtime::Runtime& runtime, LlamaEngine& engine, const Options& options,
                         Totals& totals, bool& over) {
  std::vector<Request> batch = MakeBatch(options);
  const size_t at_once = options.waves ? options.engine.slots : std::max<size_t>(1, batch.size());
  for (size_t begin = 0; begin < batch.size(); begin += at_once) {
    runtime::Scope scope(runtime);
    for (size_t i = begin; i < std::min(batch.size(), begin + at_once); ++i) {
      scope.Spawn(RunOne(engine, std::move(batch[i]), totals, options.requests / 10));
    }
    co_await scope.Join();
  }
  over = true;
}

// Somebody asks, reads the first token, reads on, and asks again, while the batch runs.
Awaitable<void> Probe(runtime::Runtime& runtime, LlamaEngine& engine, const Options& options,
                      Totals& totals, const bool& over) {
  runtime::Event never(runtime);
  for (uint32_t i = 0; i < options.probes && (!over || options.requests == 0); ++i) {
    Request request = MakeRequest(Tokens(5'000'000 + i, options.probe_tokens), 8);
    request.interactive = options.probes_interactive;
    const base::SteadyTime begin = runtime.clock().Steady();
    auto generation = engine.Submit(std::move(request));
    if (!generation) co_return;
    auto first = co_await (*generation)->Next();
    const std::chrono::duration<double> took = runtime.clock().Steady() - begin;
    if (first) totals.first_token.push_back(took.count());
    if (first && !first->finish_reason) (void)co_await Collect(**generation);
    co_await never.WaitUntil(runtime.clock().Steady() + std::chrono::milliseconds(100));
  }
}

Awaitable<void> Watch(runtime::Runtime& runtime, LlamaEngine& engine, Totals& totals,
                      const bool& over) {
  runtime::Event never(runtime);
  while (!over) {
    const EngineStats stats = engine.stats();
    totals.kv_most = std::max(totals.kv_most, stats.kv_used);
    totals.kv_sum += static_cast<double>(stats.kv_used);
    totals.kv_samples += 1;
    co_await never.WaitUntil(runtime.clock().Steady() + std::chrono::milliseconds(50));
  }
}

double Part(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<size_t>(part * static_cast<double>(values.size() - 1) + 0.5)];
}

void Print(const LlamaEngine& engine, const Totals& totals, double seconds) {
  const EngineStats s = engine.stats();
  fmt::print(
      R"({{"seconds":{:.6f},"tokens":{},"tokens_per_s":{:.3f},"failed":{},"steps":{},"computed":{},)"
      R"("shared":{},"distinct":{},"pauses":{},"shared_cache":{},"kv_cells":{},"kv_most":{},)"
      R"("kv_mean":{:.1f},"rss_tenth_kib":{},"rss_end_kib":{},"rss_peak_kib":{},"probes":{},)"
      R"("first_token_p50":{:.6f},"first_token_p99":{:.6f},"threads":{}}})"
      "\n",
      seconds, totals.tokens, static_cast<double>(totals.tokens) / seconds, totals.failed, s.steps,
      s.computed_tokens, s.shared_tokens, s.distinct_tokens, s.pauses, s.shared_cache, s.kv_cells,
      totals.kv_most, totals.kv_sum / static_cast<double>(std::max<uint64_t>(1, totals.kv_samples)),
      totals.rss_tenth, ChildMemory(engine, "VmRSS:"), ChildMemory(engine, "VmHWM:"),
      totals.first_token.size(), Part(totals.first_token, 0.5), Part(totals.first_token, 0.99),
      engine.effective_options().threads);
}

Awaitable<void> Run(runtime::AsioRuntime& runtime, const Options& options, int& exit_code) {
  LlamaEngine engine(runtime, options.engine);
  const auto started = co_await engine.Start();
  if (started) {
    Totals warm_up;
    co_await RunOne(engine, MakeRequest(Tokens(9, 8), 4), warm_up, 0);
    Totals totals;
    bool over = options.requests == 0;
    const base::SteadyTime begin = runtime.clock().Steady();
    runtime::Scope scope(runtime);
    if (!over) scope.Spawn(RunBatch(runtime, engine, options, totals, over));
    scope.Spawn(Probe(runtime, engine, options, totals, over));
    scope.Spawn(Watch(runtime, engine, totals, over));
    co_await scope.Join();
    const std::chrono::duration<double> time = runtime.clock().Steady() - begin;
    Print(engine, totals, time.count());
    exit_code = totals.failed == 0 ? 0 : 1;
  } else {
    fmt::print(stderr, "inferq-bench-batch: {}\n", started.error().message());
  }
  co_await engine.Stop();
  runtime.Stop();
}

void AddOptions(CLI::App& app, Options& o) {
  app.add_option("--model", o.engine.model_path, "GGUF file")->required();
  app.add_option("--slots", o.engine.slots, "Requests that run at once")->check(CLI::Range(1, 256));
  app.add_option("--context", o.engine.context_tokens, "Tokens of one request");
  app.add_option("--kv-tokens", o.engine.kv_tokens, "Tokens of all slots together");
  app.add_option("--threads", o.engine.threads, "Threads");
  app.add_option("--cache", o.engine.cache, "auto, shared or separate");
  app.add_option("--requests", o.requests, "Of the batch; 0: only probes");
  app.add_option("--prefix-tokens", o.prefix_tokens, "That all prompts begin with");
  app.add_option("--branches", o.branches, "Groups of prompts")->check(CLI::Range(1, 1 << 20));
  app.add_option("--branch-tokens", o.branch_tokens, "That a group's prompts go on with");
  app.add_option("--own-tokens", o.own_tokens, "That are a prompt's own");
  app.add_option("--output-tokens", o.output_tokens, "Per answer, or the most");
  app.add_option("--output-mean", o.output_mean, "Mean of geometric lengths; 0: all the same");
  app.add_flag("--waves", o.waves, "Static batching: the next ones when all have ended");
  app.add_option("--probes", o.probes, "Requests of somebody who waits for each");
  app.add_option("--probe-tokens", o.probe_tokens, "Tokens of their prompts");
  app.add_option("--probes-interactive", o.probes_interactive, "Whether the engine knows it");
  app.add_option("--seed", o.seed, "Of the order and the lengths");
  for (CLI::Option* option : app.get_options()) option->capture_default_str();
}

int Main(int argc, char** argv) {
  CLI::App app("Batches of requests through the local engine. Prints one JSON object.");
  Options options;
  options.engine.slots = 64;
  AddOptions(app, options);
  CLI11_PARSE(app, argc, argv);
  runtime::AsioRuntime runtime;
  int exit_code = 1;
  runtime.SpawnDetached(Run(runtime, options, exit_code));
  runtime.Run();
  return exit_code;
}

}  // namespace
}  // namespace inferq::engine::llama

int main(int argc, char** argv) { return inferq::engine::llama::Main(argc, argv); }
