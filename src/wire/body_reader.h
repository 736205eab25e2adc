#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "wire/json.h"

/// What the readers of a request body share. Errors are kInvalidArgument, with the parameter
/// "body.<field>" and a sentence that names it.
namespace inferq::wire::body {

template <class... Args>
std::unexpected<base::Error> Bad(std::string_view field, fmt::format_string<Args...> format,
                                 Args&&... args) {
  std::string param = fmt::format("body.{}", field);
  std::string message =
      fmt::format("'{}' {}", param, fmt::format(format, std::forward<Args>(args)...));
  return std::unexpected(
      base::Error(base::Code::kInvalidArgument, std::move(message)).WithParam(std::move(param)));
}

/// The value for a message, cut where it is long.
std::string Shown(JsonValue value);

/// A whole body: an object, no key of which occurs twice. `text` outlives it.
base::Result<JsonValue> ParseObject(std::string_view text);

base::Result<double> ReadNumber(std::string_view field, JsonValue value, double min, double max);
base::Result<int64_t> ReadInteger(std::string_view field, JsonValue value, int64_t min,
                                  int64_t max);
base::Result<bool> ReadBool(std::string_view field, JsonValue value);
base::Result<std::string> ReadString(std::string_view field, JsonValue value);

/// A member that has to be a string, as it is written.
base::Result<std::string> TextMember(const std::string& field, JsonValue object,
                                     std::string_view name);
/// The `type` of an object; "" where it has none.
base::Result<std::string> TypeOf(const std::string& field, JsonValue object);

}  // namespace inferq::wire::body
