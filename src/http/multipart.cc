#include "http/multipart.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "http/text.h"

namespace inferq::http {
namespace {

using base::Code;
using base::Fail;
using base::Result;

bool IsBoundary(std::string_view text) {
  return !text.empty() && text.size() <= 70 && text.back() != ' ' &&
         std::ranges::all_of(text, [](unsigned char c) {
           return std::isalnum(c) != 0 ||
                  std::string_view("'()+_,-./:=? ").contains(static_cast<char>(c));
         });
}

/// `value; name=value; name="quoted value"`.
class Parameters {
 public:
  explicit Parameters(std::string_view text) : rest_(text) {
    const size_t end = std::min(text.find(';'), text.size());
    value_ = Trim(text.substr(0, end));
    rest_.remove_prefix(end);
  }
  /// What stands before the first ';'.
  std::string_view value() const { return value_; }
  /// The next parameter; nullopt at the end. kInvalidArgument: malformed.
  Result<std::optional<std::pair<std::string_view, std::string>>> Next() {
    while (!rest_.empty() && std::string_view("; \t").contains(rest_.front()))
      rest_.remove_prefix(1);
    if (rest_.empty()) return std::nullopt;
    const size_t equals = rest_.find_first_of("=;");
    if (equals == rest_.npos || rest_[equals] == ';')
      return Fail(Code::kInvalidArgument, "a parameter has no '='");
    const std::string_view name = Trim(rest_.substr(0, equals));
    rest_.remove_prefix(equals + 1);
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
    INFERQ_ASSIGN(std::string value, rest_.starts_with('"') ? Quoted() : Plain());
    return std::pair(name, std::move(value));
  }

 private:
  Result<std::string> Plain() {
    const size_t end = std::min(rest_.find(';'), rest_.size());
    std::string value(Trim(rest_.substr(0, end)));
    rest_.remove_prefix(end);
    return value;
  }
  // Only '"' and '\' are escaped by a backslash: browsers of old send C:\folder\file as it is.
  Result<std::string> Quoted() {
    std::string value;
    for (size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
        if (!rest_.empty() && !rest_.starts_with(';'))
          return Fail(Code::kInvalidArgument, "something follows a quoted parameter");
        return value;
      }
      const std::string_view next = rest_.substr(i + 1, 1);
      if (rest_[i] == '\\' && (next == "\"" || next == "\\")) ++i;
      value += rest_[i];
    }
    return Fail(Code::kInvalidArgument, "a quoted parameter has no end");
  }

  std::string_view value_;
  std::string_view rest_;
};

// Browsers write '"', CR and LF in names as %22, %0D and %0A, and leave '%' alone.
std::string Unescape(std::string text) {
  for (auto [escaped, plain] :
       {std::pair("%22", "\""), std::pair("%0D", "\r"), std::pair("%0A", "\n")}) {
    for (size_t at = text.find(escaped); at != text.npos; at = text.find(escaped, at + 1))
      text.replace(at, 3, plain);
  }
  return text;
}

std::string WithoutFolders(std::string text) {
  const size_t slash = text.find_last_of("/\\");
  return slash == text.npos ? text : text.substr(slash + 1);
}

Result<> TakeDisposition(std::string_view text, PartBegin& part, bool& named) {
  Parameters parameters(text);
  if (!SameIgnoringCase(parameters.value(), "form-data"))
    return Fail(Code::kInvalidArgument, "a part is not form-data but '{}'", parameters.value());
  for (;;) {
    INFERQ_ASSIGN(auto parameter, parameters.Next());
    if (!parameter) return {};
    if (SameIgnoringCase(parameter->first, "name")) {
      if (std::exchange(named, true)) return Fail(Code::kInvalidArgument, "a part has two names");
      part.name = Unescape(std::move(parameter->second));
    } else if (SameIgnoringCase(parameter->first, "filename")) {
      if (part.filename) return Fail(Code::kInvalidArgument, "a part has two file names");
      part.filename = WithoutFolders(Unescape(std::move(parameter->second)));
    }
  }
}

// Of the headers of a part, each line with its CRLF.
Result<PartBegin> ParsePartHead(std::string_view head) {
  PartBegin part;
  bool named = false;
  while (!head.empty()) {
    const size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    const size_t colon = line.find(':');
    if (colon == line.npos) return Fail(Code::kInvalidArgument, "a header of a part has no ':'");
    const std::string_view name = Trim(line.substr(0, colon));
    const std::string_view value = Trim(line.substr(colon + 1));
    if (SameIgnoringCase(name, "content-disposition"))
      INFERQ_TRY(TakeDisposition(value, part, named));
    if (SameIgnoringCase(name, "content-type")) part.content_type = value;
  }
  if (!named) {
    return Fail(Code::kInvalidArgument,
                "a part has no name; it must begin with Content-Disposition: form-data; name=...");
  }
  if (!IsCleanUtf8(part.name) || !IsCleanUtf8(part.filename.value_or("")))
    return Fail(Code::kInvalidArgument, "the name of a part, or its file name, is not UTF-8");
  return part;
}

}  // namespace

