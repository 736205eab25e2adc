#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/llama/answer_format.h"
#include "engine/llama/model.h"
#include "engine/llama/protocol.h"
#include "engine/llama/sampler.h"
#include "engine/llama/text.h"

namespace inferq::engine::llama {

/// One answer in the making: chooses its tokens, and turns them into text until it ends. Knows
/// nothing of slots and caches, so it goes on after a pause as if there had been none.
///
/// Order: Choose, Take, Choose, … until Take gives a finish_reason. One thread at a time; different
/// answers may Choose at the same time, each with a scratch of its own.
class Answer {
 public:
  /// @param model    outlives it.
  /// @param format   of the request's prompt, and the prompt's tokens.
  /// @param max_new  tokens that it may generate, >= 1.
  /// @param choice   which of the request's `n` answers: each has a seed of its own.
  Answer(const Model& model, const GenerateRequest& request, const AnswerFormat& format,
         std::span<const llama_token> prompt, uint64_t max_new, uint32_t choice = 0);

  /// @param logits  [vocabulary], of the last token.
  /// @return LLAMA_TOKEN_NULL: the answer's grammar knows no way on; Take it like any other.
  llama_token Choose(std::span<const float> logits, Sampler::Candidates& scratch);
  /// Takes the next token in. @return its text, and the finish_reason once the answer is over; `id`
  /// and `usage` are the caller's to fill.
  SequenceDelta Take(llama_token token);

  uint64_t generated() const { return generated_; }

 private:
  SequenceDelta Finish(FinishReason reason, SequenceDelta delta);
  void ReadCalls(FinishReason reason, SequenceDelta& delta);
  wire::TokenScore Score(llama_token token, double logprob) const;
  void HoldLogprob();
  void ReleaseLogprobs(SequenceDelta& delta, bool all);

  const Model& model_;
  uint64_t max_new_;
  bool ignore_eos_;
  uint32_t choice_;
  std::set<llama_token> visible_;
  Sampler sampler_;
  Utf8Assembler utf8_;
  StopMatcher stop_;
  uint64_t generated_ = 0;

  std::shared_ptr<const ToolParser> tools_;  // null: text goes out as it comes
  std::string whole_;                        // else it waits here for its end

  // Log probabilities wait until the text of their token is out.
  struct Held {
    uint64_t begin = 0;  // bytes of text before it
    wire::TokenLogprob logprob;
  };
  bool logprobs_;
  uint32_t top_logprobs_;
  wire::TokenLogprob chosen_;  // by the last Choose
  std::vector<Held> held_;
  uint64_t assembled_ = 0;   // bytes of text so far,
  uint64_t characters_ = 0;  // and characters
  uint64_t released_ = 0;    // bytes of it that are certainly before any stop string
};

}  // namespace inferq::engine::llama
