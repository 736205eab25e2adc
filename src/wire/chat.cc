#include "wire/chat.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "wire/answer_options.h"
#include "wire/body_reader.h"
#include "wire/choice.h"

namespace inferq::wire {

using base::Code;
using base::Fail;
using base::Result;

using body::Bad;
using body::ReadBool;
using body::ReadInteger;
using body::ReadNumber;
using body::ReadString;
using body::Shown;

namespace {

constexpr auto kHonoured = FieldRule::kHonoured;
constexpr auto kIgnored = FieldRule::kIgnored;
constexpr auto kRefused = FieldRule::kRefused;

// name, rule, chat, completions, neutral values ('|' between them)
constexpr std::array kFields = {
    FieldInfo{"model", kHonoured, true, true, ""},
    FieldInfo{"messages", kHonoured, true, false, ""},
    FieldInfo{"prompt", kHonoured, false, true, ""},
    FieldInfo{"temperature", kHonoured, true, true, ""},
    FieldInfo{"top_p", kHonoured, true, true, ""},
    FieldInfo{"top_k", kHonoured, true, true, ""},
    FieldInfo{"min_p", kHonoured, true, true, ""},
    FieldInfo{"max_tokens", kHonoured, true, true, ""},
    FieldInfo{"max_completion_tokens", kHonoured, true, false, ""},
    FieldInfo{"stop", kHonoured, true, true, ""},
    FieldInfo{"seed", kHonoured, true, true, ""},
    FieldInfo{"presence_penalty", kHonoured, true, true, ""},
    FieldInfo{"frequency_penalty", kHonoured, true, true, ""},
    FieldInfo{"repeat_penalty", kHonoured, true, true, ""},
    FieldInfo{"repetition_penalty", kHonoured, true, true, ""},
    FieldInfo{"ignore_eos", kHonoured, true, true, ""},
    FieldInfo{"stream", kHonoured, true, true, ""},
    FieldInfo{"stream_options", kHonoured, true, true, ""},
    FieldInfo{"n", kHonoured, true, true, ""},
    FieldInfo{"best_of", kHonoured, true, true, ""},
    FieldInfo{"logprobs", kHonoured, true, true, ""},
    FieldInfo{"top_logprobs", kHonoured, true, false, ""},
    FieldInfo{"logit_bias", kHonoured, true, true, ""},
    FieldInfo{"tools", kHonoured, true, false, ""},
    FieldInfo{"tool_choice", kHonoured, true, false, ""},
    FieldInfo{"parallel_tool_calls", kHonoured, true, false, ""},
    FieldInfo{"response_format", kHonoured, true, true, ""},
    FieldInfo{"grammar", kHonoured, true, true, ""},

    FieldInfo{"user", kIgnored, true, true, ""},
    FieldInfo{"store", kIgnored, true, true, ""},
    FieldInfo{"metadata", kIgnored, true, true, ""},
    FieldInfo{"service_tier", kIgnored, true, true, ""},
    FieldInfo{"safety_identifier", kIgnored, true, true, ""},
    FieldInfo{"prompt_cache_key", kIgnored, true, true, ""},
    FieldInfo{"prompt_cache_retention", kIgnored, true, true, ""},
    FieldInfo{"cache_prompt", kIgnored, true, true, ""},
    FieldInfo{"prediction", kIgnored, true, false, ""},
    FieldInfo{"request_id", kIgnored, true, true, ""},
    FieldInfo{"priority", kIgnored, true, true, ""},
    FieldInfo{"skip_special_tokens", kIgnored, true, true, ""},
    FieldInfo{"spaces_between_special_tokens", kIgnored, true, true, ""},

    FieldInfo{"echo", kRefused, false, true, "false"},
    FieldInfo{"suffix", kRefused, false, true, "\"\""},
    FieldInfo{"functions", kRefused, true, false, "[]"},
    FieldInfo{"function_call", kRefused, true, false, "\"none\"|\"auto\""},
    FieldInfo{"modalities", kRefused, true, false, "[\"text\"]"},
    FieldInfo{"audio", kRefused, true, false, ""},
    FieldInfo{"web_search_options", kRefused, true, false, ""},
    FieldInfo{"reasoning_effort", kRefused, true, false, ""},
    FieldInfo{"verbosity", kRefused, true, false, "\"medium\""},
    FieldInfo{"chat_template_kwargs", kRefused, true, false, "{}"},
    FieldInfo{"add_generation_prompt", kRefused, true, false, "true"},
    FieldInfo{"min_tokens", kRefused, true, true, "0"},
    FieldInfo{"stop_token_ids", kRefused, true, true, "[]"},
    FieldInfo{"use_beam_search", kRefused, true, true, "false"},
    FieldInfo{"length_penalty", kRefused, true, true, "1|1.0"},
};

constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 1024;
constexpr int64_t kMaxTokens = INT32_MAX;

Result<> ReadMaxTokens(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(int64_t count, ReadInteger(field, value, 1, kMaxTokens));
  auto tokens = static_cast<uint64_t>(count);
  request.max_tokens = std::min(tokens, request.max_tokens.value_or(tokens));
  return {};
}

Result<> AddStop(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(std::string text, ReadString(field, value));
  if (text.empty()) return Bad(field, "must not be empty.");
  if (text.size() > kMaxStopBytes) {
    return Bad(field, "has {} bytes, but at most {} are allowed.", text.size(), kMaxStopBytes);
  }
  request.stop.push_back(std::move(text));
  return {};
}

Result<> ReadStop(std::string_view field, JsonValue value, GenerateRequest& request) {
  if (value.type() != JsonType::kArray) return AddStop(field, value, request);
  for (JsonElements e(value); e.Next();) {
    if (request.stop.size() == kMaxStops) return Bad(field, "has more than {} texts.", kMaxStops);
    INFERQ_TRY(AddStop(fmt::format("{}[{}]", field, request.stop.size()), e.value(), request));
  }
  return {};
}

Result<> ReadStreamOptions(std::string_view field, JsonValue value, GenerateRequest& request) {
  if (value.type() != JsonType::kObject)
    return Bad(field, "must be an object, got {}.", Shown(value));
  auto usage = value.Find("include_usage");
  if (!usage || usage->is_null()) return {};
  INFERQ_ASSIGN(request.include_usage, ReadBool("stream_options.include_usage", *usage));
  return {};
}

Result<> ReadPrompt(std::string_view field, JsonValue value, GenerateRequest& request) {
  if (value.type() == JsonType::kArray) {
    std::vector<JsonValue> all = value.Elements();
    if (all.size() != 1 || all[0].type() != JsonType::kString) {
      return Bad(
          field,
          "must be one string; send one request per prompt, and text rather than token ids.");
    }
    value = all[0];
  }
  INFERQ_ASSIGN(request.prompt, ReadString(field, value));
  return {};
}

// Messages.

constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                    "assistant", "tool",      "function"};

Result<> AppendPart(const std::string& field, JsonValue part, std::string& out) {
  auto type = part.Find("type").and_then([](JsonValue v) { return v.AsString(); });
  if (!type) return Bad(field, "must be an object with a 'type', got {}.", Shown(part));
  if (*type != "text" && *type != "refusal") {
    return Bad(field,
               "is of type '{}', but this model takes text only: use a backend that supports it.",
               *type);
  }
  auto text = part.Find(*type).and_then([](JsonValue v) { return v.AsString(); });
  if (!text) return Bad(fmt::format("{}.{}", field, *type), "must be a string.");
  out += *text;
  return {};
}

Result<std::string> ReadContent(const std::string& field, JsonValue content) {
  if (auto text = content.AsString()) return *std::move(text);
  if (content.type() != JsonType::kArray) {
    return Bad(field, "must be a string or an array of parts, got {}.",
               JsonTypeName(content.type()));
  }
  std::string text;
  size_t index = 0;
  for (JsonElements e(content); e.Next(); ++index) {
    INFERQ_TRY(AppendPart(fmt::format("{}[{}]", field, index), e.value(), text));
  }
  return text;
}

Result<ChatMessage> ReadMessage(const std::string& field, JsonValue value) {
  if (value.type() != JsonType::kObject) {
    return Bad(field, "must be an object with 'role' and 'content', got {}.",
               JsonTypeName(value.type()));
  }
  auto role = value.Find("role");
  if (!role) return Bad(field + ".role", "is missing.");
  ChatMessage message;
  message.json = value.text();
  INFERQ_ASSIGN(message.role, ReadString(field + ".role", *role));
  if (std::ranges::find(kRoles, message.role) == kRoles.end()) {
    return Bad(field + ".role", "is '{}', but must be one of {}.", message.role,
               fmt::join(kRoles, ", "));
  }
  auto content = value.Find("content");
  if (content && !content->is_null()) {
    INFERQ_ASSIGN(message.content, ReadContent(field + ".content", *content));
  } else if (message.role != "assistant") {
    return Bad(field + ".content", "is missing.");
  }
  INFERQ_TRY(ReadToolFields(field, value, message));
  return message;
}

Result<> ReadMessages(std::string_view field, JsonValue value, GenerateRequest& request) {
  if (value.type() != JsonType::kArray) {
    return Bad(field, "must be an array, got {}.", JsonTypeName(value.type()));
  }
  for (JsonElements e(value); e.Next();) {
    INFERQ_ASSIGN(auto message,
                  ReadMessage(fmt::format("{}[{}]", field, request.messages.size()), e.value()));
    request.messages.push_back(std::move(message));
  }
  if (request.messages.empty()) return Bad(field, "must have at least one message.");
  return {};
}

// Which function reads which honoured field.

using Read = Result<> (*)(std::string_view field, JsonValue value, GenerateRequest& request);

template <double Sampling::* Member, int Min, int Max>
Result<> ReadSampling(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(request.sampling.*Member, ReadNumber(field, value, Min, Max));
  return {};
}

Result<> ReadRepeatPenalty(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(double penalty, ReadNumber(field, value, 0, 10));
  if (penalty == 0) return Bad(field, "is 0, but must be above 0 (1 is off).");
  request.sampling.repeat_penalty = penalty;
  return {};
}

Result<> ReadTopK(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(int64_t top_k, ReadInteger(field, value, -1, INT32_MAX));
  request.sampling.top_k = static_cast<int32_t>(std::max(top_k, int64_t{0}));
  return {};
}

Result<> ReadSeed(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(int64_t seed, ReadInteger(field, value, INT64_MIN, INT64_MAX));
  request.sampling.seed = static_cast<uint64_t>(seed);
  return {};
}

Result<> ReadModel(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(request.model, ReadString(field, value));
  return {};
}

template <bool GenerateRequest::* Member>
Result<> ReadFlag(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(request.*Member, ReadBool(field, value));
  return {};
}

constexpr std::array<std::pair<std::string_view, Read>, 28> kReaders = {{
    {"model", ReadModel},
    {"messages", ReadMessages},
    {"prompt", ReadPrompt},
    {"temperature", ReadSampling<&Sampling::temperature, 0, 2>},
    {"top_p", ReadSampling<&Sampling::top_p, 0, 1>},
    {"min_p", ReadSampling<&Sampling::min_p, 0, 1>},
    {"presence_penalty", ReadSampling<&Sampling::presence_penalty, -2, 2>},
    {"frequency_penalty", ReadSampling<&Sampling::frequency_penalty, -2, 2>},
    {"repeat_penalty", ReadRepeatPenalty},
    {"repetition_penalty", ReadRepeatPenalty},
    {"top_k", ReadTopK},
    {"seed", ReadSeed},
    {"max_tokens", ReadMaxTokens},
    {"max_completion_tokens", ReadMaxTokens},
    {"stop", ReadStop},
    {"ignore_eos", ReadFlag<&GenerateRequest::ignore_eos>},
    {"stream", ReadFlag<&GenerateRequest::stream>},
    {"stream_options", ReadStreamOptions},
    {"n", ReadChoices},
    {"best_of", ReadBestOf},
    {"logprobs", ReadLogprobs},
    {"top_logprobs", ReadTopLogprobs},
    {"logit_bias", ReadLogitBias},
    {"tools", ReadTools},
    {"tool_choice", ReadToolChoice},
    {"parallel_tool_calls", ReadParallelToolCalls},
    {"response_format", ReadResponseFormat},
    {"grammar", ReadGrammar},
}};

Read ReaderOf(std::string_view name) {
  auto found = std::ranges::find(kReaders, name, &std::pair<std::string_view, Read>::first);
  INFERQ_CHECK(found != kReaders.end());  // a line of kFields without one here
  return found->second;
}

const FieldInfo* FindField(std::string_view name, Endpoint endpoint) {
  for (const FieldInfo& field : kFields) {
    bool known = endpoint == Endpoint::kChatCompletions ? field.chat : field.completions;
    if (known && field.name == name) return &field;
  }
  return nullptr;
}

bool IsNeutral(const FieldInfo& field, JsonValue value) {
  std::string text = CompactJson(value);
  for (std::string_view rest = field.neutral; !rest.empty();) {
    size_t bar = std::min(rest.find('|'), rest.size());
    if (rest.substr(0, bar) == text) return true;
    rest.remove_prefix(std::min(bar + 1, rest.size()));
  }
  return false;
}

Result<> ReadField(const std::string& name, JsonValue value, GenerateRequest& request) {
  const FieldInfo* field = FindField(name, request.endpoint);
  if (field == nullptr) return Bad(name, "is not known here; remove it.");
  if (value.is_null()) return {};
  switch (field->rule) {
    case kHonoured:
      return ReaderOf(name)(name, value, request);
    case kIgnored:
      request.ignored.push_back(name);
      return {};
    case kRefused:
      break;
  }
  if (IsNeutral(*field, value)) return {};
  if (field->neutral.empty())
    return Bad(name, "is not supported by this model's engine; remove it.");
  return Bad(name, "is {}, which this model's engine does not support; only {} is.", Shown(value),
             field->neutral);
}

}  // namespace

