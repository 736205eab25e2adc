// Any text: what is valid reads back from its compact form and its rebuilt form as the same value.
#include <string>
#include <string_view>

#include "base/check.h"
#include "wire/json.h"
#include "wire/locality.h"

using namespace inferq::wire;

namespace {

std::string Rebuild(JsonValue value) {
  std::string out;
  switch (value.type()) {
    case JsonType::kString:
      return JsonString(*value.AsString());
    case JsonType::kArray:
      for (JsonElements e(value); e.Next();) out += (out.empty() ? "" : ",") + Rebuild(e.value());
      return "[" + out + "]";
    case JsonType::kObject:
      for (JsonMembers m(value); m.Next();) {
        out += (out.empty() ? "" : ",") + JsonString(m.key()) + ":" + Rebuild(m.value());
      }
      return "{" + out + "}";
    default:
      return std::string(value.text());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  INFERQ_CHECK(IsUtf8(RepairUtf8(text)));
  auto value = ParseJson(text);
  if (!value) {
    INFERQ_CHECK(!value.error().message().empty());
    return 0;
  }
  INFERQ_CHECK(IsUtf8(text));
  for (const std::string& again :
       {CompactJson(*value), Rebuild(*value), EditJsonObject(*value, {})}) {
    auto parsed = ParseJson(again);
    INFERQ_CHECK(parsed.has_value());
    if (value->type() == JsonType::kObject && RepeatedKey(*value)) continue;
    if (value->type() != JsonType::kObject && parsed->type() == JsonType::kObject)
      continue;  // an edit of no object
    INFERQ_CHECK(ContentHash(*value) == ContentHash(*parsed));
  }
  SurveyPrompt(*value);
  return 0;
}
