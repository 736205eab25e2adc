#include "wire/fields.h"

#include <cmath>

namespace inferq::wire {

namespace {

constexpr double kLastSecond = 7'258'118'400;  // 2200

std::unexpected<ApiError> WrongLength(const std::string& param, size_t min, size_t max,
                                      size_t got) {
  return std::unexpected(BadRequest(
      fmt::format("Invalid '{}': expected {} to {} bytes, but got {}.", param, min, max, got),
      param, got < min ? "string_below_min_length" : "string_above_max_length"));
}

std::unexpected<ApiError> Outside(const std::string& param, std::string_view value,
                                  std::string_view range) {
  return std::unexpected(
      BadRequest(fmt::format("Invalid '{}': expected a number in {}, but got {} instead.", param,
                             range, value),
                 param, "invalid_value"));
}

}  // namespace

std::string Place::Of(std::string_view field) const {
  std::string path(name);
  if (index) path += fmt::format("[{}]", *index);
  if (!path.empty() && !field.empty()) path += '.';
  return path.append(field);
}

ApiError UnknownField(const Place& place, std::string_view field) {
  constexpr size_t kShown = 100;
  std::string param = place.Of(RepairUtf8(field.substr(0, kShown)));
  return BadRequest(fmt::format("Unknown parameter: '{}'.", param), param, "unknown_parameter");
}

ApiError RepeatedField(const Place& place, std::string_view field) {
  std::string param = place.Of(field);
  return BadRequest(fmt::format("The parameter '{}' occurs twice.", param), param,
                    "duplicate_parameter");
}

ApiResult<std::string> ReadText(const Place& place, std::string_view field, JsonValue value,
                                size_t min_bytes, size_t max_bytes) {
  auto text = value.AsString();
  if (!text) return std::unexpected(InvalidType(place.Of(field), "a string", value.type()));
  if (text->size() < min_bytes || text->size() > max_bytes) {
    return WrongLength(place.Of(field), min_bytes, max_bytes, text->size());
  }
  if (text->find('\0') != text->npos) {
    std::string param = place.Of(field);
    return std::unexpected(
        BadRequest(fmt::format("Invalid '{}': NUL characters are not allowed.", param), param,
                   "invalid_value"));
  }
  return *std::move(text);
}

ApiResult<int64_t> ReadInteger(const Place& place, std::string_view field, JsonValue value,
                               int64_t min, int64_t max) {
  auto number = value.AsInteger();
  if (!number && value.type() == JsonType::kNumber) {
    std::string param = place.Of(field);
    return std::unexpected(
        BadRequest(fmt::format("Invalid type for '{}': expected an integer, but got a decimal "
                               "number instead.",
                               param),
                   param, "invalid_type"));
  }
  if (!number) return std::unexpected(InvalidType(place.Of(field), "an integer", value.type()));
  if (*number < min || *number > max) {
    return std::unexpected(OutOfBounds(place.Of(field), *number, min, max));
  }
  return *number;
}

ApiResult<bool> ReadFlag(const Place& place, std::string_view field, JsonValue value) {
  if (auto flag = value.AsBool()) return *flag;
  return std::unexpected(InvalidType(place.Of(field), "a boolean", value.type()));
}

ApiResult<base::WallTime> ReadTime(const Place& place, std::string_view field, JsonValue value) {
  auto seconds = value.AsDouble();
  if (!seconds) {
    return std::unexpected(InvalidType(place.Of(field), "Unix seconds", value.type()));
  }
  if (!(*seconds >= 0 && *seconds < kLastSecond)) {
    return Outside(place.Of(field), value.text().substr(0, 40), "Unix seconds before 2200");
  }
  return base::WallTime(base::Micros(std::llround(*seconds * 1e6)));
}

ApiResult<base::Micros> ReadSeconds(const Place& place, std::string_view field, JsonValue value,
                                    base::Micros min, base::Micros max) {
  auto seconds = value.AsDouble();
  if (!seconds) return std::unexpected(InvalidType(place.Of(field), "a number", value.type()));
  double low = std::chrono::duration<double>(min).count();
  double high = std::chrono::duration<double>(max).count();
  if (!(*seconds >= low && *seconds <= high)) {
    return Outside(place.Of(field), value.text().substr(0, 40), fmt::format("[{}, {}]", low, high));
  }
  return base::Micros(std::llround(*seconds * 1e6));
}

ApiResult<model::TaskId> ReadTaskId(const Place& place, std::string_view field, JsonValue value) {
  auto text = value.AsString();
  if (!text) return std::unexpected(InvalidType(place.Of(field), "a string", value.type()));
  if (auto id = model::ParseTaskId(*text)) return *id;
  return std::unexpected(InvalidValue(place.Of(field), *text, "ids of tasks, 'task_…'"));
}

ApiResult<size_t> CountElements(const Place& place, std::string_view field, JsonValue value,
                                size_t min, size_t max) {
  if (value.type() != JsonType::kArray) {
    return std::unexpected(InvalidType(place.Of(field), "an array", value.type()));
  }
  size_t count = 0;
  for (JsonElements element(value); element.Next() && count <= max;) ++count;
  if (count >= min && count <= max) return count;
  std::string param = place.Of(field);
  return std::unexpected(BadRequest(
      fmt::format("Invalid '{}': expected an array with {} to {} elements, but got {}{}.", param,
                  min, max, count > max ? "more than " : "", std::min(count, max)),
      param, count < min ? "array_below_min_length" : "array_above_max_length"));
}

void AppendTime(std::string& out, base::WallTime time) {
  int64_t micros = time.time_since_epoch().count();
  fmt::format_to(std::back_inserter(out), "{}", micros / 1'000'000);
  int64_t fraction = micros % 1'000'000;
  if (fraction == 0) return;
  std::string digits = fmt::format(".{:06}", fraction);
  out.append(digits, 0, digits.find_last_not_of('0') + 1);
}

void AppendTimeOrNull(std::string& out, std::optional<base::WallTime> time) {
  if (time) return AppendTime(out, *time);
  out += "null";
}

void AppendStringOrNull(std::string& out, std::string_view text) {
  if (!text.empty()) return AppendJsonString(out, text);
  out += "null";
}

}  // namespace inferq::wire
