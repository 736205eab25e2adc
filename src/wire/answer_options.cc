#include "wire/answer_options.h"

#include <charconv>

#include "wire/body_reader.h"

namespace inferq::wire {

using base::Result;
using body::Bad;
using body::ReadBool;
using body::ReadInteger;
using body::ReadNumber;
using body::ReadString;
using body::Shown;

namespace {

constexpr size_t kMaxTools = 128;
constexpr int64_t kMaxTextLogprobs = 5;  // of /v1/completions
constexpr size_t kMaxGrammarBytes = size_t{1} << 20;
constexpr std::string_view kAnyObject = R"({"type":"object"})";

Result<> RequireObject(const std::string& field, JsonValue value) {
  if (value.type() == JsonType::kObject) return {};
  return Bad(field, "must be an object, got {}.", JsonTypeName(value.type()));
}

/// A member that has to be there.
Result<JsonValue> Member(const std::string& field, JsonValue object, std::string_view name) {
  INFERQ_TRY(RequireObject(field, object));
  auto member = object.Find(name);
  if (!member || member->is_null()) return Bad(fmt::format("{}.{}", field, name), "is missing.");
  return *member;
}

Result<std::string> MemberText(const std::string& field, JsonValue object, std::string_view name) {
  INFERQ_ASSIGN(JsonValue member, Member(field, object, name));
  return ReadString(fmt::format("{}.{}", field, name), member);
}

Result<> RequireFunctionType(const std::string& field, JsonValue value) {
  INFERQ_ASSIGN(std::string type, MemberText(field, value, "type"));
  if (type == "function") return {};
  return Bad(field + ".type", "is '{}', but only 'function' is supported.", type);
}

/// The name of a tool, in its definition or in a choice of one.
Result<std::string> FunctionName(const std::string& field, JsonValue tool) {
  INFERQ_TRY(RequireFunctionType(field, tool));
  INFERQ_ASSIGN(JsonValue function, Member(field, tool, "function"));
  INFERQ_ASSIGN(std::string name, MemberText(field + ".function", function, "name"));
  if (name.empty()) return Bad(field + ".function.name", "must not be empty.");
  return name;
}

Result<> CheckTool(const std::string& field, JsonValue tool) {
  INFERQ_TRY(FunctionName(field, tool));
  auto parameters = tool.Find("function")->Find("parameters");
  if (!parameters || parameters->is_null()) return {};
  return RequireObject(field + ".function.parameters", *parameters);
}

Result<ToolCall> ReadToolCall(const std::string& field, JsonValue value) {
  ToolCall call;
  INFERQ_ASSIGN(call.name, FunctionName(field, value));
  INFERQ_ASSIGN(call.arguments,
                MemberText(field + ".function", *value.Find("function"), "arguments"));
  if (auto id = value.Find("id"); id && !id->is_null()) {
    INFERQ_ASSIGN(call.id, ReadString(field + ".id", *id));
  }
  return call;
}

Result<> ReadSchema(const std::string& field, JsonValue format, GenerateRequest& request) {
  INFERQ_ASSIGN(JsonValue wrapper, Member(field, format, "json_schema"));
  const std::string inner = field + ".json_schema";
  INFERQ_ASSIGN(std::string name, MemberText(inner, wrapper, "name"));
  if (name.empty()) return Bad(inner + ".name", "must not be empty.");
  if (auto strict = wrapper.Find("strict"); strict && !strict->is_null()) {
    INFERQ_TRY(ReadBool(inner + ".strict", *strict));  // the answer follows the schema either way
  }
  INFERQ_ASSIGN(JsonValue schema, Member(inner, wrapper, "schema"));
  INFERQ_TRY(RequireObject(inner + ".schema", schema));
  request.json_schema = CompactJson(schema);
  return {};
}

Result<> KeepOnlyTheNamedTool(GenerateRequest& request) {
  auto tools = ParseJson(request.tools);
  for (JsonElements e(*tools); e.Next();) {
    if (e.value().Find("function")->Find("name")->AsString() != request.tool_name) continue;
    request.tools = fmt::format("[{}]", std::string(e.value().text()));
    return {};
  }
  return Bad("tool_choice", "names the function '{}', which is not among the tools.",
             request.tool_name);
}

Result<> CheckTools(GenerateRequest& request) {
  if (request.tools.empty()) {
    if (request.tool_choice != ToolChoice::kRequired) return {};
    return Bad("tool_choice", "asks for a call, but there are no tools.");
  }
  if (!request.tool_name.empty()) INFERQ_TRY(KeepOnlyTheNamedTool(request));
  if (request.tool_choice == ToolChoice::kNone) return {};
  if (!request.json_schema.empty()) {
    return Bad("response_format", "cannot be combined with tools; use one, or tool_choice 'none'.");
  }
  if (!request.grammar.empty()) return Bad("grammar", "cannot be combined with tools.");
  return {};
}

}  // namespace

Result<> ReadChoices(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(int64_t n, ReadInteger(field, value, 1, kMaxChoices));
  request.n = static_cast<uint32_t>(n);
  return {};
}

Result<> ReadBestOf(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(int64_t n, ReadInteger(field, value, 1, kMaxChoices));
  request.best_of = static_cast<uint32_t>(n);
  return {};
}

Result<> ReadLogprobs(std::string_view field, JsonValue value, GenerateRequest& request) {
  if (request.endpoint == Endpoint::kChatCompletions || value.type() == JsonType::kBool) {
    INFERQ_ASSIGN(request.logprobs, ReadBool(field, value));
    if (!request.logprobs || request.endpoint == Endpoint::kChatCompletions) return {};
    return Bad(field, "must be a number from 0 to {}, got true.", kMaxTextLogprobs);
  }
  INFERQ_ASSIGN(int64_t count, ReadInteger(field, value, 0, kMaxTextLogprobs));
  request.logprobs = true;
  request.top_logprobs = static_cast<uint32_t>(count);
  return {};
}

Result<> ReadTopLogprobs(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(int64_t count, ReadInteger(field, value, 0, kMaxTopLogprobs));
  request.top_logprobs = static_cast<uint32_t>(count);
  return {};
}

Result<> ReadLogitBias(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_TRY(RequireObject(std::string(field), value));
  for (JsonMembers member(value); member.Next();) {
    const std::string key = member.key();
    LogitBias bias;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), bias.token);
    if (error != std::errc() || end != key.data() + key.size() || bias.token < 0) {
      return Bad(field, "has the member '{}', but its names must be token ids.", key);
    }
    INFERQ_ASSIGN(bias.bias,
                  ReadNumber(fmt::format("{}.{}", field, key), member.value(), -100, 100));
    request.sampling.logit_bias.push_back(bias);
  }
  return {};
}

