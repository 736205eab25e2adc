#include "wire/responses_input.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/body_reader.h"

namespace inferq::wire {

using base::Result;

using body::Bad;
using body::ReadString;
using body::TextMember;
using body::TypeOf;

namespace {

/// A message of the chat; the members are JSON, "" where there is none.
struct Message {
  std::string role;
  std::string content{};
  std::string tool_calls{};  // without the brackets
  std::string tool_call_id{};
};

std::string MessageJson(const Message& message) {
  std::string out = fmt::format(R"({{"role":"{}","content":{})", message.role,
                                message.content.empty() ? "null" : message.content);
  if (!message.tool_calls.empty()) out += fmt::format(R"(,"tool_calls":[{}])", message.tool_calls);
  if (!message.tool_call_id.empty()) out += R"(,"tool_call_id":)" + message.tool_call_id;
  return out + "}";
}

Result<std::string> ImagePart(const std::string& field, JsonValue part) {
  INFERQ_ASSIGN(std::string url, TextMember(field, part, "image_url"));
  std::string image = R"({"url":)" + url;
  auto detail = part.Find("detail");
  if (detail && !detail->is_null()) image += fmt::format(R"(,"detail":{})", detail->text());
  return fmt::format(R"({{"type":"image_url","image_url":{}}}}})", image);
}

struct Part {
  bool is_text = true;
  std::string json;  // the text, or the whole part
};

Result<Part> ReadPart(const std::string& field, JsonValue value) {
  INFERQ_ASSIGN(std::string type, TypeOf(field, value));
  if (type == "input_image") {
    INFERQ_ASSIGN(std::string image, ImagePart(field, value));
    return Part{.is_text = false, .json = std::move(image)};
  }
  const bool refusal = type == "refusal";
  if (!refusal && type != "input_text" && type != "output_text" && type != "text") {
    return Bad(field + ".type",
               "is '{}'; what a model here takes is input_text, output_text and, on backends, "
               "input_image.",
               type);
  }
  INFERQ_ASSIGN(std::string text, TextMember(field, value, refusal ? "refusal" : "text"));
  return Part{.json = std::move(text)};
}

/// A text stays one, also where it stands alone in a list: not every chat template knows parts.
Result<std::string> ReadContent(const std::string& field, JsonValue content) {
  if (content.type() == JsonType::kString) return std::string(content.text());
  if (content.type() != JsonType::kArray) {
    return Bad(field, "must be a string or an array of parts, got {}.",
               JsonTypeName(content.type()));
  }
  std::vector<Part> parts;
  for (JsonElements e(content); e.Next();) {
    INFERQ_ASSIGN(Part part, ReadPart(fmt::format("{}[{}]", field, parts.size()), e.value()));
    parts.push_back(std::move(part));
  }
  if (parts.empty()) return Bad(field, "must have at least one part.");
  if (parts.size() == 1 && parts[0].is_text) return std::move(parts[0].json);
  std::vector<std::string> all;
  for (const Part& part : parts) {
    all.push_back(part.is_text ? fmt::format(R"({{"type":"text","text":{}}})", part.json)
                               : part.json);
  }
  return fmt::format("[{}]", fmt::join(all, ","));
}

class Conversation {
 public:
  void AddText(std::string role, std::string json) {
    messages_.push_back({.role = std::move(role), .content = std::move(json)});
  }
  Result<> AddItem(const std::string& field, JsonValue item);
  std::string Json() const {
    std::vector<std::string> all;
    for (const Message& message : messages_) all.push_back(MessageJson(message));
    return fmt::format("[{}]", fmt::join(all, ","));
  }

 private:
  Result<> AddMessage(const std::string& field, JsonValue item);
  Result<> AddCall(const std::string& field, JsonValue item);
  Result<> AddOutput(const std::string& field, JsonValue item);

  std::vector<Message> messages_;
};

Result<> Conversation::AddItem(const std::string& field, JsonValue item) {
  INFERQ_ASSIGN(std::string type, TypeOf(field, item));
  if (type.empty() || type == "message") return AddMessage(field, item);
  if (type == "function_call") return AddCall(field, item);
  if (type == "function_call_output") return AddOutput(field, item);
  if (type == "reasoning") return {};  // nothing that a chat template could take
  return Bad(field + ".type",
             "is '{}'; here an item is a message, a function_call, a function_call_output or "
             "reasoning.",
             type);
}

Result<> Conversation::AddMessage(const std::string& field, JsonValue item) {
  constexpr std::array<std::string_view, 4> kRoles = {"user", "assistant", "system", "developer"};
  auto role = item.Find("role");
  if (!role || role->is_null()) return Bad(field + ".role", "is missing.");
  INFERQ_ASSIGN(std::string name, ReadString(field + ".role", *role));
  if (std::ranges::find(kRoles, name) == kRoles.end()) {
    return Bad(field + ".role", "is '{}', but must be one of {}.", name, fmt::join(kRoles, ", "));
  }
  auto content = item.Find("content");
  if (!content || content->is_null()) return Bad(field + ".content", "is missing.");
  INFERQ_ASSIGN(std::string json, ReadContent(field + ".content", *content));
  // Not every chat template knows developers.
  AddText(name == "developer" ? "system" : std::move(name), std::move(json));
  return {};
}

// Calls belong to what the assistant said before them.
Result<> Conversation::AddCall(const std::string& field, JsonValue item) {
  INFERQ_ASSIGN(std::string id, TextMember(field, item, "call_id"));
  INFERQ_ASSIGN(std::string name, TextMember(field, item, "name"));
  INFERQ_ASSIGN(std::string arguments, TextMember(field, item, "arguments"));
  if (messages_.empty() || messages_.back().role != "assistant") AddText("assistant", "");
  std::string& calls = messages_.back().tool_calls;
  calls += fmt::format(R"({}{{"id":{},"type":"function","function":{{"name":{},"arguments":{}}}}})",
                       calls.empty() ? "" : ",", id, name, arguments);
  return {};
}

Result<> Conversation::AddOutput(const std::string& field, JsonValue item) {
  INFERQ_ASSIGN(std::string id, TextMember(field, item, "call_id"));
  auto output = item.Find("output");
  if (!output || output->is_null()) return Bad(field + ".output", "is missing.");
  INFERQ_ASSIGN(std::string json, ReadContent(field + ".output", *output));
  messages_.push_back({.role = "tool", .content = std::move(json), .tool_call_id = std::move(id)});
  return {};
}

}  // namespace

Result<std::string> ChatMessages(const std::string& instructions, JsonValue input) {
  Conversation conversation;
  if (!instructions.empty()) conversation.AddText("system", instructions);
  if (input.type() == JsonType::kString) {
    conversation.AddText("user", std::string(input.text()));
    return conversation.Json();
  }
  size_t index = 0;
  for (JsonElements e(input); e.Next(); ++index) {
    INFERQ_TRY(conversation.AddItem(fmt::format("input[{}]", index), e.value()));
  }
  if (index == 0) return Bad("input", "must have at least one item.");
  return conversation.Json();
}

}  // namespace inferq::wire
