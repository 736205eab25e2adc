#include "wire/batch_inline.h"

#include "wire/fields.h"

namespace inferq::wire {

namespace {

constexpr std::string_view kParam = "requests";

ApiError TooMany() {
  return BadRequest(
      fmt::format("Invalid 'requests': array too long. At most {} requests can stand here; upload "
                  "more as a file (purpose batch) and name it in input_file_id.",
                  kMaxInlineRequests),
      kParam, "array_above_max_length");
}

std::string LineOf(JsonValue request, std::string_view endpoint, size_t number) {
  return EditJsonObject(
      request, {{.key = "custom_id", .json = JsonString(fmt::format("request-{}", number))},
                {.key = "method", .json = "\"POST\""},
                {.key = "url", .json = JsonString(endpoint)}});
}

}  // namespace

ApiResult<std::string> InlineLines(JsonValue requests, std::string_view endpoint) {
  if (requests.type() != JsonType::kArray)
    return std::unexpected(InvalidType(kParam, "an array of objects", requests.type()));
  std::string lines;
  size_t number = 0;
  for (JsonElements element(requests); element.Next();) {
    if (number == kMaxInlineRequests) return std::unexpected(TooMany());
    const std::string place = Place{.name = kParam, .index = number}.Of("");
    JsonValue request = element.value();
    if (request.type() != JsonType::kObject)
      return std::unexpected(InvalidType(place, "an object", request.type()));
    if (auto key = RepeatedKey(request)) {
      return std::unexpected(
          BadRequest(fmt::format("Invalid '{}': the field '{}' occurs twice.", place, *key), place,
                     "duplicate_parameter"));
    }
    lines.append(LineOf(request, endpoint, ++number)).push_back('\n');
  }
  if (number > 0) return lines;
  return std::unexpected(BadRequest(
      "Invalid 'requests': empty array. Expected an array with minimum length 1, but got an empty "
      "array instead.",
      kParam, "empty_array"));
}

}  // namespace inferq::wire
