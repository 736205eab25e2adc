#include "service/ingest/item_reader.h"

#include <algorithm>

namespace inferq::ingest {

using base::Code;
using base::Fail;
using base::Result;

namespace {

constexpr std::string_view kSpace = " \t\r\n";

/// The item whose text, with white space around it, is at the front of `input`.
RawItem Trimmed(const Input& input, size_t size) {
  std::string_view text = input.data().substr(0, size);
  size_t front = std::min(text.find_first_not_of(kSpace), text.size());
  text.remove_prefix(front);
  text = text.substr(0, text.find_last_not_of(kSpace) + 1);
  return {text, input.line(), input.offset() + front, text.size(), false};
}

/// Finds the end of one JSON value without judging it, however it is cut into pieces.
class ValueScanner {
 public:
  /// @return the number of bytes of `text` that belong to the value; npos: all of them, and more to
  /// come.
  size_t Scan(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (in_string_ ? ScanString(text[i]) : ScanOther(text[i])) return i + 1;
      if (done_before_) return i;
    }
    return text.npos;
  }

 private:
  bool ScanString(char c) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      return depth_ == 0;
    }
    return false;
  }

  bool ScanOther(char c) {
    switch (c) {
      case '"':
        in_string_ = true;
        return false;
      case '{':
      case '[':
        ++depth_;
        return false;
      case '}':
      case ']':
        if (depth_ == 0) return done_before_ = true, false;
        return --depth_ == 0;
      case ',':
      case ' ':
      case '\t':
      case '\r':
      case '\n':
        done_before_ = depth_ == 0;
        return false;
      default:
        return false;
    }
  }

  size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool done_before_ = false;
};

}  // namespace

Result<size_t> JsonLinesReader::FindEnd() {
  size_t seen = 0;
  while (true) {
    size_t end = input_.data().find('\n', seen);
    if (end != std::string_view::npos) return end;
    seen = input_.data().size();
    if (seen > max_bytes_) return std::string_view::npos;
    INFERQ_ASSIGN(bool more, input_.More());
    if (!more) return seen;
  }
}

Result<RawItem> JsonLinesReader::SkipLongLine() {
  RawItem item{{}, input_.line(), input_.offset(), 0, true};
  while (true) {
    size_t end = input_.data().find('\n');
    input_.Consume(std::min(end, input_.data().size()));
    if (end != std::string_view::npos) break;
    INFERQ_ASSIGN(bool more, input_.More());
    if (!more) break;
  }
  item.length = input_.offset() - item.offset;
  return item;
}

// One line, whose end only the last of a file lacks.
void JsonLinesReader::ConsumePending() {
  size_t size = std::exchange(pending_, 0);
  if (input_.data()[size - 1] == '\n') return input_.ConsumeLine(size);
  input_.Consume(size);
}

Result<std::optional<RawItem>> JsonLinesReader::Next() {
  if (pending_ > 0) ConsumePending();
  while (true) {
    INFERQ_ASSIGN(size_t end, FindEnd());
    if (end == std::string_view::npos) return SkipLongLine();
    if (input_.data().empty()) return std::nullopt;
    RawItem item = Trimmed(input_, end);
    if (item.length > max_bytes_) return SkipLongLine();
    size_t with_line_end = std::min(end + 1, input_.data().size());
    if (item.length > 0) {
      pending_ = with_line_end;
      return item;
    }
    input_.Consume(with_line_end);
  }
}

Result<std::optional<char>> JsonArrayReader::Peek() {
  while (true) {
    size_t at = input_.data().find_first_not_of(kSpace);
    input_.Consume(std::min(at, input_.data().size()));
    if (at != std::string_view::npos) return input_.data().front();
    INFERQ_ASSIGN(bool more, input_.More());
    if (!more) return std::nullopt;
  }
}

/// Moves to the next element. @return false at the end of the array.
Result<bool> JsonArrayReader::FindElement() {
  INFERQ_ASSIGN(auto next, Peek());
  if (state_ == State::kBefore) {
    if (next != '[')
      return Fail(Code::kInvalidArgument, "The input is not a JSON array: it has no '['.");
    input_.Consume(1);
    state_ = State::kFirst;
    INFERQ_ASSIGN(next, Peek());
  }
  bool closed = next == ']';
  if (state_ == State::kBetween && next == ',') {
    input_.Consume(1);
    INFERQ_ASSIGN(next, Peek());
  } else if (state_ == State::kBetween && next && !closed) {
    return Fail(Code::kInvalidArgument,
                "Line {}: expected ',' or ']' behind an element of the array, got '{}'.",
                input_.line(), *next);
  }
  if (!next) {
    return Fail(Code::kInvalidArgument,
                "Line {}: the array is not closed; the file may be cut off.", input_.line());
  }
  if (closed) {
    input_.Consume(1);
    return false;
  }
  if (std::string_view(",]}:").find(*next) != std::string_view::npos) {
    return Fail(Code::kInvalidArgument, "Line {}: expected an element of the array, got '{}'.",
                input_.line(), *next);
  }
  return true;
}

Result<RawItem> JsonArrayReader::TakeElement() {
  RawItem item{{}, input_.line(), input_.offset(), 0, false};
  ValueScanner scanner;
  size_t seen = 0;
  size_t end;
  while ((end = scanner.Scan(input_.data().substr(seen))) == std::string_view::npos) {
    seen = input_.data().size();
    if (seen > max_bytes_) item.too_long = true;
    if (item.too_long) input_.Consume(std::exchange(seen, 0));
    INFERQ_ASSIGN(bool more, input_.More());
    if (!more) {
      return Fail(Code::kInvalidArgument,
                  "Line {}: the element that begins here is not closed; the file may be cut off.",
                  item.number);
    }
  }
  pending_ = seen + end;
  item.length = input_.offset() + pending_ - item.offset;
  item.too_long = item.length > max_bytes_;
  if (!item.too_long) item.text = input_.data().substr(0, pending_);
  return item;
}

Result<> JsonArrayReader::ExpectEnd() {
  INFERQ_ASSIGN(auto next, Peek());
  if (!next) return {};
  return Fail(Code::kInvalidArgument, "Line {}: there is text behind the end of the array.",
              input_.line());
}

Result<std::optional<RawItem>> JsonArrayReader::Next() {
  input_.Consume(std::exchange(pending_, 0));
  if (state_ != State::kAfter) {
    INFERQ_ASSIGN(bool found, FindElement());
    state_ = found ? State::kBetween : State::kAfter;
  }
  if (state_ == State::kBetween) return TakeElement();
  INFERQ_TRY(ExpectEnd());
  return std::nullopt;
}

}  // namespace inferq::ingest
