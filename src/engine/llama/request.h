#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"

namespace inferq::engine::llama {

using wire::kMaxChoices;
using wire::LogitBias;

/// One message of a chat.
struct ChatMessage {
  std::string role;
  std::string content;
  std::vector<wire::ToolCall> tool_calls = {};  ///< Of an assistant.
  std::string tool_call_id = {};                ///< Of a tool.
  std::string name = {};
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
  std::vector<LogitBias> logit_bias = {};
  friend bool operator==(const SamplingParams&, const SamplingParams&) = default;
};

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
  bool logprobs = false;         ///< Tell the tokens' logarithmic probabilities, by the raw logits,
  uint32_t top_logprobs = 0;     ///< and those of so many others.
  std::string json_schema = {};  ///< The answer is a value that it describes.
  std::string grammar = {};      ///< The answer follows this GBNF.
  std::string tools = {};        ///< JSON array of OpenAI's function tools.
  wire::ToolChoice tool_choice = wire::ToolChoice::kAuto;
  std::optional<bool> parallel_tool_calls = {};  ///< None: as the template can.
  friend bool operator==(const GenerateRequest&, const GenerateRequest&) = default;
};

/// What the child needs of a request that wire has read.
GenerateRequest ToGenerateRequest(const Request& request, wire::GenerateRequest parsed);

}  // namespace inferq::engine::llama