std::string_view EndpointPath(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::kChatCompletions:
      return "/v1/chat/completions";
    case Endpoint::kCompletions:
      return "/v1/completions";
    case Endpoint::kEmbeddings:
      return "/v1/embeddings";
    case Endpoint::kResponses:
      return "/v1/responses";
  }
  INFERQ_CHECK(false);
}

std::optional<Endpoint> ParseEndpoint(std::string_view path) {
  for (Endpoint endpoint : {Endpoint::kChatCompletions, Endpoint::kCompletions,
                            Endpoint::kEmbeddings, Endpoint::kResponses}) {
    if (path == EndpointPath(endpoint)) return endpoint;
  }
  return std::nullopt;
}

std::string_view InputField(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::kChatCompletions:
      return "messages";
    case Endpoint::kCompletions:
      return "prompt";
    case Endpoint::kEmbeddings:
    case Endpoint::kResponses:
      return "input";
  }
  INFERQ_CHECK(false);
}

std::string SupportedEndpoints() {
  return fmt::format("'{}', '{}', '{}' and '{}'", EndpointPath(Endpoint::kChatCompletions),
                     EndpointPath(Endpoint::kCompletions), EndpointPath(Endpoint::kEmbeddings),
                     EndpointPath(Endpoint::kResponses));
}

