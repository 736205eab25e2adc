#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"

namespace inferq::engine::llama {

/// One message of a chat.
struct ChatMessage {
  std::string role;
  std::string content;
  friend bool operator==(const ChatMessage&, const ChatMessage&) = default;
};

/// How the next token is chosen. The defaults are OpenAI's.
struct SamplingParams {
  double temperature = 1.0;  ///< 0: the most probable token (greedy); the lower, the surer.
  double top_p = 1.0;        ///< (0, 1]; 1: off.
  uint32_t top_k = 0;        ///< 0: off.
  double min_p = 0.0;        ///< [0, 1]; 0: off.
  std::optional<uint64_t> seed = {};  ///< None: another one each time.
  double repeat_penalty = 1.0;        ///< > 0; 1: off. Over the prompt and the output.
  double frequency_penalty = 0.0;     ///< Over the output, as the next one.
  double presence_penalty = 0.0;
  friend bool operator==(const SamplingParams&, const SamplingParams&) = default;
};

inline constexpr uint32_t kMaxChoices = 16;

/// What the child needs of a request. Either `messages` (a chat, through the model's template) or
/// `prompt`.
struct GenerateRequest {
  Endpoint endpoint = Endpoint::kChatCompletions;
  std::vector<ChatMessage> messages;
  std::string prompt;
  SamplingParams sampling;
  std::optional<uint64_t> max_tokens;  ///< None: until the context is full.
  std::vector<std::string> stop;       ///< The output ends before the first of these.
  bool ignore_eos = false;             ///< Go on when the model wants to end.
  uint32_t n = 1;                      ///< Answers to the same prompt, [1, kMaxChoices].
  bool interactive = false;            ///< Somebody waits for the answer: it goes first.
  friend bool operator==(const GenerateRequest&, const GenerateRequest&) = default;
};

/// Reads the body of an OpenAI request. kInvalidArgument: `param` names the field, as wire/chat.h
/// says.
base::Result<GenerateRequest> ParseRequest(const Request& request);

}  // namespace inferq::engine::llama
