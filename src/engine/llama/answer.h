#pragma once

#include <cstdint>
#include <span>

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
  /// @param max_new  tokens that it may generate, >= 1.
  Answer(const Model& model, const GenerateRequest& request, std::span<const llama_token> prompt,
         uint64_t max_new);

  /// @param logits  [vocabulary], of the last token.
  llama_token Choose(std::span<const float> logits, Sampler::Candidates& scratch) {
    return sampler_.Sample(logits, scratch);
  }
  /// Takes the next token in. @return its text, and the finish_reason once the answer is over; `id`
  /// and `usage` are the caller's to fill.
  SequenceDelta Take(llama_token token);

  uint64_t generated() const { return generated_; }

 private:
  SequenceDelta Finish(FinishReason reason, SequenceDelta delta);

  const Model& model_;
  uint64_t max_new_;
  bool ignore_eos_;
  Sampler sampler_;
  Utf8Assembler utf8_;
  StopMatcher stop_;
  uint64_t generated_ = 0;
};

}  // namespace inferq::engine::llama
