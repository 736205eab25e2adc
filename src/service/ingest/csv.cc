#include "service/ingest/csv.h"

#include <algorithm>
#include <array>

namespace inferq::ingest {
namespace {

constexpr std::array<std::string_view, 4> kOurColumns = {"output", "finish_reason", "prompt_tokens",
                                                         "completion_tokens"};

std::string CountText(std::optional<uint64_t> count) { return count ? std::to_string(*count) : ""; }

void AppendFields(std::string& out, std::span<const std::string> values, char separator) {
  for (const std::string& value : values) {
    AppendCsvField(out, value, separator);
    out.push_back(separator);
  }
}

}  // namespace

void AppendCsvField(std::string& out, std::string_view value, char separator) {
  bool special = value.find_first_of("\"\r\n") != value.npos || value.find(separator) != value.npos;
  bool spaced = !value.empty() && (value.front() == ' ' || value.back() == ' ');
  if (!special && !spaced) {
    out.append(value);
    return;
  }
  out.push_back('"');
  for (char c : value) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
}

std::string CsvHeader(std::span<const std::string> columns, char separator) {
  std::string out;
  AppendFields(out, columns, separator);
  std::vector<std::string> ours;
  for (std::string_view name : kOurColumns) {
    bool taken = std::ranges::find(columns, name) != columns.end();
    ours.push_back(fmt::format("{}{}", taken ? "inferq_" : "", name));
  }
  AppendFields(out, ours, separator);
  out.pop_back();
  return out.append("\r\n");
}

std::string CsvRow(std::span<const std::string> values, const CsvResult& result, char separator) {
  std::string out;
  AppendFields(out, values, separator);
  std::array<std::string, 4> ours = {result.output, result.finish_reason,
                                     CountText(result.prompt_tokens),
                                     CountText(result.completion_tokens)};
  AppendFields(out, ours, separator);
  out.pop_back();
  return out.append("\r\n");
}

}  // namespace inferq::ingest
