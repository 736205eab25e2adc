#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace inferq::config {

/// A size; written "64MiB" or "500MB".
struct Bytes {
  uint64_t count = 0;
  friend auto operator<=>(const Bytes&, const Bytes&) = default;
};

using Texts = std::vector<std::string>;

/// What an option can be. Two values are of one type when they hold the same alternative.
using Value = std::variant<bool, int64_t, double, std::string, Texts, base::Micros, Bytes>;

/// "10ms", "1.5s", "5m", "24h"; also us and d; 0 needs a unit, too. kInvalidArgument: anything
/// else, or longer than ten years.
base::Result<base::Micros> ParseDuration(std::string_view text);
/// "64MiB", "500MB", "100B"; units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB. kInvalidArgument:
/// anything else, or more than 8 EiB.
base::Result<Bytes> ParseSize(std::string_view text);
/// Reads text, as an environment variable or a flag holds it, into the type of `type`. A list is
/// separated by commas.
base::Result<Value> ParseValue(const Value& type, std::string_view text);

/// For people, in the largest unit that fits: "24h", "64MiB", "true", "a, b".
std::string FormatValue(const Value& value);
/// "duration", "size", "integer", ...
std::string_view TypeName(const Value& type);

}  // namespace inferq::config
