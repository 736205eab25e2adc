#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wire/chat.h"

namespace inferq::wire {

/// A token and how probable the model thought it.
struct TokenScore {
  std::string bytes{};  ///< Possibly a part of a character.
  double logprob = 0;   ///< Natural logarithm; -infinity is written as -9999, as OpenAI does.
  friend bool operator==(const TokenScore&, const TokenScore&) = default;
};

/// A token of an answer, and the ones that could have stood in its place.
struct TokenLogprob {
  TokenScore token{};
  uint64_t offset = 0;            ///< Characters of the answer before it.
  std::vector<TokenScore> top{};  ///< The most probable first.
  friend bool operator==(const TokenLogprob&, const TokenLogprob&) = default;
};

/// One answer of possibly several to a prompt.
struct Choice {
  uint32_t index = 0;
  std::string text{};
  std::string finish_reason{};  ///< "" is written as null.
  std::vector<ToolCall> tool_calls{};
  std::optional<std::vector<TokenLogprob>> logprobs{};  ///< None: not asked for.
};

/// A member of `choices`.
std::string ChoiceJson(Endpoint endpoint, const Choice& choice);
/// Its `logprobs`, which the two endpoints write in different forms.
std::string LogprobsJson(Endpoint endpoint, std::span<const TokenLogprob> tokens);
/// An array. Streams number the calls, whole answers do not.
std::string ToolCallsJson(std::span<const ToolCall> calls, bool numbered);

}  // namespace inferq::wire
