// What one line of a batch's file costs while the file is validated. Items are lines.

#include <benchmark/benchmark.h>

#include "wire/batch_line.h"
#include "wire/json.h"
#include "wire/locality.h"

namespace inferq::wire {
namespace {

/// `range(0)` bytes of prose, with a line break now and then as prompts have.
std::string Line(benchmark::State& state) {
  std::string prose;
  while (prose.size() < static_cast<size_t>(state.range(0))) {
    prose += "Is this review positive? Answer yes or no: the parcel came two days early.\\n";
  }
  std::string body =
      R"({"model":"m","messages":[{"role":"user","content":")" + prose + R"("}],"max_tokens":4})";
  return BatchInputLine("line-1", Endpoint::kChatCompletions, body);
}

void Report(benchmark::State& state, const std::string& line) {
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(line.size()));
}

void BM_ParseJson(benchmark::State& state) {
  const std::string line = Line(state);
  for (auto _ : state) benchmark::DoNotOptimize(ParseJson(line));
  Report(state, line);
}

void BM_ParseBatchLine(benchmark::State& state) {
  const std::string line = Line(state);
  for (auto _ : state) benchmark::DoNotOptimize(ParseBatchLine(line, {}));
  Report(state, line);
}

void BM_SurveyPrompt(benchmark::State& state) {
  const std::string line = Line(state);
  const JsonValue body = ParseBatchLine(line, {})->body;
  for (auto _ : state) benchmark::DoNotOptimize(SurveyPrompt(body));
  Report(state, line);
}

BENCHMARK(BM_ParseJson)->Arg(75)->Arg(4000);
BENCHMARK(BM_ParseBatchLine)->Arg(75)->Arg(4000);
BENCHMARK(BM_SurveyPrompt)->Arg(75)->Arg(4000);

}  // namespace
}  // namespace inferq::wire
