#include "wire/json.h"

#include <simdjson.h>

#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/check.h"

namespace inferq::wire {

using base::Code;
using base::Fail;

namespace {

constexpr size_t kKeepParserBytes = 1u << 20;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view SkipSpace(std::string_view text) {
  size_t i = 0;
  while (i < text.size() && IsSpace(text[i])) ++i;
  return text.substr(i);
}

std::string_view Trim(std::string_view text) {
  text = SkipSpace(text);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

// From here on: reading of text that is known to be valid.

/// The string that `text` begins with, quotes included.
size_t StringLength(std::string_view text) {
  size_t i = 1;
  while (true) {
    const void* quote = std::memchr(text.data() + i, '"', text.size() - i);
    INFERQ_CHECK(quote != nullptr);
    size_t end = static_cast<size_t>(static_cast<const char*>(quote) - text.data());
    size_t backslashes = 0;
    while (text[end - 1 - backslashes] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return end + 1;
    i = end + 1;
  }
}

size_t ContainerLength(std::string_view text) {
  size_t depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '"':
        i += StringLength(text.substr(i)) - 1;
        break;
      case '{':
      case '[':
        ++depth;
        break;
      case '}':
      case ']':
        if (--depth == 0) return i + 1;
        break;
      default:
        break;
    }
  }
  INFERQ_CHECK(false);
  return 0;
}

/// The value that `text` begins with.
size_t ValueLength(std::string_view text) {
  switch (text.front()) {
    case '"':
      return StringLength(text);
    case '{':
    case '[':
      return ContainerLength(text);
    default:
      return std::min(text.find_first_of(",]} \t\r\n"), text.size());
  }
}

std::string_view TakeValue(std::string_view& text) {
  size_t length = ValueLength(text);
  std::string_view value = text.substr(0, length);
  text = SkipSpace(text.substr(length));
  return value;
}

/// The inside of a container, without its brackets.
std::string_view Inside(std::string_view text) {
  return SkipSpace(text.substr(1, text.size() - 2));
}

unsigned HexDigit(char c) {
  if (c <= '9') return static_cast<unsigned>(c - '0');
  return static_cast<unsigned>((c | 0x20) - 'a' + 10);
}

unsigned Hex4(std::string_view digits) {
  unsigned value = 0;
  for (char c : digits.substr(0, 4)) value = value * 16 + HexDigit(c);
  return value;
}

void AppendUtf8(std::string& out, unsigned code) {
  auto put = [&out](unsigned byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6), put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
  }
}

bool IsHighSurrogate(unsigned code) { return code >= 0xD800 && code < 0xDC00; }

/// Decodes the escape that `text` begins with. @return its length.
size_t AppendEscape(std::string& out, std::string_view text) {
  switch (text[1]) {
    case 'b':
      out.push_back('\b');
      return 2;
    case 'f':
      out.push_back('\f');
      return 2;
    case 'n':
      out.push_back('\n');
      return 2;
    case 'r':
      out.push_back('\r');
      return 2;
    case 't':
      out.push_back('\t');
      return 2;
    case 'u':
      break;
    default:
      out.push_back(text[1]);
      return 2;
  }
  unsigned code = Hex4(text.substr(2));
  if (!IsHighSurrogate(code)) return AppendUtf8(out, code), 6;
  AppendUtf8(out, 0x10000 + ((code - 0xD800) << 10) + (Hex4(text.substr(8)) - 0xDC00));
  return 12;
}

std::string DecodeString(std::string_view quoted) {
  std::string_view rest = quoted.substr(1, quoted.size() - 2);
  std::string out;
  out.reserve(rest.size());
  while (true) {
    size_t escape = rest.find('\\');
    out.append(rest.substr(0, escape));
    if (escape == rest.npos) return out;
    rest.remove_prefix(escape);
    rest.remove_prefix(AppendEscape(out, rest));
  }
}

/// Compares without decoding where there is nothing to decode. Escapes are longer than what they
/// stand for, so the lengths tell most strings apart.
bool StringIs(std::string_view quoted, std::string_view text) {
  std::string_view inside = quoted.substr(1, quoted.size() - 2);
  if (inside.size() < text.size()) return false;
  bool escaped = inside.find('\\') != inside.npos;
  if (inside.size() == text.size()) return !escaped && inside == text;
  return escaped && DecodeString(quoted) == text;
}

// Validation.

/// Accepts everything: the parser does the checking.
struct NullHandler {
  // NOLINTBEGIN(readability-identifier-naming): the parser's words
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  // NOLINTEND(readability-identifier-naming)
  using Ec = boost::system::error_code;
  using Text = boost::json::string_view;
  bool on_document_begin(Ec&) { return true; }
  bool on_document_end(Ec&) { return true; }
  bool on_object_begin(Ec&) { return true; }
  bool on_object_end(std::size_t, Ec&) { return true; }
  bool on_array_begin(Ec&) { return true; }
  bool on_array_end(std::size_t, Ec&) { return true; }
  bool on_key_part(Text, std::size_t, Ec&) { return true; }
  bool on_key(Text, std::size_t, Ec&) { return true; }
  bool on_string_part(Text, std::size_t, Ec&) { return true; }
  bool on_string(Text, std::size_t, Ec&) { return true; }
  bool on_number_part(Text, Ec&) { return true; }
  bool on_int64(std::int64_t, Text, Ec&) { return true; }
  bool on_uint64(std::uint64_t, Text, Ec&) { return true; }
  bool on_double(double, Text, Ec&) { return true; }
  bool on_bool(bool, Ec&) { return true; }
  bool on_null(Ec&) { return true; }
  bool on_comment_part(Text, Ec&) { return true; }
  bool on_comment(Text, Ec&) { return true; }
};

base::Result<> TooDeep(const JsonLimits& limits) {
  return Fail(Code::kResourceExhausted, "The JSON is nested deeper than {} levels.",
              limits.max_depth);
}

/// The thorough way, for texts that simdjson did not take: it tells where the mistake is, and has
/// no opinion about numbers that fit no machine type.
base::Result<> ValidateSlowly(std::string_view text, const JsonLimits& limits) {
  boost::json::parse_options options;
  options.max_depth = limits.max_depth;
  boost::json::basic_parser<NullHandler> parser(options);
  boost::system::error_code error;
  size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (error == boost::json::error::too_deep) return TooDeep(limits);
  if (error == boost::json::error::incomplete) {
    return Fail(Code::kInvalidArgument, "The JSON ends too early, at byte {}.", text.size());
  }
  if (error)
    return Fail(Code::kInvalidArgument, "The JSON is wrong at byte {}: {}.", read, error.message());
  if (!SkipSpace(text.substr(read)).empty()) {
    return Fail(Code::kInvalidArgument, "The JSON goes on behind its end, at byte {}.", read);
  }
  return {};
}

/// One parser per thread: it keeps its memory from line to line. After a large text it is let go.
/// simdjson counts the document as a level, and empty arrays not at all, so what is as deep as the
/// limit may fail here: the slow way decides.
simdjson::error_code ParseFast(std::string_view text, size_t max_depth) {
  thread_local std::optional<simdjson::dom::parser> parser;
  if (!parser) parser.emplace();
  simdjson::error_code error = simdjson::SUCCESS;
  if (parser->max_depth() != max_depth || parser->capacity() < text.size()) {
    error = parser->allocate(std::max(text.size(), size_t{4096}), max_depth);
  }
  if (!error) error = parser->parse(text.data(), text.size(), true).error();
  if (text.size() > kKeepParserBytes) parser.reset();
  return error;
}

}  // namespace

