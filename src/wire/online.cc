#include "wire/online.h"

#include <algorithm>

#include "wire/embedding.h"
#include "wire/responses_request.h"

namespace inferq::wire {

namespace {

ApiResult<bool> ReadBool(std::string_view param, JsonValue value) {
  if (auto flag = value.AsBool()) return *flag;
  return std::unexpected(InvalidType(param, "a boolean", value.type()));
}

ApiResult<> ReadStreamOptions(JsonValue value, OnlineHead& head) {
  if (value.type() != JsonType::kObject) {
    return std::unexpected(InvalidType("stream_options", "an object", value.type()));
  }
  auto usage = value.Find("include_usage");
  if (!usage || usage->is_null()) return {};
  INFERQ_ASSIGN(head.include_usage, ReadBool("stream_options.include_usage", *usage));
  return {};
}

bool IsIgnored(std::string_view name, Endpoint endpoint) {
  if (endpoint == Endpoint::kEmbeddings) return IsIgnoredEmbeddingField(name);
  if (endpoint == Endpoint::kResponses) return IsIgnoredResponsesField(name);
  return std::ranges::any_of(RequestFields(), [&](const FieldInfo& field) {
    bool known = endpoint == Endpoint::kChatCompletions ? field.chat : field.completions;
    return known && field.rule == FieldRule::kIgnored && field.name == name;
  });
}

ApiResult<> ReadMember(const std::string& name, JsonValue value, Endpoint endpoint,
                       OnlineHead& head) {
  if (value.is_null()) return {};
  if (name == "model") {
    auto text = value.AsString();
    if (!text) return std::unexpected(InvalidType("model", "a string", value.type()));
    head.model = *std::move(text);
  } else if (IsIgnored(name, endpoint)) {
    head.ignored.push_back(name);
  } else if (endpoint == Endpoint::kEmbeddings) {
    return {};  // these are not streamed
  } else if (name == "stream") {
    INFERQ_ASSIGN(head.stream, ReadBool("stream", value));
  } else if (name == "stream_options") {
    INFERQ_TRY(ReadStreamOptions(value, head));
  }
  return {};
}

}  // namespace

ApiResult<OnlineHead> ReadOnlineHead(std::string_view body, Endpoint endpoint) {
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  OnlineHead head;
  for (JsonMembers member(object); member.Next();) {
    INFERQ_TRY(ReadMember(member.key(), member.value(), endpoint, head));
  }
  if (head.model.empty()) {
    return std::unexpected(BadRequest("you must provide a model parameter", "model", ""));
  }
  return head;
}

}  // namespace inferq::wire