Result<std::string> MultipartBoundary(std::string_view content_type) {
  Parameters parameters(content_type);
  if (!SameIgnoringCase(parameters.value(), "multipart/form-data")) {
    return Fail(Code::kInvalidArgument, "the body must be multipart/form-data, not '{}'",
                parameters.value());
  }
  for (;;) {
    INFERQ_ASSIGN(auto parameter, parameters.Next());
    if (!parameter)
      return Fail(Code::kInvalidArgument, "the Content-Type names no boundary of the parts");
    if (!SameIgnoringCase(parameter->first, "boundary")) continue;
    if (!IsBoundary(parameter->second)) {
      return Fail(Code::kInvalidArgument,
                  "the boundary of the parts is not 1 to 70 letters, digits or '()+_,-./:=?");
    }
    return std::move(parameter->second);
  }
}

// The first boundary has no line before it when there is no preamble: one is put there.
MultipartReader::MultipartReader(std::string boundary)
    : delimiter_("\r\n--" + boundary), buffer_("\r\n") {}

Result<std::vector<MultipartEvent>> MultipartReader::Feed(std::string_view bytes) {
  std::vector<MultipartEvent> events;
  if (state_ == State::kEpilogue) return events;
  buffer_ += bytes;
  for (;;) {
    INFERQ_ASSIGN(const bool more, Step(events));
    if (!more) return events;
  }
}

Result<bool> MultipartReader::Step(std::vector<MultipartEvent>& events) {
  switch (state_) {
    case State::kPreamble:
    case State::kData:
      return TakeData(events);
    case State::kDelimiter:
      return TakeDelimiter();
    case State::kHead:
      return TakeHead(events);
    case State::kEpilogue:
      break;
  }
  buffer_.clear();
  return false;
}

// All before the next delimiter; what could be its beginning is kept.
Result<bool> MultipartReader::TakeData(std::vector<MultipartEvent>& events) {
  const size_t found = buffer_.find(delimiter_);
  const size_t kept = std::min(buffer_.size(), delimiter_.size() - 1);
  const size_t end = found == buffer_.npos ? buffer_.size() - kept : found;
  if (state_ == State::kData && end > 0) events.push_back(PartData{buffer_.substr(0, end)});
  buffer_.erase(0, end);
  if (found == buffer_.npos) return false;
  buffer_.erase(0, delimiter_.size());
  if (state_ == State::kData) events.push_back(PartEnd{});
  state_ = State::kDelimiter;
  return true;
}

// What follows a delimiter: "--" at the last one, else white space and the end of the line.
Result<bool> MultipartReader::TakeDelimiter() {
  constexpr size_t kMaxPadding = 256;
  if (buffer_.size() < 2) return false;
  if (buffer_.starts_with("--")) {
    state_ = State::kEpilogue;
    return true;
  }
  const size_t text = std::min(buffer_.find_first_not_of(" \t"), buffer_.size());
  if (text > kMaxPadding) return Fail(Code::kInvalidArgument, "a boundary's line is too long");
  const std::string_view rest = std::string_view(buffer_).substr(text);
  if (rest.size() < 2 && std::string_view("\r").starts_with(rest)) return false;
  if (!rest.starts_with("\r\n"))
    return Fail(Code::kInvalidArgument, "something follows a boundary on its line");
  if (++parts_ > kMaxParts)
    return Fail(Code::kInvalidArgument, "there are more than {} parts", kMaxParts);
  buffer_.erase(0, text);  // its line end stays: a head without headers is an empty line
  state_ = State::kHead;
  return true;
}

Result<bool> MultipartReader::TakeHead(std::vector<MultipartEvent>& events) {
  const size_t end = buffer_.find("\r\n\r\n");
  if (std::min(end, buffer_.size()) > kMaxPartHead) {
    return Fail(Code::kInvalidArgument, "the headers of a part are longer than {} bytes",
                kMaxPartHead);
  }
  if (end == buffer_.npos) return false;
  const std::string_view lines = std::string_view(buffer_).substr(0, end + 2);
  INFERQ_ASSIGN(PartBegin part, ParsePartHead(lines.substr(2)));
  events.push_back(std::move(part));
  buffer_.erase(0, end + 4);
  state_ = State::kData;
  return true;
}

Result<> MultipartReader::Finish() const {
  if (state_ == State::kEpilogue) return {};
  return Fail(Code::kInvalidArgument,
              "the body ends before its closing boundary; it was cut off, or the boundary in the "
              "Content-Type is another one");
}

}  // namespace inferq::http
