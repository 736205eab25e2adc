#include "engine/llama/sampler.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/rng.h"

namespace inferq::engine::llama {
namespace {

// llama.cpp seeds with 32 bits and reads its default as "random".
uint32_t SeedOf(const SamplingParams& params) {
  const uint64_t wide = params.seed ? *params.seed : base::RandomSeed();
  const auto seed = static_cast<uint32_t>(wide ^ (wide >> 32));
  return seed == LLAMA_DEFAULT_SEED ? seed - 1 : seed;
}

void Accept(llama_sampler* sampler, llama_token token) {
  if (sampler) llama_sampler_accept(sampler, token);
}

}  // namespace

Sampler::Sampler(const SamplingParams& params, int32_t vocabulary, int32_t history)
    : greedy_(params.temperature <= 0 || params.top_p <= 0 || params.top_k == 1) {
  if (params.repeat_penalty != 1.0) {
    repeat_.reset(llama_sampler_init_penalties(vocabulary, history,
                                               static_cast<float>(params.repeat_penalty), 0, 0));
  }
  if (params.frequency_penalty != 0 || params.presence_penalty != 0) {
    presence_.reset(llama_sampler_init_penalties(vocabulary, history, 1,
                                                 static_cast<float>(params.frequency_penalty),
                                                 static_cast<float>(params.presence_penalty)));
  }
  if (greedy_) return;
  llama_sampler_chain_params chain_params = llama_sampler_chain_default_params();
  chain_params.no_perf = true;
  chain_.reset(llama_sampler_chain_init(chain_params));
  const auto top_k = static_cast<int32_t>(std::min<uint32_t>(params.top_k, INT32_MAX));
  const auto add = [this](llama_sampler* sampler) {
    llama_sampler_chain_add(chain_.get(), sampler);
  };
  if (top_k > 0) add(llama_sampler_init_top_k(top_k));
  if (params.top_p < 1) add(llama_sampler_init_top_p(static_cast<float>(params.top_p), 1));
  if (params.min_p > 0) add(llama_sampler_init_min_p(static_cast<float>(params.min_p), 1));
  if (params.temperature != 1) add(llama_sampler_init_temp(static_cast<float>(params.temperature)));
  add(llama_sampler_init_dist(SeedOf(params)));
}

void Sampler::AcceptPrompt(std::span<const llama_token> tokens) {
  for (llama_token token : tokens) Accept(repeat_.get(), token);
}

llama_token Sampler::Sample(std::span<const float> logits, Candidates& scratch) {
  const llama_token token = Choose(logits, scratch);
  Accept(repeat_.get(), token);
  Accept(presence_.get(), token);
  Accept(chain_.get(), token);
  return token;
}

llama_token Sampler::Choose(std::span<const float> logits, Candidates& scratch) {
  if (greedy_ && !repeat_ && !presence_) return static_cast<llama_token>(ArgMax(logits));
  scratch.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    scratch[i] = {static_cast<llama_token>(i), logits[i], 0};
  }
  llama_token_data_array array{scratch.data(), scratch.size(), -1, false};
  if (repeat_) llama_sampler_apply(repeat_.get(), &array);
  if (presence_) llama_sampler_apply(presence_.get(), &array);
  if (greedy_) {
    return std::ranges::max_element(scratch, {}, &llama_token_data::logit)->id;
  }
  llama_sampler_apply(chain_.get(), &array);
  return array.data[array.selected].id;
}

size_t ArgMax(std::span<const float> values) {
  constexpr size_t kLanes =
      32;  // independent maxima: the compiler makes vector instructions of them
  std::array<float, kLanes> best;
  best.fill(-std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[i + lane];
      best[lane] = value > best[lane] ? value : best[lane];
    }
  }
  float greatest = best[0];
  for (float value : best) greatest = value > greatest ? value : greatest;
  for (; i < values.size(); ++i) greatest = values[i] > greatest ? values[i] : greatest;
  const auto found = std::ranges::find(values, greatest);
  return found == values.end() ? 0 : static_cast<size_t>(found - values.begin());
}

}  // namespace inferq::engine::llama
