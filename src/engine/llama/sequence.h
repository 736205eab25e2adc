#pragma once

#include <llama.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/llama/answer.h"
#include "engine/llama/protocol.h"
#include "engine/llama/request.h"

namespace inferq::engine::llama {

/// One answer to one request, wherever it is: waiting, running in a slot, or paused. What it has
/// said stays with it; what it holds in the cache does not, and can be computed again.
struct Sequence {
  static constexpr llama_seq_id kNoSlot = -1;

  uint64_t id = 0;      ///< Of the request.
  uint32_t choice = 0;  ///< Which of its answers.
  uint32_t order = 0;   ///< Of coming; unique.
  GenerateRequest request;
  std::shared_ptr<const AnswerFormat> format;  ///< Of all answers to the request.
  std::vector<llama_token> tokens;             ///< The prompt, then what was generated.
  size_t prompt_size = 0;                      ///< >= 1
  uint64_t max_new = 0;                        ///< Tokens that it may generate, >= 1.
  uint64_t distinct = 0;                       ///< See Usage.
  std::unique_ptr<Answer> answer{};            ///< Once it has run.

  llama_seq_id slot = kNoSlot;
  size_t held = 0;           ///< Tokens in the cache.
  size_t chunk = 0;          ///< Of them and the next, in the present batch.
  int32_t output = -1;       ///< Its row of logits in the present batch; -1: none.
  uint64_t cached = 0;       ///< Prompt tokens that others had computed, when it ran first.
  uint32_t pauses = 0;       ///< Times that it lost its slot to others.
  uint32_t passed = 0;       ///< Steps in which others went before it while it had a slot.
  bool again = false;        ///< It has lost what it held.
  bool passed_over = false;  ///< In the present batch.
  uint32_t overtaken = 0;    ///< Times that others left the queue before it.
  bool alone = false;        ///< Was part of a step that failed: runs without company.

  bool interactive() const { return request.interactive; }
  std::span<const llama_token> prompt() const { return std::span(tokens).first(prompt_size); }
  size_t generated() const { return tokens.size() - prompt_size; }
  /// Its next step takes one token that it has just generated.
  bool decoding() const { return generated() > 0 && held + 1 == tokens.size(); }
  Usage usage() const {
    return {.prompt_tokens = prompt_size,
            .completion_tokens = generated(),
            .cached_tokens = cached,
            .distinct_tokens = distinct};
  }
};
using SequencePtr = std::unique_ptr<Sequence>;

}  // namespace inferq::engine::llama