std::span<const FieldInfo> RequestFields() { return kFields; }

Result<GenerateRequest> ParseGenerateRequest(std::string_view body, Endpoint endpoint) {
  INFERQ_ASSIGN(JsonValue parsed, body::ParseObject(body));
  GenerateRequest request;
  request.endpoint = endpoint;
  for (JsonMembers member(parsed); member.Next();) {
    INFERQ_TRY(ReadField(member.key(), member.value(), request));
  }
  bool chat = endpoint == Endpoint::kChatCompletions;
  std::string_view required = chat ? "messages" : "prompt";
  auto input = parsed.Find(required);
  if (!input || input->is_null()) return Bad(required, "is missing.");
  INFERQ_TRY(CheckAnswerOptions(request));
  return request;
}

std::string WithDefaults(JsonValue body, const BodyDefaults& defaults) {
  std::vector<JsonEdit> edits;
  auto add = [&edits](std::string key, std::string json) {
    edits.push_back({std::move(key), std::move(json)});
  };
  auto limit = body.Find("max_completion_tokens");
  if (!defaults.model.empty()) add("model", JsonString(defaults.model));
  if (defaults.max_tokens && (!limit || limit->is_null())) {
    add("max_tokens", std::to_string(*defaults.max_tokens));
  }
  if (defaults.temperature) add("temperature", JsonNumber(*defaults.temperature));
  if (defaults.top_p) add("top_p", JsonNumber(*defaults.top_p));
  if (defaults.seed) add("seed", std::to_string(*defaults.seed));
  return EditJsonObject(body, edits);
}