Result<> ReadTools(std::string_view field, JsonValue value, GenerateRequest& request) {
  if (value.type() != JsonType::kArray) {
    return Bad(field, "must be an array, got {}.", JsonTypeName(value.type()));
  }
  size_t count = 0;
  for (JsonElements e(value); e.Next(); ++count) {
    if (count == kMaxTools) return Bad(field, "has more than {} tools.", kMaxTools);
    INFERQ_TRY(CheckTool(fmt::format("{}[{}]", field, count), e.value()));
  }
  if (count > 0) request.tools = CompactJson(value);
  return {};
}

Result<> ReadToolChoice(std::string_view field, JsonValue value, GenerateRequest& request) {
  const std::string name(field);
  if (value.type() == JsonType::kObject) {
    INFERQ_ASSIGN(request.tool_name, FunctionName(name, value));
    request.tool_choice = ToolChoice::kRequired;
    return {};
  }
  const auto text = value.AsString();
  if (text == "auto") {
    request.tool_choice = ToolChoice::kAuto;
  } else if (text == "none") {
    request.tool_choice = ToolChoice::kNone;
  } else if (text == "required") {
    request.tool_choice = ToolChoice::kRequired;
  } else {
    return Bad(field, "must be 'none', 'auto', 'required' or a function, got {}.", Shown(value));
  }
  return {};
}

Result<> ReadParallelToolCalls(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(request.parallel_tool_calls, ReadBool(field, value));
  return {};
}

Result<> ReadResponseFormat(std::string_view field, JsonValue value, GenerateRequest& request) {
  const std::string name(field);
  INFERQ_ASSIGN(std::string type, MemberText(name, value, "type"));
  if (type == "text") return {};
  if (type == "json_schema") return ReadSchema(name, value, request);
  if (type != "json_object") {
    return Bad(name + ".type", "is '{}', but must be 'text', 'json_object' or 'json_schema'.",
               type);
  }
  request.json_schema = kAnyObject;
  return {};
}

Result<> ReadGrammar(std::string_view field, JsonValue value, GenerateRequest& request) {
  INFERQ_ASSIGN(request.grammar, ReadString(field, value));
  if (request.grammar.size() <= kMaxGrammarBytes) return {};
  return Bad(field, "has {} bytes, but at most {} are allowed.", request.grammar.size(),
             kMaxGrammarBytes);
}

Result<> ReadToolFields(const std::string& field, JsonValue value, ChatMessage& message) {
  const auto text = [&](std::string_view name, std::string& out) -> Result<> {
    auto member = value.Find(name);
    if (!member || member->is_null()) return {};
    INFERQ_ASSIGN(out, ReadString(fmt::format("{}.{}", field, name), *member));
    return {};
  };
  INFERQ_TRY(text("tool_call_id", message.tool_call_id));
  INFERQ_TRY(text("name", message.name));
  auto calls = value.Find("tool_calls");
  if (!calls || calls->is_null() || message.role != "assistant") return {};
  if (calls->type() != JsonType::kArray) {
    return Bad(field + ".tool_calls", "must be an array, got {}.", JsonTypeName(calls->type()));
  }
  for (JsonElements e(*calls); e.Next();) {
    const size_t index = message.tool_calls.size();
    INFERQ_ASSIGN(ToolCall call,
                  ReadToolCall(fmt::format("{}.tool_calls[{}]", field, index), e.value()));
    message.tool_calls.push_back(std::move(call));
  }
  return {};
}

Result<> CheckAnswerOptions(GenerateRequest& request) {
  if (request.best_of && *request.best_of != request.n) {
    return Bad("best_of", "is {}, but must equal n, which is {}.", *request.best_of, request.n);
  }
  if (request.top_logprobs > 0 && !request.logprobs) {
    return Bad("top_logprobs", "needs 'logprobs': true.");
  }
  if (!request.grammar.empty() && !request.json_schema.empty()) {
    return Bad("grammar", "cannot be combined with response_format.");
  }
  return CheckTools(request);
}

}  // namespace inferq::wire
