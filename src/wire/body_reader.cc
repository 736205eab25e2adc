#include "wire/body_reader.h"

namespace inferq::wire::body {

using base::Result;

std::string Shown(JsonValue value) {
  constexpr size_t kMax = 60;
  if (value.text().size() <= kMax) return std::string(value.text());
  return RepairUtf8(value.text().substr(0, kMax)) + "…";
}

Result<JsonValue> ParseObject(std::string_view text) {
  auto parsed = ParseJson(text);
  if (!parsed) return std::unexpected(base::Error(parsed.error()).WithParam("body"));
  if (parsed->type() != JsonType::kObject) {
    base::Error error(
        base::Code::kInvalidArgument,
        fmt::format("The request body must be an object, got {}.", JsonTypeName(parsed->type())));
    return std::unexpected(std::move(error).WithParam("body"));
  }
  if (auto key = RepeatedKey(*parsed)) return Bad(*key, "occurs twice.");
  return *parsed;
}

Result<double> ReadNumber(std::string_view field, JsonValue value, double min, double max) {
  auto number = value.AsDouble();
  if (!number) return Bad(field, "must be a number, got {}.", Shown(value));
  if (*number < min || *number > max) {
    return Bad(field, "is {}, but must be from {} to {}.", Shown(value), min, max);
  }
  return *number;
}

Result<int64_t> ReadInteger(std::string_view field, JsonValue value, int64_t min, int64_t max) {
  auto number = value.AsInteger();
  if (!number) return Bad(field, "must be an integer of 64 bits, got {}.", Shown(value));
  if (*number < min || *number > max) {
    return Bad(field, "is {}, but must be from {} to {}.", *number, min, max);
  }
  return *number;
}

Result<bool> ReadBool(std::string_view field, JsonValue value) {
  if (auto flag = value.AsBool()) return *flag;
  return Bad(field, "must be true or false, got {}.", Shown(value));
}

Result<std::string> ReadString(std::string_view field, JsonValue value) {
  if (auto text = value.AsString()) return *std::move(text);
  return Bad(field, "must be a string, got {}.", JsonTypeName(value.type()));
}

Result<std::string> TextMember(const std::string& field, JsonValue object, std::string_view name) {
  const std::string place = fmt::format("{}.{}", field, name);
  auto member = object.Find(name);
  if (!member || member->is_null()) return Bad(place, "is missing.");
  INFERQ_TRY(ReadString(place, *member));
  return std::string(member->text());
}

Result<std::string> TypeOf(const std::string& field, JsonValue object) {
  if (object.type() != JsonType::kObject) {
    return Bad(field, "must be an object, got {}.", JsonTypeName(object.type()));
  }
  auto type = object.Find("type");
  if (!type || type->is_null()) return std::string();
  return ReadString(field + ".type", *type);
}

}  // namespace inferq::wire::body
