#include "wire/api_error.h"

#include "wire/error_map.h"

namespace inferq::wire {

namespace {

constexpr size_t kShownBytes = 100;

std::string Shown(std::string_view value) {
  if (value.size() <= kShownBytes) return RepairUtf8(value);
  return RepairUtf8(value.substr(0, kShownBytes)) + "…";
}

std::string NullOr(std::string_view text) { return text.empty() ? "null" : JsonString(text); }

}  // namespace

ApiError::ApiError(const base::Error& error)
    : message(error.message()), param(error.param()), retry_after(error.retry_after()) {
  HttpError http = ToHttp(error.code());
  status = http.status;
  type = http.type;
  code = http.code;
  permanent =
      error.code() == base::Code::kFailedPrecondition || error.code() == base::Code::kAlreadyExists;
}

std::string ErrorEnvelope(const ApiError& error) {
  return fmt::format(R"({{"error":{{"message":{},"type":{},"param":{},"code":{}}}}})",
                     JsonString(error.message), JsonString(error.type), NullOr(error.param),
                     NullOr(error.code));
}

ApiError BadRequest(std::string message, std::string_view param, std::string_view code) {
  ApiError error(base::Error(base::Code::kInvalidArgument, std::move(message)));
  error.param = param;
  error.code = code;
  return error;
}

ApiError InvalidType(std::string_view param, std::string_view expected, JsonType got) {
  return BadRequest(fmt::format("Invalid type for '{}': expected {}, but got {} instead.", param,
                                expected, JsonTypeName(got)),
                    param, "invalid_type");
}

ApiError MissingParameter(std::string_view param) {
  return BadRequest(fmt::format("Missing required parameter: '{}'.", param), param,
                    "missing_required_parameter");
}

ApiError InvalidValue(std::string_view param, std::string_view value, std::string_view supported) {
  return BadRequest(
      fmt::format("Invalid value: '{}'. Supported values are: {}.", Shown(value), supported), param,
      "invalid_value");
}

ApiError OutOfBounds(std::string_view param, int64_t value, int64_t min, int64_t max) {
  if (value < min) {
    return BadRequest(fmt::format("Invalid '{}': integer below minimum value. Expected a value >= "
                                  "{}, but got {} instead.",
                                  param, min, value),
                      param, "integer_below_min_value");
  }
  return BadRequest(fmt::format("Invalid '{}': integer above maximum value. Expected a value <= "
                                "{}, but got {} instead.",
                                param, max, value),
                    param, "integer_above_max_value");
}

ApiResult<JsonValue> ParseBodyObject(std::string_view body) {
  auto parsed = ParseJson(body);
  if (!parsed) {
    return std::unexpected(
        BadRequest("We could not parse the JSON body of your request. " + parsed.error().message(),
                   "", "invalid_json"));
  }
  if (parsed->type() != JsonType::kObject) {
    return std::unexpected(
        BadRequest(fmt::format("The request body must be a JSON object, but got {}.",
                               JsonTypeName(parsed->type())),
                   "", "invalid_type"));
  }
  if (auto key = RepeatedKey(*parsed)) {
    return std::unexpected(BadRequest(fmt::format("The parameter '{}' occurs twice.", Shown(*key)),
                                      Shown(*key), "duplicate_parameter"));
  }
  return *parsed;
}

}  // namespace inferq::wire
