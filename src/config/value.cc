#include "config/value.h"

#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <optional>
#include <span>

namespace inferq::config {
namespace {

using base::Code;
using base::Fail;
using base::Result;

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// Smallest first.
constexpr std::array kTimeUnits{
    Unit{"us", 1},         Unit{"ms", 1'000},        Unit{"s", 1'000'000},
    Unit{"m", 60'000'000}, Unit{"h", 3'600'000'000}, Unit{"d", 86'400'000'000}};
constexpr std::array kBinaryUnits{Unit{"B", 1}, Unit{"KiB", 1ull << 10}, Unit{"MiB", 1ull << 20},
                                  Unit{"GiB", 1ull << 30}, Unit{"TiB", 1ull << 40}};
constexpr std::array kDecimalUnits{Unit{"kB", 1'000}, Unit{"MB", 1'000'000},
                                   Unit{"GB", 1'000'000'000}, Unit{"TB", 1'000'000'000'000}};
constexpr double kLongest = 3650 * 86400e6;  // microseconds
constexpr double kLargest = 9.2e18;

std::optional<double> UnitFactor(std::span<const Unit> units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return static_cast<double>(unit.factor);
  }
  return std::nullopt;
}

// A plain decimal number and what follows it.
std::optional<std::pair<double, std::string_view>> SplitNumber(std::string_view text) {
  size_t length = std::min(text.find_first_not_of("0123456789."), text.size());
  std::string_view digits = text.substr(0, length);
  double number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return std::pair(number, text.substr(length));
}

template <class Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string_view Trimmed(std::string_view text) {
  size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

Texts SplitList(std::string_view text) {
  Texts items;
  while (!Trimmed(text).empty()) {
    size_t comma = std::min(text.find(','), text.size());
    items.emplace_back(Trimmed(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

// In the largest unit that divides it.
std::string InUnits(uint64_t count, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (count != 0 && count % unit.factor == 0) best = &unit;
  }
  return fmt::format("{}{}", count / best->factor, best->name);
}

struct Parser {
  std::string_view text;

  Result<Value> operator()(bool) const {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    return Fail(Code::kInvalidArgument, "'{}' is neither true nor false", text);
  }
  Result<Value> operator()(int64_t) const {
    if (auto number = ParseNumber<int64_t>(text)) return *number;
    return Fail(Code::kInvalidArgument, "'{}' is no integer", text);
  }
  Result<Value> operator()(double) const {
    if (auto number = ParseNumber<double>(text)) return *number;
    return Fail(Code::kInvalidArgument, "'{}' is no number", text);
  }
  Result<Value> operator()(const std::string&) const { return std::string(text); }
  Result<Value> operator()(const Texts&) const { return SplitList(text); }
  Result<Value> operator()(base::Micros) const { return ParseDuration(text); }
  Result<Value> operator()(Bytes) const { return ParseSize(text); }
};

struct Formatter {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(const Texts& value) const {
    return fmt::format("{}", fmt::join(value, ", "));
  }
  std::string operator()(base::Micros value) const {
    // "1d" is rather called 24h, as windows are.
    if (value.count() == 0) return "0s";
    return InUnits(static_cast<uint64_t>(value.count()), std::span(kTimeUnits).first<5>());
  }
  std::string operator()(Bytes value) const { return InUnits(value.count, kBinaryUnits); }
};

}  // namespace

Result<base::Micros> ParseDuration(std::string_view text) {
  auto parts = SplitNumber(text);
  auto factor = parts ? UnitFactor(kTimeUnits, parts->second) : std::nullopt;
  if (!factor || parts->first * *factor > kLongest) {
    return Fail(Code::kInvalidArgument,
                "'{}' is no duration: write for example 10ms, 1.5s, 5m or 24h (at most 3650d)",
                text);
  }
  return base::Micros(static_cast<int64_t>(parts->first * *factor));
}

Result<Bytes> ParseSize(std::string_view text) {
  auto parts = SplitNumber(text);
  auto factor = parts ? UnitFactor(kBinaryUnits, parts->second) : std::nullopt;
  if (parts && !factor) factor = UnitFactor(kDecimalUnits, parts->second);
  if (!factor || parts->first * *factor > kLargest) {
    return Fail(Code::kInvalidArgument,
                "'{}' is no size: write for example 64MiB, 1GiB or 500MB (at most 8 EiB)", text);
  }
  return Bytes{static_cast<uint64_t>(parts->first * *factor)};
}

Result<Value> ParseValue(const Value& type, std::string_view text) {
  return std::visit(Parser{text}, type);
}

std::string FormatValue(const Value& value) { return std::visit(Formatter{}, value); }

std::string_view TypeName(const Value& type) {
  constexpr std::string_view kNames[] = {"boolean",       "integer",  "number", "text",
                                         "list of texts", "duration", "size"};
  return kNames[type.index()];
}

}  // namespace inferq::config
