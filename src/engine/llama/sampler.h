#pragma once

#include <llama.h>

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "engine/llama/draw.h"
#include "engine/llama/grammar.h"
#include "engine/llama/request.h"

namespace inferq::engine::llama {

/// Chooses the tokens of one sequence: logit bias and penalties, then what draw.h says, among what
/// the grammar allows. Temperature 0 is the most probable token (the lowest id among equals). One
/// thread at a time, each with a scratch of its own.
class Sampler {
 public:
  struct Candidates {
    DrawScratch draw;
    std::vector<llama_token_data> grammar;
  };

  explicit Sampler(const SamplingParams& params, std::optional<Grammar> grammar = {});

  /// What the repeat penalty is to know before the first Sample.
  void AcceptPrompt(std::span<const llama_token> tokens);

  /// The next token, taken as come. LLAMA_TOKEN_NULL: the grammar allows none at all.
  /// @param logits   [vocabulary].
  /// @param scratch  room for the candidates, shared by the samplers of a thread.
  llama_token Sample(std::span<const float> logits, Candidates& scratch);

 private:
  struct Seen {
    bool repeated = false;  // in the prompt or the output, for the repeat penalty
    uint32_t output = 0;    // times in the output
  };

  bool penalises() const { return repeat_ != 1 || frequency_ != 0 || presence_ != 0; }
  std::span<const float> Edited(std::span<const float> logits, Candidates& scratch) const;
  llama_token Choose(std::span<const float> logits, DrawScratch& scratch);
  llama_token ChooseAllowed(std::span<const float> logits, llama_token refused,
                            Candidates& scratch);

  bool greedy_;
  DrawRules rules_;
  base::Rng rng_;
  float repeat_;
  float frequency_;
  float presence_;
  std::vector<LogitBias> bias_;
  std::unordered_map<llama_token, Seen> seen_;  // only with a penalty
  std::optional<Grammar> grammar_;
};

}  // namespace inferq::engine::llama
