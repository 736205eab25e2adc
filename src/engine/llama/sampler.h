#pragma once

#include <llama.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/llama/request.h"

namespace inferq::engine::llama {

/// Chooses the tokens of one sequence with llama.cpp's samplers: penalties, top_k, top_p, min_p,
/// temperature, then a draw. Temperature 0 is the most probable token (the lowest id among equals),
/// without building candidates. One thread.
class Sampler {
 public:
  using Candidates = std::vector<llama_token_data>;

  /// @param history  tokens that penalties remember: the context size.
  Sampler(const SamplingParams& params, int32_t vocabulary, int32_t history);

  /// What the repeat penalty is to know before the first Sample.
  void AcceptPrompt(std::span<const llama_token> tokens);

  /// @param logits   [vocabulary].
  /// @param scratch  room for the candidates, shared by the samplers of a thread.
  llama_token Sample(std::span<const float> logits, Candidates& scratch);

 private:
  struct Free {
    void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
  };
  using Ptr = std::unique_ptr<llama_sampler, Free>;

  llama_token Choose(std::span<const float> logits, Candidates& scratch);

  bool greedy_;
  Ptr repeat_;    // over prompt and output; null: off
  Ptr presence_;  // frequency and presence, over the output; null: off
  Ptr chain_;     // the rest; null when greedy
};

/// The index of the greatest value, the lowest among equals; 0 when all are NaN or there is none.
size_t ArgMax(std::span<const float> values);

}  // namespace inferq::engine::llama
