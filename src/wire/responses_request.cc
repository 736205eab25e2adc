#include "wire/responses_request.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "wire/body_reader.h"
#include "wire/responses_input.h"

namespace inferq::wire {

using base::Result;

using body::Bad;
using body::ReadInteger;
using body::ReadString;
using body::Shown;
using body::TextMember;
using body::TypeOf;

namespace {

/// What becomes of a request.
struct Draft {
  std::string instructions;  // JSON; "" is none
  std::optional<JsonValue> input;
  std::vector<std::pair<std::string, std::string>> chat;  // members, in the client's order

  void Add(std::string_view name, std::string json) {
    chat.emplace_back(std::string(name), std::move(json));
  }
};

using Read = Result<> (*)(std::string_view field, JsonValue value, Draft& draft);

Result<> ReadInput(std::string_view field, JsonValue value, Draft& draft) {
  if (value.type() != JsonType::kString && value.type() != JsonType::kArray) {
    return Bad(field, "must be a string or an array of items, got {}.", JsonTypeName(value.type()));
  }
  draft.input = value;
  return {};
}

Result<> ReadInstructions(std::string_view field, JsonValue value, Draft& draft) {
  INFERQ_TRY(ReadString(field, value));
  draft.instructions = value.text();
  return {};
}

Result<> ReadMaxOutputTokens(std::string_view field, JsonValue value, Draft& draft) {
  INFERQ_TRY(ReadInteger(field, value, 1, INT32_MAX));
  draft.Add("max_tokens", std::string(value.text()));
  return {};
}

Result<> ReadSchema(const std::string& field, JsonValue format, Draft& draft) {
  INFERQ_TRY(TextMember(field, format, "name"));
  auto schema = format.Find("schema");
  if (!schema || schema->is_null()) return Bad(field + ".schema", "is missing.");
  std::vector<std::string> members;
  for (JsonMembers member(format); member.Next();) {
    if (member.KeyIs("type")) continue;
    members.push_back(JsonString(member.key()) + ":" + std::string(member.value().text()));
  }
  draft.Add("response_format", fmt::format(R"({{"type":"json_schema","json_schema":{{{}}}}})",
                                           fmt::join(members, ",")));
  return {};
}

Result<> ReadFormat(const std::string& field, JsonValue format, Draft& draft) {
  INFERQ_ASSIGN(std::string type, TypeOf(field, format));
  if (type == "text") return {};
  if (type == "json_schema") return ReadSchema(field, format, draft);
  if (type != "json_object") {
    return Bad(field + ".type", "is '{}', but must be 'text', 'json_object' or 'json_schema'.",
               type);
  }
  draft.Add("response_format", R"({"type":"json_object"})");
  return {};
}

Result<> ReadText(std::string_view field, JsonValue value, Draft& draft) {
  if (value.type() != JsonType::kObject) {
    return Bad(field, "must be an object, got {}.", JsonTypeName(value.type()));
  }
  for (JsonMembers member(value); member.Next();) {
    const std::string place = fmt::format("{}.{}", field, member.key());
    if (member.value().is_null()) continue;
    if (member.KeyIs("format")) {
      INFERQ_TRY(ReadFormat(place, member.value(), draft));
    } else if (!member.KeyIs("verbosity") || member.value().AsString() != "medium") {
      return Bad(place, "is {}, which is not supported here.", Shown(member.value()));
    }
  }
  return {};
}

/// Of a tool or a choice of one, what stands inside "function" in a chat.
Result<std::string> FunctionOf(const std::string& field, JsonValue tool) {
  INFERQ_ASSIGN(std::string type, TypeOf(field, tool));
  if (type != "function") {
    return Bad(field + ".type",
               "is '{}', but only 'function' is supported: there are no tools of the server's.",
               type);
  }
  INFERQ_TRY(TextMember(field, tool, "name"));
  std::vector<std::string> members;
  for (JsonMembers member(tool); member.Next();) {
    if (member.KeyIs("type") || member.value().is_null()) continue;
    members.push_back(JsonString(member.key()) + ":" + std::string(member.value().text()));
  }
  return fmt::format(R"({{"type":"function","function":{{{}}}}})", fmt::join(members, ","));
}

Result<> ReadTools(std::string_view field, JsonValue value, Draft& draft) {
  if (value.type() != JsonType::kArray) {
    return Bad(field, "must be an array, got {}.", JsonTypeName(value.type()));
  }
  std::vector<std::string> tools;
  for (JsonElements e(value); e.Next();) {
    INFERQ_ASSIGN(std::string tool,
                  FunctionOf(fmt::format("{}[{}]", field, tools.size()), e.value()));
    tools.push_back(std::move(tool));
  }
  if (!tools.empty()) draft.Add("tools", fmt::format("[{}]", fmt::join(tools, ",")));
  return {};
}

Result<> ReadToolChoice(std::string_view field, JsonValue value, Draft& draft) {
  std::string choice(value.text());
  if (value.type() == JsonType::kObject) {
    INFERQ_ASSIGN(choice, FunctionOf(std::string(field), value));
  }
  draft.Add(field, std::move(choice));
  return {};
}

Result<> ReadReasoning(std::string_view field, JsonValue value, Draft& draft) {
  if (value.type() != JsonType::kObject) {
    return Bad(field, "must be an object, got {}.", JsonTypeName(value.type()));
  }
  auto effort = value.Find("effort");
  if (effort && !effort->is_null()) draft.Add("reasoning_effort", std::string(effort->text()));
  return {};
}

Result<> ReadInclude(std::string_view field, JsonValue value, Draft&) {
  size_t index = 0;
  for (JsonElements e(value); e.Next(); ++index) {
    if (e.value().AsString() == "reasoning.encrypted_content") continue;  // there is none
    return Bad(fmt::format("{}[{}]", field, index), "is {}, which is not supported here.",
               Shown(e.value()));
  }
  return {};
}

Result<> Ignore(std::string_view, JsonValue, Draft&) { return {}; }

/// For what the server would have to keep.
Result<> RefuseState(std::string_view field, JsonValue, Draft&) {
  return Bad(field,
             "is not supported: nothing is stored here. Send the whole conversation as 'input'.");
}

struct Field {
  std::string_view name;
  Read read;
  std::string_view neutral{};  // for Ignore: the only value that is accepted beside null; "": any
};
constexpr std::array kFields = {
    Field{"input", ReadInput},
    Field{"instructions", ReadInstructions},
    Field{"max_output_tokens", ReadMaxOutputTokens},
    Field{"text", ReadText},
    Field{"tools", ReadTools},
    Field{"tool_choice", ReadToolChoice},
    Field{"reasoning", ReadReasoning},
    Field{"include", ReadInclude},
    Field{"previous_response_id", RefuseState},
    Field{"conversation", RefuseState},
    Field{"prompt", RefuseState},
    Field{"background", Ignore, "false"},
    Field{"truncation", Ignore, "\"disabled\""},
    Field{"top_logprobs", Ignore, "0"},
    Field{"n", Ignore, "1"},
    Field{"store", Ignore},
    Field{"metadata", Ignore},
    Field{"service_tier", Ignore},
    Field{"safety_identifier", Ignore},
    Field{"prompt_cache_key", Ignore},
    Field{"prompt_cache_retention", Ignore},
    Field{"max_tool_calls", Ignore},
    Field{"stream_options", Ignore},
};

const Field* FindField(std::string_view name) {
  auto found = std::ranges::find(kFields, name, &Field::name);
  return found == kFields.end() ? nullptr : found;
}

Result<> ReadMember(const std::string& name, JsonValue value, Draft& draft) {
  const Field* field = FindField(name);
  if (field == nullptr) {
    draft.Add(name, std::string(value.text()));
    return {};
  }
  if (value.is_null()) return {};
  if (!field->neutral.empty() && value.text() != field->neutral) {
    return Bad(name, "is {}, which is not supported here; only {} is.", Shown(value),
               field->neutral);
  }
  return field->read(name, value, draft);
}

// The echo.

struct Echo {
  std::string_view name;
  std::string_view standard;
};
constexpr std::array kEchoes = {
    Echo{"background", "false"},
    Echo{"instructions", "null"},
    Echo{"max_output_tokens", "null"},
    Echo{"max_tool_calls", "null"},
    Echo{"metadata", "{}"},
    Echo{"parallel_tool_calls", "true"},
    Echo{"previous_response_id", "null"},
    Echo{"prompt_cache_key", "null"},
    Echo{"reasoning", R"({"effort":null,"summary":null})"},
    Echo{"safety_identifier", "null"},
    Echo{"service_tier", R"("default")"},
    Echo{"temperature", "1.0"},
    Echo{"text", R"({"format":{"type":"text"}})"},
    Echo{"tool_choice", R"("auto")"},
    Echo{"tools", "[]"},
    Echo{"top_logprobs", "0"},
    Echo{"top_p", "1.0"},
    Echo{"truncation", R"("disabled")"},
    Echo{"user", "null"},
};

std::string EchoOf(JsonValue body) {
  std::array<std::string, kEchoes.size()> values;
  for (JsonMembers member(body); member.Next();) {
    auto echo = std::ranges::find_if(kEchoes, [&](const Echo& e) { return member.KeyIs(e.name); });
    if (echo == kEchoes.end() || member.value().is_null()) continue;
    values[static_cast<size_t>(echo - kEchoes.begin())] = CompactJson(member.value());
  }
  std::string out = R"("store":false)";  // whatever was asked for
  for (size_t i = 0; i < kEchoes.size(); ++i) {
    out += fmt::format(R"(,"{}":{})", kEchoes[i].name,
                       values[i].empty() ? kEchoes[i].standard : values[i]);
  }
  return out;
}

}  // namespace

Result<ResponsesRequest> ParseResponsesRequest(std::string_view text) {
  INFERQ_ASSIGN(JsonValue parsed, body::ParseObject(text));
  Draft draft;
  for (JsonMembers member(parsed); member.Next();) {
    INFERQ_TRY(ReadMember(member.key(), member.value(), draft));
  }
  if (!draft.input) return Bad("input", "is missing.");
  INFERQ_ASSIGN(std::string messages, ChatMessages(draft.instructions, *draft.input));
  ResponsesRequest request{.chat_body = R"({"messages":)" + messages, .echo = EchoOf(parsed)};
  for (const auto& [name, json] : draft.chat) {
    request.chat_body.append(",").append(JsonString(name)).append(":").append(json);
  }
  request.chat_body += "}";
  return request;
}

bool IsIgnoredResponsesField(std::string_view name) {
  const Field* field = FindField(name);
  return name == "user" || (field != nullptr && field->read == Ignore && field->neutral.empty());
}

std::string ResponsesParam(std::string_view chat_param) {
  struct Name {
    std::string_view chat, responses;
  };
  constexpr std::array kNames = {
      Name{"body.messages", "body.input"},
      Name{"body.max_tokens", "body.max_output_tokens"},
      Name{"body.response_format.json_schema", "body.text.format"},
      Name{"body.response_format", "body.text.format"},
      Name{"body.reasoning_effort", "body.reasoning.effort"},
  };
  for (const Name& name : kNames) {
    if (!chat_param.starts_with(name.chat)) continue;
    return std::string(name.responses).append(chat_param.substr(name.chat.size()));
  }
  return std::string(chat_param);
}

}  // namespace inferq::wire
