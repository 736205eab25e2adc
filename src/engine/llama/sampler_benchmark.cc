// Microseconds for one token of one sequence, over logits shaped like a language model's: a few
// probable tokens above a broad hill. `flat` is the worst case, random weights.

#include <benchmark/benchmark.h>

#include "base/rng.h"
#include "engine/llama/sampler.h"

namespace inferq::engine::llama {
namespace {

std::vector<float> Logits(size_t size, bool peaked) {
  base::Rng rng(1);
  std::vector<float> logits(size);
  for (float& logit : logits) {
    double sum = 0;
    for (int i = 0; i < 6; ++i) sum += rng.Uniform() - 0.5;
    logit = static_cast<float>(sum * (peaked ? 3.5 : 1.4));
  }
  for (size_t i = 0; peaked && i < 50; ++i) {
    logits[rng.Below(size)] = 18 - static_cast<float>(i) * 0.25F;
  }
  return logits;
}

void Run(benchmark::State& state, const SamplingParams& params, bool peaked = true) {
  const std::vector<float> logits = Logits(static_cast<size_t>(state.range(0)), peaked);
  SamplingParams seeded = params;
  seeded.seed = 7;
  Sampler sampler(seeded);
  Sampler::Candidates scratch;
  for (auto _ : state) benchmark::DoNotOptimize(sampler.Sample(logits, scratch));
}

const SamplingParams kGreedy{.temperature = 0};
const SamplingParams kPenalties{.temperature = 0, .repeat_penalty = 1.1};
const SamplingParams kTopP{.temperature = 0.7, .top_p = 0.9};
const SamplingParams kTopK{.temperature = 0.7, .top_p = 0.95, .top_k = 40};
const SamplingParams kMinP{.min_p = 0.05};

void Vocabularies(benchmark::internal::Benchmark* b) {
  b->Arg(32'000)->Arg(151'552)->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(Run, greedy, kGreedy)->Apply(Vocabularies);
BENCHMARK_CAPTURE(Run, greedy_with_penalty, kPenalties)->Apply(Vocabularies);
BENCHMARK_CAPTURE(Run, temperature, SamplingParams{})->Apply(Vocabularies);
BENCHMARK_CAPTURE(Run, top_p, kTopP)->Apply(Vocabularies);
BENCHMARK_CAPTURE(Run, top_p_flat, kTopP, false)->Apply(Vocabularies);
BENCHMARK_CAPTURE(Run, top_k_top_p, kTopK)->Apply(Vocabularies);
BENCHMARK_CAPTURE(Run, min_p, kMinP)->Apply(Vocabularies);
BENCHMARK_CAPTURE(Run, min_p_flat, kMinP, false)->Apply(Vocabularies);

// The same with llama.cpp's samplers, as it was done before.
void RunLlama(benchmark::State& state, const SamplingParams& params, bool peaked = true) {
  const std::vector<float> logits = Logits(static_cast<size_t>(state.range(0)), peaked);
  llama_sampler* chain = llama_sampler_chain_init({.no_perf = true});
  const auto add = [chain](llama_sampler* sampler) { llama_sampler_chain_add(chain, sampler); };
  if (params.top_k > 0) add(llama_sampler_init_top_k(static_cast<int32_t>(params.top_k)));
  if (params.top_p < 1) add(llama_sampler_init_top_p(static_cast<float>(params.top_p), 1));
  if (params.min_p > 0) add(llama_sampler_init_min_p(static_cast<float>(params.min_p), 1));
  add(llama_sampler_init_temp(static_cast<float>(params.temperature)));
  add(llama_sampler_init_dist(7));
  std::vector<llama_token_data> tokens(logits.size());
  for (auto _ : state) {
    for (size_t i = 0; i < logits.size(); ++i) {
      tokens[i] = {static_cast<llama_token>(i), logits[i], 0};
    }
    llama_token_data_array array{tokens.data(), tokens.size(), -1, false};
    llama_sampler_apply(chain, &array);
    benchmark::DoNotOptimize(array.data[array.selected].id);
  }
  llama_sampler_free(chain);
}

BENCHMARK_CAPTURE(RunLlama, temperature, SamplingParams{})->Apply(Vocabularies);
BENCHMARK_CAPTURE(RunLlama, top_p, kTopP)->Apply(Vocabularies);
BENCHMARK_CAPTURE(RunLlama, top_p_flat, kTopP, false)->Apply(Vocabularies);
BENCHMARK_CAPTURE(RunLlama, top_k_top_p, kTopK)->Apply(Vocabularies);
BENCHMARK_CAPTURE(RunLlama, min_p, kMinP)->Apply(Vocabularies);

}  // namespace
}  // namespace inferq::engine::llama