std::string_view JsonTypeName(JsonType type) {
  switch (type) {
    case JsonType::kNull:
      return "null";
    case JsonType::kBool:
      return "a boolean";
    case JsonType::kNumber:
      return "a number";
    case JsonType::kString:
      return "a string";
    case JsonType::kArray:
      return "an array";
    case JsonType::kObject:
      return "an object";
  }
  return "a value";
}

base::Result<JsonValue> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Fail(Code::kResourceExhausted, "The JSON has {} bytes; at most {} are allowed.",
                text.size(), limits.max_bytes);
  }
  std::string_view trimmed = Trim(text);
  if (trimmed.empty()) return Fail(Code::kInvalidArgument, "The JSON is empty.");
  if (auto error = ParseFast(trimmed, limits.max_depth)) {
    if (error == simdjson::UTF8_ERROR || !IsUtf8(trimmed)) {
      return Fail(Code::kInvalidArgument, "The text is not valid UTF-8.");
    }
    if (error == simdjson::MEMALLOC) return Fail(Code::kResourceExhausted, "Out of memory.");
    INFERQ_TRY(ValidateSlowly(trimmed, limits));
  }
  return JsonValue(trimmed);
}

JsonType JsonValue::type() const {
  switch (text_.front()) {
    case '{':
      return JsonType::kObject;
    case '[':
      return JsonType::kArray;
    case '"':
      return JsonType::kString;
    case 't':
    case 'f':
      return JsonType::kBool;
    case 'n':
      return JsonType::kNull;
    default:
      return JsonType::kNumber;
  }
}

