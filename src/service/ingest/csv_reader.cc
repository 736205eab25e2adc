#include "service/ingest/csv_reader.h"

#include <algorithm>
#include <array>

#include "wire/json.h"

namespace inferq::ingest {

using base::Code;
using base::Fail;
using base::Result;

std::string& CsvReader::Field(CsvRecord& record) {
  if (used_ == record.fields.size()) record.fields.emplace_back();
  return record.fields[used_];
}

void CsvReader::EndField() {
  ++used_;
  state_ = State::kFieldStart;
}

Result<bool> CsvReader::ReadPlainLine(CsvRecord& record) {
  size_t end;
  size_t seen = 0;
  while ((end = input_.data().find('\n', seen)) == std::string_view::npos) {
    seen = input_.data().size();
    if (seen > max_bytes_) return false;
    INFERQ_ASSIGN(bool more, input_.More());
    if (!more) return false;
  }
  std::string_view line = input_.data().substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > max_bytes_ || line.find('"') != line.npos) return false;
  Finish(record, line);
  while (true) {
    size_t at = std::min(line.find(separator_), line.size());
    Field(record).assign(line.substr(0, at));
    EndField();
    if (at == line.size()) break;
    line.remove_prefix(at + 1);
  }
  input_.Consume(end + 1);
  return true;
}

bool CsvReader::Step(char c, CsvRecord& record) {
  switch (state_) {
    case State::kFieldStart:
      Field(record).clear();
      if (c == '"') {
        quoted_ = true;
        state_ = State::kQuoted;
        return false;
      }
      state_ = State::kPlain;
      break;
    case State::kQuoted:
      if (c == '"') {
        state_ = State::kQuoteInQuoted;
      } else {
        Field(record).push_back(c);
      }
      return false;
    case State::kQuoteInQuoted:
      if (c == '"') {
        Field(record).push_back(c);
        state_ = State::kQuoted;
        return false;
      }
      state_ = State::kBehindQuote;
      break;
    case State::kPlain:
    case State::kBehindQuote:
      break;
  }
  if (c == '\n') return true;
  if (c == separator_) {
    EndField();
    Field(record).clear();
    return false;
  }
  if (state_ == State::kBehindQuote && c != '\r')
    record.problem = "There is text between a closing quote and the separator.";
  if (state_ == State::kPlain) Field(record).push_back(c);
  return false;
}

Result<> CsvReader::ReadCarefully(CsvRecord& record) {
  Field(record).clear();
  bool too_long = false;
  bool ended = false;
  size_t i = 0;
  while (!ended) {
    if (i == input_.data().size()) {
      if (i > max_bytes_) too_long = true;
      // Whatever was collected of a row that is too long is let go; only its end is looked for.
      if (too_long) {
        input_.Consume(std::exchange(i, 0));
        used_ = 0;
        Field(record).clear();
      }
      INFERQ_ASSIGN(bool more, input_.More());
      if (!more) break;
    }
    ended = Step(input_.data()[i++], record);
  }
  if (!ended && state_ == State::kQuoted) {
    return Fail(Code::kInvalidArgument,
                "Line {}: a quoted field of the row that begins here is never closed.",
                record.number);
  }
  std::string& last = Field(record);
  if (state_ == State::kPlain && last.ends_with('\r')) last.pop_back();
  EndField();
  std::string_view text = input_.data().substr(0, i - (ended ? 1 : 0));
  if (text.ends_with('\r')) text.remove_suffix(1);
  Finish(record, text);
  record.length = input_.offset() + text.size() - record.offset;
  if (record.length > max_bytes_) {
    record.problem =
        fmt::format("This row has {} bytes; at most {} are allowed.", record.length, max_bytes_);
  }
  input_.Consume(i);
  return {};
}

void CsvReader::Finish(CsvRecord& record, std::string_view text) {
  record.length = text.size();
  if (record.problem.empty() && !wire::IsUtf8(text))
    record.problem = "This row is not valid UTF-8.";
}

Result<bool> CsvReader::Next(CsvRecord& record) {
  while (true) {
    if (input_.data().empty()) {
      INFERQ_ASSIGN(bool more, input_.More());
      if (!more) return false;
    }
    used_ = 0;
    quoted_ = false;
    state_ = State::kFieldStart;
    record.number = input_.line();
    record.offset = input_.offset();
    record.problem.clear();
    INFERQ_ASSIGN(bool plain, ReadPlainLine(record));
    if (!plain) INFERQ_TRY(ReadCarefully(record));
    record.fields.resize(used_);
    bool blank =
        used_ == 1 && !quoted_ && record.fields[0].find_first_not_of(" \t") == std::string::npos;
    if (!blank || !record.problem.empty()) return true;
  }
}

char DetectSeparator(std::string_view header) {
  std::array<std::pair<char, size_t>, 3> counts = {{{',', 0}, {';', 0}, {'\t', 0}}};
  bool quoted = false;
  for (char c : header) {
    if (c == '"') quoted = !quoted;
    if (c == '\n') break;
    for (auto& [separator, count] : counts) count += !quoted && c == separator;
  }
  return std::ranges::max_element(counts, {}, &std::pair<char, size_t>::second)->first;
}

}  // namespace inferq::ingest
