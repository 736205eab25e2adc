#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <string_view>

#include "base/error.h"
#include "wire/json.h"

namespace inferq::wire {

/// A failure as an HTTP client is told of it: OpenAI's envelope with its status. Where the table of
/// codes (error_map.h) says too little, the fields say more.
struct ApiError {
  int status = 500;
  std::string message;  ///< A sentence.
  std::string type;     ///< For example "invalid_request_error".
  std::string param;    ///< The field that is wrong; "" is written as null.
  std::string code;     ///< For example "invalid_value"; "" is written as null.
  std::chrono::milliseconds retry_after{0};  ///< 0: nothing is known.
  bool permanent =
      false;  ///< The status looks like one to repeat, but the answer would not change.

  ApiError() = default;
  /// By the table. Implicit, so that a base::Result can be handed on.
  ApiError(const base::Error& error);  // NOLINT(google-explicit-constructor)
};

template <class T = void>
using ApiResult = std::expected<T, ApiError>;

/// `{"error":{"message","type","param","code"}}`
std::string ErrorEnvelope(const ApiError& error);

/// A 400 in OpenAI's words.
ApiError BadRequest(std::string message, std::string_view param, std::string_view code);
/// "Invalid type for 'x': expected a string, but got an array instead."
ApiError InvalidType(std::string_view param, std::string_view expected, JsonType got);
/// "Missing required parameter: 'x'."
ApiError MissingParameter(std::string_view param);
/// "Invalid value: 'x'. Supported values are: …" A long value is cut.
ApiError InvalidValue(std::string_view param, std::string_view value, std::string_view supported);
/// "Invalid 'x': integer below minimum value. …", or above the maximum one.
ApiError OutOfBounds(std::string_view param, int64_t value, int64_t min, int64_t max);

/// The object that a request body must be, without repeated members.
ApiResult<JsonValue> ParseBodyObject(std::string_view body);

}  // namespace inferq::wire