std::string UsageJson(const TokenUsage& usage) {
  const std::string distinct = usage.distinct_tokens == 0
                                   ? ""
                                   : fmt::format(R"(,"distinct_tokens":{})", usage.distinct_tokens);
  return fmt::format(
      R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{}{}}}}})",
      usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens,
      usage.cached_tokens, distinct);
}

namespace {

uint64_t CountOf(const std::optional<JsonValue>& object, std::string_view key) {
  auto count = object ? object->Find(key) : std::nullopt;
  auto value = count ? count->AsInteger() : std::nullopt;
  return value && *value > 0 ? static_cast<uint64_t>(*value) : 0;
}

std::string StringOf(JsonValue object, std::string_view key) {
  auto value = object.Find(key);
  return value ? value->AsString().value_or("") : "";
}

/// A string, or the text parts of an array.
std::string TextOf(JsonValue content) {
  if (auto text = content.AsString()) return *std::move(text);
  std::string text;
  for (JsonElements e(content); e.Next();) text += StringOf(e.value(), "text");
  return text;
}

}  // namespace

std::string CompletionBody(Endpoint endpoint, const Completion& completion) {
  const Choice choice{.text = completion.text, .finish_reason = completion.finish_reason};
  return CompletionBody(endpoint, completion, {&choice, 1});
}

