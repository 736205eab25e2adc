#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "model/task.h"
#include "wire/json.h"

namespace inferq::wire {

/// Tokens of an image part in an estimate: one phone screenshot.
inline constexpr model::TokenCount kImageTokens = 3000;

/// What is known of a request before anyone has run it.
struct PromptSurvey {
  /// Of the prompt, a guess without a tokenizer: one token per 4 bytes, 2 per 3 CJK characters
  /// (Chinese, Japanese kana, Hangul, full-width forms), about 4 per message for the template,
  /// kImageTokens per image. Within a third of GLM's count on prose; up to twice off on digits and
  /// code.
  model::TokenCount tokens = 0;
  /// max_completion_tokens, max_tokens or max_output_tokens, the first that is there; unset when it
  /// is no integer; 0 for embeddings.
  std::optional<int64_t> output_limit{};
  uint64_t inputs = 0;  ///< Texts or token arrays to embed.
  /// Chained hashes of the prompt's first 256 B, 1, 4 and 16 KiB; equal keys up to i mean an equal
  /// prefix of that length. 0 where the request is shorter.
  model::LocalityKey locality{};
};

/// Looks once at what the model reads of a request, in the order a chat template would lay it out:
/// tools, then per message role and content, or the prompt, or the input of an embedding, or
/// instructions and input of a response (one whose input is a text and that has neither
/// instructions nor a limit is taken for an embedding). Strings are decoded, so escaped and raw
/// text are the same.
PromptSurvey SurveyPrompt(JsonValue body);
/// Its tokens alone.
inline model::TokenCount EstimatePromptTokens(JsonValue body) { return SurveyPrompt(body).tokens; }

/// Of valid UTF-8.
model::TokenCount EstimateTextTokens(std::string_view text);

/// Of the parsed value: the same for other white space, escapes, member order and number spelling
/// (1, 1.0).
uint64_t ContentHash(JsonValue value);

/// XXH3, for tables in memory and keys; not for secrets or against attackers.
struct Hash128 {
  uint64_t high = 0;
  uint64_t low = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};
Hash128 HashBytes(std::string_view bytes);

}  // namespace inferq::wire
