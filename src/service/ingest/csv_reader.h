#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "service/ingest/input.h"

namespace inferq::ingest {

/// One row of a CSV.
struct CsvRecord {
  std::vector<std::string> fields;
  uint64_t number = 0;  ///< Physical line on which it begins.
  uint64_t offset = 0;
  uint64_t length = 0;  ///< Without the line end.
  std::string problem;  ///< A sentence when the row cannot be used; empty when it can.
};

/// Reads records as RFC 4180 has them: fields in quotes may hold separators, line ends and doubled
/// quotes. Lines end with LF or CRLF. A quote inside an unquoted field is a plain character. Blank
/// lines are skipped. Memory stays below `max_bytes` and a chunk.
class CsvReader {
 public:
  /// `input` must outlive the reader.
  CsvReader(Input& input, char separator, size_t max_bytes)
      : input_(input), separator_(separator), max_bytes_(max_bytes) {}

  /// Fills `record`, whose memory is used again. @return false at the end. kInvalidArgument: an
  /// unclosed quote, so
  ///         that nothing behind it can be trusted.
  base::Result<bool> Next(CsvRecord& record);

 private:
  enum class State : uint8_t { kFieldStart, kPlain, kQuoted, kQuoteInQuoted, kBehindQuote };

  /// Splits a line without quotes. @return false when there is no such line at the front.
  base::Result<bool> ReadPlainLine(CsvRecord& record);
  base::Result<> ReadCarefully(CsvRecord& record);
  /// One character. @return true when it ends the record.
  bool Step(char c, CsvRecord& record);
  std::string& Field(CsvRecord& record);
  void EndField();
  void Finish(CsvRecord& record, std::string_view text);

  Input& input_;
  const char separator_;
  const size_t max_bytes_;
  State state_ = State::kFieldStart;
  size_t used_ = 0;      ///< Fields of the record so far.
  bool quoted_ = false;  ///< Whether a quoted field occurred in the record.
};

/// The separator that a header row (its first line) uses: the most frequent of ',' ';' and tab
/// outside quotes; ',' when none is.
char DetectSeparator(std::string_view header);

}  // namespace inferq::ingest