std::optional<bool> JsonValue::AsBool() const {
  if (type() != JsonType::kBool) return std::nullopt;
  return text_ == "true";
}

std::optional<double> JsonValue::AsDouble() const {
  if (type() != JsonType::kNumber) return std::nullopt;
  double value = 0;
  auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
  if (error == std::errc::result_out_of_range) {
    // Too large, or so small that it is 0: strtod tells.
    value = std::strtod(std::string(text_).c_str(), nullptr);
  }
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<int64_t> JsonValue::AsInteger() const {
  if (type() != JsonType::kNumber) return std::nullopt;
  int64_t value = 0;
  auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
  if (error == std::errc() && end == text_.data() + text_.size()) return value;
  auto real = AsDouble();
  if (!real || *real != std::trunc(*real) || std::abs(*real) > 9007199254740992.0)
    return std::nullopt;
  return static_cast<int64_t>(*real);
}

std::optional<std::string> JsonValue::AsString() const {
  if (type() != JsonType::kString) return std::nullopt;
  return DecodeString(text_);
}

std::optional<std::string_view> JsonValue::AsText(std::string& decoded) const {
  if (type() != JsonType::kString) return std::nullopt;
  std::string_view inside = text_.substr(1, text_.size() - 2);
  if (inside.find('\\') == inside.npos) return inside;
  decoded = DecodeString(text_);
  return decoded;
}

std::optional<JsonValue> JsonValue::Find(std::string_view key) const {
  for (JsonMembers member(*this); member.Next();) {
    if (member.KeyIs(key)) return member.value();
  }
  return std::nullopt;
}

std::vector<JsonValue> JsonValue::Elements() const {
  std::vector<JsonValue> all;
  for (JsonElements element(*this); element.Next();) all.push_back(element.value());
  return all;
}

JsonMembers::JsonMembers(JsonValue object)
    : rest_(object.type() == JsonType::kObject ? Inside(object.text()) : std::string_view()) {}

bool JsonMembers::Next() {
  if (rest_.empty()) return false;
  if (rest_.front() == ',') rest_ = SkipSpace(rest_.substr(1));
  key_ = TakeValue(rest_);
  rest_ = SkipSpace(rest_.substr(1));  // the colon
  value_ = TakeValue(rest_);
  return true;
}

bool JsonMembers::KeyIs(std::string_view name) const { return StringIs(key_, name); }
std::string JsonMembers::key() const { return DecodeString(key_); }

JsonElements::JsonElements(JsonValue array)
    : rest_(array.type() == JsonType::kArray ? Inside(array.text()) : std::string_view()) {}

bool JsonElements::Next() {
  if (rest_.empty()) return false;
  if (rest_.front() == ',') rest_ = SkipSpace(rest_.substr(1));
  value_ = TakeValue(rest_);
  return true;
}

void AppendJsonString(std::string& out, std::string_view text) {
  if (!IsUtf8(text)) return AppendJsonString(out, RepairUtf8(text));
  static constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  size_t done = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text.substr(done, i - done));
    done = i + 1;
    switch (c) {
      case '"':
        out.append("\\\"");
        break;
      case '\\':
        out.append("\\\\");
        break;
      case '\n':
        out.append("\\n");
        break;
      case '\r':
        out.append("\\r");
        break;
      case '\t':
        out.append("\\t");
        break;
      default:
        out.append("\\u00"), out.push_back(kHex[c >> 4]), out.push_back(kHex[c & 15]);
    }
  }
  out.append(text.substr(done));
  out.push_back('"');
}

