#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "model/ids.h"
#include "wire/api_error.h"

namespace inferq::wire {

/// Where in a request an object stands, so that errors name the field: "", "claim", "tasks[3]".
struct Place {
  std::string_view name{};
  std::optional<size_t> index{};

  std::string Of(std::string_view field) const;
};

/// 400 for a member that nobody knows: one that is dropped silently could be the one that mattered.
ApiError UnknownField(const Place& place, std::string_view field);
ApiError RepeatedField(const Place& place, std::string_view field);

// Each reads one member. Errors name `place.Of(field)`.

ApiResult<std::string> ReadText(const Place& place, std::string_view field, JsonValue value,
                                size_t min_bytes, size_t max_bytes);
ApiResult<int64_t> ReadInteger(const Place& place, std::string_view field, JsonValue value,
                               int64_t min, int64_t max);
ApiResult<bool> ReadFlag(const Place& place, std::string_view field, JsonValue value);
/// Unix seconds, with or without a fraction; 1970 to 2199.
ApiResult<base::WallTime> ReadTime(const Place& place, std::string_view field, JsonValue value);
/// A number of seconds within bounds, with or without a fraction.
ApiResult<base::Micros> ReadSeconds(const Place& place, std::string_view field, JsonValue value,
                                    base::Micros min, base::Micros max);
ApiResult<model::TaskId> ReadTaskId(const Place& place, std::string_view field, JsonValue value);
/// An array with so many elements.
ApiResult<size_t> CountElements(const Place& place, std::string_view field, JsonValue value,
                                size_t min, size_t max);

/// Calls `take(index of the name, value)` for every member of an object, in order. Another type, an
/// unknown name and one that comes twice are errors.
template <size_t N, class Take>
ApiResult<> ReadMembers(const Place& place, JsonValue object,
                        const std::array<std::string_view, N>& names, Take take) {
  static_assert(N <= 32);
  if (object.type() != JsonType::kObject) {
    return std::unexpected(InvalidType(place.Of(""), "an object", object.type()));
  }
  uint32_t met = 0;
  for (JsonMembers member(object); member.Next();) {
    size_t i = 0;
    while (i < N && !member.KeyIs(names[i])) ++i;
    if (i == N) return std::unexpected(UnknownField(place, member.key()));
    if (met & 1u << i) return std::unexpected(RepeatedField(place, names[i]));
    met |= 1u << i;
    INFERQ_TRY(take(i, member.value()));
  }
  return {};
}

// Writing.

/// Unix seconds: "1700000000" or "1700000000.25".
void AppendTime(std::string& out, base::WallTime time);
void AppendTimeOrNull(std::string& out, std::optional<base::WallTime> time);
void AppendStringOrNull(std::string& out, std::string_view text);

}  // namespace inferq::wire
