#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "wire/json.h"

namespace inferq::wire {

struct Choice;  // wire/choice.h

/// What a request asks of a model.
enum class Endpoint : uint8_t { kChatCompletions, kCompletions, kEmbeddings, kResponses };
/// "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses".
std::string_view EndpointPath(Endpoint endpoint);
std::optional<Endpoint> ParseEndpoint(std::string_view path);
/// The field that holds what the model reads: "messages", "prompt", "input".
std::string_view InputField(Endpoint endpoint);
/// For messages: "'/v1/chat/completions', '/v1/completions', … and '/v1/responses'".
std::string SupportedEndpoints();

/// What becomes of a request field (docs/DESIGN: honoured, accepted without effect, refused).
enum class FieldRule : uint8_t {
  kHonoured,
  kIgnored,  ///< Has no effect on the answer here; named in a response header.
  kRefused,  ///< Would change the answer; a 400 names it. Its neutral value (null, false, [], …) is
             ///< accepted.
};
struct FieldInfo {
  std::string_view name;
  FieldRule rule;
  bool chat;                 ///< Known to /v1/chat/completions.
  bool completions;          ///< Known to /v1/completions.
  std::string_view neutral;  ///< Compact JSON that asks for nothing, beside null; empty: none.
};
/// The one table of request fields.
std::span<const FieldInfo> RequestFields();

/// A call of a tool: what a model asks for, and what a client says it asked for.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  ///< As the model wrote them: JSON, unless it was cut short.
  friend bool operator==(const ToolCall&, const ToolCall&) = default;
};

/// One message. Text parts are joined by nothing, as chat templates do.
struct ChatMessage {
  std::string role;     ///< system, developer, user, assistant, tool, function.
  std::string content;  ///< The text; "" when null.
  std::string json;     ///< The whole message as written, for chat templates that want more.
  std::vector<ToolCall> tool_calls;  ///< Of an assistant.
  std::string tool_call_id;          ///< Of a tool: which call it answers.
  std::string name;                  ///< Of the tool, or of who speaks.
};

enum class ToolChoice : uint8_t {
  kAuto,
  kNone,      ///< The model sees the tools, but answers in text.
  kRequired,  ///< At least one call. A named function is this, with no other tool.
};

struct LogitBias {
  int32_t token = 0;
  double bias = 0;  ///< [-100, 100]
  friend bool operator==(const LogitBias&, const LogitBias&) = default;
};

inline constexpr uint32_t kMaxChoices = 16;
inline constexpr uint32_t kMaxTopLogprobs = 20;

/// How to choose tokens. The defaults are OpenAI's; a penalty's default does nothing.
struct Sampling {
  double temperature = 1.0;  ///< [0, 2]; 0: greedy.
  double top_p =
      1.0;  ///< (0, 1]; 0 is taken as greedy by some clients and accepted: the most probable token.
  int32_t top_k = 0;               ///< >= 0; 0: off. -1 (vLLM's "off") reads as 0.
  double min_p = 0.0;              ///< [0, 1].
  double presence_penalty = 0.0;   ///< [-2, 2].
  double frequency_penalty = 0.0;  ///< [-2, 2].
  double repeat_penalty = 1.0;     ///< (0, 10]; also read from repetition_penalty.
  std::optional<uint64_t> seed;    ///< Unset: the engine's choice. Negative ones wrap.
  std::vector<LogitBias> logit_bias;
};

/// A request for text, checked.
struct GenerateRequest {
  Endpoint endpoint = Endpoint::kChatCompletions;
  std::string model;                  ///< "" when the body has none.
  std::vector<ChatMessage> messages;  ///< kChatCompletions: at least one.
  std::string prompt;                 ///< kCompletions.
  Sampling sampling;
  std::optional<uint64_t>
      max_tokens;  ///< >= 1; from max_completion_tokens or max_tokens, whichever is less.
  std::vector<std::string> stop;  ///< 0..16 texts, none empty, each up to 1 KiB.
  bool ignore_eos = false;        ///< Extension: go on to max_tokens.
  bool stream = false;
  bool include_usage = false;       ///< stream_options.include_usage.
  uint32_t n = 1;                   ///< [1, kMaxChoices]; answers to the same prompt.
  std::optional<uint32_t> best_of;  ///< Where given, it equals n.
  bool logprobs = false;            ///< Tell each token's logarithmic probability,
  uint32_t top_logprobs = 0;        ///< and those of so many others; [0, kMaxTopLogprobs].
  std::string tools;                ///< JSON array of OpenAI's function tools; "": none.
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string tool_name;  ///< The one that tool_choice names; then `tools` holds no other.
  std::optional<bool> parallel_tool_calls;  ///< Unset: as the model's template can.
  std::string json_schema;  ///< JSON; the answer is a value that it describes. "": any text.
  std::string grammar;      ///< Extension: GBNF that the answer follows; excludes json_schema.
  std::vector<std::string> ignored;  ///< Fields present that are accepted without effect.
};

/// Reads a request body for an engine of ours. Unknown fields, repeated ones and those of the
/// refused list are errors; what a remote backend gets is not read with this.
/// @param endpoint  not kEmbeddings, see embedding.h.
/// @return kInvalidArgument, param "body.<field>" (or "body.messages[2].content"), the message a
/// sentence
///         with the value and the allowed range.
base::Result<GenerateRequest> ParseGenerateRequest(std::string_view body, Endpoint endpoint);

/// Values for a body's fields that the client left out.
struct BodyDefaults {
  std::string model{};
  std::optional<uint64_t> max_tokens{};  ///< Not set where max_completion_tokens is.
  std::optional<double> temperature{};
  std::optional<double> top_p{};
  std::optional<uint64_t> seed{};
};
/// The body with the missing ones filled in, compact; order and unknown fields kept. `body` is an
/// object.
std::string WithDefaults(JsonValue body, const BodyDefaults& defaults);

struct TokenUsage {
  uint64_t prompt_tokens = 0;
  uint64_t completion_tokens = 0;
  uint64_t cached_tokens = 0;  ///< Part of prompt_tokens.
  /// Part of prompt_tokens that no earlier prompt began with: what a perfect prefix cache would
  /// compute. 0: unknown, and not written.
  uint64_t distinct_tokens = 0;
};

/// OpenAI's `usage` object, with the total and prompt_tokens_details; distinct_tokens in these is
/// ours.
std::string UsageJson(const TokenUsage& usage);

/// A finished answer.
struct Completion {
  std::string id{};     ///< "chatcmpl-…" or "cmpl-…".
  int64_t created = 0;  ///< Unix seconds.
  std::string model{};
  std::string text{};
  std::string finish_reason{};  ///< "stop", "length", …; "" is written as null.
  TokenUsage usage{};
};

/// The response JSON, compact: object "chat.completion" or "text_completion", one choice.
std::string CompletionBody(Endpoint endpoint, const Completion& completion);
/// The same with these choices in place of the completion's text and finish_reason.
std::string CompletionBody(Endpoint endpoint, const Completion& completion,
                           std::span<const Choice> choices);
/// Reads the first choice of either kind of response, and what there is of the other fields.
/// @return kInvalidArgument: not an object, or without choices.
base::Result<Completion> ParseCompletionBody(JsonValue body);

}  // namespace inferq::wire