std::string JsonString(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  AppendJsonString(out, text);
  return out;
}

std::string JsonNumber(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

void AppendCompactJson(std::string& out, JsonValue value) {
  std::string_view rest = value.text();
  out.reserve(out.size() + rest.size());
  while (!(rest = SkipSpace(rest)).empty()) {
    size_t length = rest.front() == '"' ? StringLength(rest)
                                        : std::min(rest.find_first_of("\" \t\r\n"), rest.size());
    out.append(rest.substr(0, length));
    rest.remove_prefix(length);
  }
}

std::string CompactJson(JsonValue value) {
  std::string out;
  AppendCompactJson(out, value);
  return out;
}

namespace {

void AppendMember(std::string& out, std::string_view quoted_key, std::string_view json) {
  if (out.size() > 1) out.push_back(',');
  out.append(quoted_key).append(":").append(json);
}

}  // namespace

std::string EditJsonObject(JsonValue object, const std::vector<JsonEdit>& edits) {
  std::vector<bool> met(edits.size());
  std::string out = "{";
  for (JsonMembers member(object); member.Next();) {
    auto edit = std::ranges::find_if(edits, [&](const JsonEdit& e) { return member.KeyIs(e.key); });
    auto index = static_cast<size_t>(edit - edits.begin());
    if (edit != edits.end() && met[index]) continue;
    if (edit != edits.end()) met[index] = true;
    bool change = edit != edits.end() && (edit->replace || member.value().is_null());
    AppendMember(out, JsonString(member.key()), change ? edit->json : CompactJson(member.value()));
  }
  for (size_t i = 0; i < edits.size(); ++i) {
    if (!met[i]) AppendMember(out, JsonString(edits[i].key), edits[i].json);
  }
  out.push_back('}');
  return out;
}

std::optional<std::string> RepeatedKey(JsonValue object) {
  std::vector<std::string> keys;
  for (JsonMembers member(object); member.Next();) keys.push_back(member.key());
  std::ranges::sort(keys);
  auto twice = std::ranges::adjacent_find(keys);
  if (twice == keys.end()) return std::nullopt;
  return *twice;
}

bool IsUtf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

namespace {

/// The length of the well-formed UTF-8 sequence that `text` begins with; 0 when it is malformed.
size_t SequenceLength(std::string_view text) {
  auto lead = static_cast<unsigned char>(text[0]);
  size_t length = lead < 0x80   ? 1
                  : lead < 0xC2 ? 0
                  : lead < 0xE0 ? 2
                  : lead < 0xF0 ? 3
                  : lead < 0xF5 ? 4
                                : 0;
  if (length == 0 || length > text.size() || !IsUtf8(text.substr(0, length))) return 0;
  return length;
}

}  // namespace

std::string RepairUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 8);
  while (!text.empty()) {
    size_t length = SequenceLength(text);
    out.append(length > 0 ? text.substr(0, length) : "\xEF\xBF\xBD");
    text.remove_prefix(std::max(length, size_t{1}));
  }
  return out;
}

}  // namespace inferq::wire
