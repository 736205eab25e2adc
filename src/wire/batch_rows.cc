#include "wire/batch_rows.h"

#include <algorithm>
#include <array>

#include "wire/fields.h"

namespace inferq::wire {

namespace {

constexpr std::array<std::string_view, 4> kFormats = {"auto", "csv", "json", "jsonl"};
constexpr size_t kLongestName = 256;  // of a model

std::optional<JsonValue> Given(JsonValue object, std::string_view name) {
  auto value = object.Find(name);
  return value && !value->is_null() ? value : std::nullopt;
}

ApiResult<std::string> Text(JsonValue object, std::string_view name, size_t most) {
  auto value = Given(object, name);
  if (!value) return std::string();
  return ReadText({}, name, *value, 1, most);
}

ApiResult<std::string> ReadFormat(JsonValue object) {
  INFERQ_ASSIGN(std::string format, Text(object, "input_format", kLongestName));
  bool known = format.empty() || std::ranges::find(kFormats, format) != kFormats.end();
  if (known) return format;
  return std::unexpected(InvalidValue("input_format", format, "'auto', 'csv', 'json' and 'jsonl'"));
}

ApiResult<std::string> ReadBody(JsonValue object) {
  auto body = Given(object, "body");
  if (!body) return std::string();
  if (body->type() != JsonType::kObject)
    return std::unexpected(InvalidType("body", "an object", body->type()));
  std::string text = CompactJson(*body);
  if (text.size() <= kMaxRowText) return text;
  return std::unexpected(
      BadRequest(fmt::format("Invalid 'body': it has {} bytes; at most {} are allowed.",
                             text.size(), kMaxRowText),
                 "body", "string_above_max_length"));
}

}  // namespace

ApiResult<model::RowInput> ReadRowInput(JsonValue create) {
  model::RowInput rows;
  INFERQ_ASSIGN(rows.format, ReadFormat(create));
  for (std::string_view name : {"template", "system", "model", "body"}) {
    if (!rows.format.empty() || !Given(create, name)) continue;
    return std::unexpected(
        BadRequest(fmt::format("'{}' is for inputs of rows; give their 'input_format', too.", name),
                   name, "missing_required_parameter"));
  }
  if (rows.format.empty()) return rows;
  INFERQ_ASSIGN(rows.prompt_template, Text(create, "template", kMaxRowText));
  INFERQ_ASSIGN(rows.system, Text(create, "system", kMaxRowText));
  INFERQ_ASSIGN(rows.model, Text(create, "model", kLongestName));
  if (rows.model.empty()) return std::unexpected(MissingParameter("model"));
  INFERQ_ASSIGN(rows.body, ReadBody(create));
  return rows;
}

}  // namespace inferq::wire
