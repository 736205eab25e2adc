#include "config/schema.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace inferq::config {
namespace {

using base::Code;
using base::Fail;
using base::Result;

// Insertions, deletions and replacements that make one word of the other (Levenshtein).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

std::string Choices(const std::vector<std::string>& choices) {
  std::span most(choices.data(), choices.size() - 1);
  return fmt::format("{} or {}", fmt::join(most, ", "), choices.back());
}

// NaN lies in no range.
bool InRange(const Option& option, const Value& value) {
  return (!option.min || value >= *option.min) && (!option.max || value <= *option.max);
}

}  // namespace

std::string EnvironmentName(std::string_view key) {
  std::string name = "INFERQ_";
  for (char c : key) name += c == '.' ? '_' : 'a' <= c && c <= 'z' ? static_cast<char>(c - 32) : c;
  return name;
}

std::string FlagName(std::string_view key) {
  std::string name = "--";
  for (char c : key) name += c == '.' || c == '_' ? '-' : c;
  return name;
}

std::vector<std::string> KeysOf(const Option& option) {
  if (!option.secret) return {option.key};
  return {option.key + "_file", option.key + "_env"};
}

std::string AllowedValues(const Option& option) {
  if (!option.choices.empty()) return Choices(option.choices);
  if (option.min && option.max) {
    return fmt::format("{} to {}", FormatValue(*option.min), FormatValue(*option.max));
  }
  if (option.min) return fmt::format("at least {}", FormatValue(*option.min));
  if (option.max) return fmt::format("at most {}", FormatValue(*option.max));
  return "";
}

std::string HelpOf(const Option& option) {
  std::string allowed = AllowedValues(option);
  return allowed.empty() ? option.sentence
                         : fmt::format("{} Allowed: {}.", option.sentence, allowed);
}

Result<> CheckValue(const Option& option, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  bool chosen = option.choices.empty() || !text || std::ranges::count(option.choices, *text) > 0;
  if (chosen && InRange(option, value)) return {};
  return Fail(Code::kInvalidArgument, "is {}; it must be {}", FormatValue(value),
              AllowedValues(option));
}

std::string Nearest(std::string_view word, const std::vector<std::string>& candidates) {
  size_t best = word.size() / 3 + 2;  // further away is no likeness
  std::string nearest;
  for (const std::string& candidate : candidates) {
    size_t distance = EditDistance(word, candidate);
    if (distance < best) best = distance, nearest = candidate;
  }
  return nearest;
}

}  // namespace inferq::config
