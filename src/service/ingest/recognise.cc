#include "service/ingest/recognise.h"

#include <algorithm>

#include "service/ingest/csv_reader.h"
#include "wire/json.h"

namespace inferq::ingest {

using base::Code;
using base::Fail;
using base::Result;

namespace {

constexpr std::string_view kSpace = " \t\r\n";

/// The text up to the first line end behind something that is not white space, or what the limits
/// let us see.
Result<std::string_view> FirstLine(Input& input, size_t max_bytes) {
  while (true) {
    std::string_view data = input.data();
    size_t begin = std::min(data.find_first_not_of(kSpace), data.size());
    size_t end = data.find('\n', begin);
    if (begin < data.size() && end != data.npos) return data.substr(begin, end - begin);
    bool blank = begin == data.size();
    if (blank) input.Consume(data.size());
    if (data.size() - begin > max_bytes) return data.substr(begin);
    INFERQ_ASSIGN(bool more, input.More());
    if (!more) return input.data().substr(std::min(begin, input.data().size()));
  }
}

Result<> RefuseUtf16(std::string_view data) {
  bool marked = data.starts_with("\xFF\xFE") || data.starts_with("\xFE\xFF");
  bool zeros = data.size() >= 2 && (data[0] == '\0' || data[1] == '\0');
  if (!marked && !zeros) return {};
  return Fail(Code::kInvalidArgument,
              "The input is UTF-16 or UTF-32. Save it as UTF-8, for example with 'iconv -f UTF-16 "
              "-t UTF-8'.");
}

std::string_view Extension(std::string_view name) {
  size_t dot = name.rfind('.');
  return dot == name.npos ? std::string_view() : name.substr(dot + 1);
}

bool IsJsonString(std::string_view line) {
  auto value = wire::ParseJson(line);
  return value && value->type() == wire::JsonType::kString;
}

Format ByContent(std::string_view line, std::string_view extension) {
  bool csv_name = extension == "csv" || extension == "tsv";
  bool json_name = extension == "jsonl" || extension == "ndjson" || extension == "json";
  switch (line.front()) {
    case '[':
      return csv_name ? Format::kCsv : Format::kJsonArray;
    case '{':
      return IsBatchLine(line) ? Format::kBatch : Format::kJsonl;
    case '"':
      return !csv_name && (json_name || IsJsonString(line)) ? Format::kJsonl : Format::kCsv;
    default:
      return json_name ? Format::kJsonl : Format::kCsv;
  }
}

Result<char> Separator(std::string_view header, char forced) {
  if (forced == 0) return DetectSeparator(header);
  if (forced == ',' || forced == ';' || forced == '\t') return forced;
  return Fail(Code::kInvalidArgument, "The CSV separator must be ',' ';' or a tab, got '{}'.",
              forced);
}

}  // namespace

bool IsBatchLine(std::string_view text) {
  auto value = wire::ParseJson(text);
  if (!value) return text.find("\"custom_id\"") != text.npos && text.find("\"body\"") != text.npos;
  auto body = value->Find("body");
  bool has_object = body && body->type() == wire::JsonType::kObject;
  return has_object && (value->Find("custom_id") || value->Find("url") || value->Find("method"));
}

Result<Recognised> Recognise(Input& input, const SourceOptions& options) {
  while (input.data().size() < 4) {
    INFERQ_ASSIGN(bool more, input.More());
    if (!more) break;
  }
  INFERQ_TRY(RefuseUtf16(input.data()));
  if (input.data().starts_with("\xEF\xBB\xBF")) input.Consume(3);
  INFERQ_ASSIGN(std::string_view line, FirstLine(input, options.max_item_bytes));
  line = line.substr(0, options.max_item_bytes);  // the same however the bytes come
  if (line.empty()) return Fail(Code::kInvalidArgument, "The input is empty.");

  Recognised found;
  found.format = options.format;
  if (found.format == Format::kAuto) found.format = ByContent(line, Extension(options.file_name));
  if (found.format != Format::kCsv) return found;
  size_t cr = line.find('\r');
  if (cr != line.npos && cr + 1 < line.size() && line.find('"') == line.npos) {
    return Fail(Code::kInvalidArgument,
                "The lines of the input end with CR alone. Convert them, for example with \"tr "
                "'\\r' '\\n'\".");
  }
  INFERQ_ASSIGN(found.separator, Separator(line, options.separator));
  return found;
}

Result<std::vector<std::string>> CsvColumns(std::span<const std::string> header) {
  std::vector<std::string> columns;
  for (std::string_view name : header) {
    name.remove_prefix(std::min(name.find_first_not_of(kSpace), name.size()));
    name = name.substr(0, name.find_last_not_of(kSpace) + 1);
    if (!name.empty() && std::ranges::find(columns, name) != columns.end()) {
      return Fail(Code::kInvalidArgument, "The header has two columns '{}'.", name);
    }
    columns.emplace_back(name);
  }
  return columns;
}

}  // namespace inferq::ingest
