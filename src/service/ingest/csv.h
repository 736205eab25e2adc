#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "service/ingest/line_source.h"

namespace inferq::ingest {

/// What the columns behind the input's own hold.
struct CsvResult {
  std::string output{};
  std::string finish_reason{};
  std::optional<uint64_t> prompt_tokens{};  ///< Unset: an empty field.
  std::optional<uint64_t> completion_tokens{};
};

/// The header row `<columns…>,output,finish_reason,prompt_tokens,completion_tokens` with CRLF. A
/// column of the input that has one of our names gets ours prefixed: "inferq_output".
std::string CsvHeader(std::span<const std::string> columns, char separator = ',');

/// One row with CRLF, fields quoted where RFC 4180 asks for it. Values are written as they are: one
/// that begins with = + - or @ is a formula to a spreadsheet, and is not altered, since that would
/// change the data.
std::string CsvRow(std::span<const std::string> values, const CsvResult& result,
                   char separator = ',');

/// Appends one field, quoted if it holds a separator, a quote, CR or LF, or leading or trailing
/// space.
void AppendCsvField(std::string& out, std::string_view value, char separator);

}  // namespace inferq::ingest