std::string CompletionBody(Endpoint endpoint, const Completion& completion,
                           std::span<const Choice> choices) {
  bool chat = endpoint == Endpoint::kChatCompletions;
  std::string all;
  for (const Choice& choice : choices) {
    if (!all.empty()) all += ",";
    all += ChoiceJson(endpoint, choice);
  }
  return fmt::format(
      R"({{"id":{},"object":"{}","created":{},"model":{},"choices":[{}],"usage":{}}})",
      JsonString(completion.id), chat ? "chat.completion" : "text_completion", completion.created,
      JsonString(completion.model), all, UsageJson(completion.usage));
}

Result<Completion> ParseCompletionBody(JsonValue body) {
  auto choices = body.Find("choices");
  std::vector<JsonValue> all = choices ? choices->Elements() : std::vector<JsonValue>();
  if (all.empty()) return Fail(Code::kInvalidArgument, "The response has no choices.");
  Completion completion;
  completion.id = StringOf(body, "id");
  completion.model = StringOf(body, "model");
  auto created = body.Find("created");
  completion.created = created ? created->AsInteger().value_or(0) : 0;
  completion.finish_reason = StringOf(all[0], "finish_reason");
  auto message = all[0].Find("message");
  auto content = message ? message->Find("content") : all[0].Find("text");
  if (content) completion.text = TextOf(*content);
  auto usage = body.Find("usage");
  completion.usage.prompt_tokens = CountOf(usage, "prompt_tokens");
  completion.usage.completion_tokens = CountOf(usage, "completion_tokens");
  auto details = usage ? usage->Find("prompt_tokens_details") : std::nullopt;
  completion.usage.cached_tokens = CountOf(details, "cached_tokens");
  completion.usage.distinct_tokens = CountOf(details, "distinct_tokens");
  return completion;
}

}  // namespace inferq::wire
