#include "engine/llama/sampler.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace inferq::engine::llama {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
// Refused tokens after which the grammar looks at all of them at once.
constexpr int kTries = 16;

}  // namespace

Sampler::Sampler(const SamplingParams& params, std::optional<Grammar> grammar)
    : greedy_(params.temperature <= 0 || params.top_p <= 0 || params.top_k == 1),
      rules_{.top_k = params.top_k,
             .top_p = params.top_p,
             .min_p = params.min_p,
             .temperature = params.temperature},
      rng_(params.seed ? *params.seed : base::RandomSeed()),
      repeat_(static_cast<float>(params.repeat_penalty)),
      frequency_(static_cast<float>(params.frequency_penalty)),
      presence_(static_cast<float>(params.presence_penalty)),
      bias_(params.logit_bias),
      grammar_(std::move(grammar)) {}

void Sampler::AcceptPrompt(std::span<const llama_token> tokens) {
  if (repeat_ == 1) return;
  for (llama_token token : tokens) seen_[token].repeated = true;
}

llama_token Sampler::Sample(std::span<const float> logits, Candidates& scratch) {
  if (penalises() || !bias_.empty()) logits = Edited(logits, scratch);
  llama_token token = Choose(logits, scratch.draw);
  if (grammar_ && !grammar_->Allows(token)) token = ChooseAllowed(logits, token, scratch);
  if (token == LLAMA_TOKEN_NULL) return token;
  if (grammar_) grammar_->Accept(token);
  if (penalises()) {
    Seen& seen = seen_[token];
    seen.repeated = true;
    ++seen.output;
  }
  return token;
}

std::span<const float> Sampler::Edited(std::span<const float> logits, Candidates& scratch) const {
  std::vector<float>& edited = scratch.draw.edited;
  edited.assign(logits.begin(), logits.end());
  const auto at = [&](llama_token token) -> float& { return edited[static_cast<size_t>(token)]; };
  for (const LogitBias& bias : bias_) at(bias.token) += static_cast<float>(bias.bias);
  for (const auto& [token, seen] : seen_) {
    float& logit = at(token);
    if (seen.repeated) logit = logit > 0 ? logit / repeat_ : logit * repeat_;
    if (seen.output > 0) logit -= static_cast<float>(seen.output) * frequency_ + presence_;
  }
  return edited;
}

llama_token Sampler::Choose(std::span<const float> logits, DrawScratch& scratch) {
  return static_cast<llama_token>(greedy_ ? ArgMax(logits) : Draw(logits, rules_, rng_, scratch));
}

// Looking at a few refused tokens one by one is much cheaper than asking the grammar about all.
// Leaving out what is refused and drawing again gives each allowed token its part of what the
// allowed ones have together, as if the others had been left out at once.
llama_token Sampler::ChooseAllowed(std::span<const float> logits, llama_token refused,
                                   Candidates& scratch) {
  std::vector<float>& left = scratch.draw.edited;
  if (logits.data() != left.data()) left.assign(logits.begin(), logits.end());
  for (int i = 0; i < kTries; ++i) {
    left[static_cast<size_t>(refused)] = kNever;
    const llama_token token = Choose(left, scratch.draw);
    if (grammar_->Allows(token) && left[static_cast<size_t>(token)] != kNever) return token;
    refused = token;
  }
  grammar_->Constrain(left, scratch.grammar);
  const llama_token token = Choose(left, scratch.draw);
  return left[static_cast<size_t>(token)] == kNever ? LLAMA_TOKEN_NULL : token;
}

}  // namespace inferq::engine::llama
