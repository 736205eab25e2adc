#include "obs/log_line.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace inferq::obs {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

unsigned Byte(std::string_view text, size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

// Bytes of the UTF-8 sequence that `text` begins with; 0: none (RFC 3629: no surrogates, nothing
// overlong, nothing above U+10FFFF).
size_t SequenceLength(std::string_view text) {
  unsigned lead = Byte(text, 0), second = Byte(text, 1);
  auto continues = [&](size_t i) { return (Byte(text, i) & 0xC0) == 0x80; };
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4 || !continues(1)) return 0;
  if (lead < 0xE0) return 2;
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || !continues(2)) return 0;
  if (lead < 0xF0) return 3;
  if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F) || !continues(3)) return 0;
  return 4;
}

void AppendEscaped(char c, std::string& out) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  // Control characters, DEL too: terminals would obey it.
  if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
  } else {
    out += c;
  }
}

// JSON has no infinities and no NaN.
void AppendJson(double value, std::string& out) {
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(out), "{}", value);
  } else {
    out += "null";
  }
}
void AppendJson(bool value, std::string& out) { out += value ? "true" : "false"; }
void AppendJson(std::integral auto value, std::string& out) {
  fmt::format_to(std::back_inserter(out), "{}", value);
}
void AppendJson(std::string_view value, std::string& out) { AppendJsonString(value, out); }

void AppendValue(const Field& field, std::string& out) {
  std::visit([&](const auto& value) { AppendJson(value, out); }, field.value);
}

// Text that needs no quotes to be told from what is around it.
bool IsPlain(const Field& field) {
  const auto* text = std::get_if<std::string_view>(&field.value);
  return text && !text->empty() && std::ranges::all_of(*text, [](char c) {
           return '!' <= c && c <= '~' && c != '"' && c != '=' && c != '\\';
         });
}

}  // namespace

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    size_t length = SequenceLength(text);
    if (length == 1) {
      AppendEscaped(text[0], out);
    } else {
      out += length == 0 ? kReplacement : text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  out += '"';
}

std::string JsonLine(base::WallTime now, Level level, std::string_view event,
                     std::initializer_list<Field> fields) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  std::string line = fmt::format(R"({{"ts":"{:%Y-%m-%dT%H:%M:%S}.{:06}Z","level":"{}","event":)",
                                 fmt::gmtime(seconds.time_since_epoch().count()),
                                 (now - seconds).count(), LevelName(level));
  AppendJsonString(event, line);
  for (const Field& field : fields) {
    line += ',';
    AppendJsonString(field.key, line);
    line += ':';
    AppendValue(field, line);
  }
  return line + '}';
}

std::string TextLine(base::WallTime now, Level level, std::string_view event,
                     std::initializer_list<Field> fields) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  auto millis = std::chrono::floor<std::chrono::milliseconds>(now - seconds);
  std::string line =
      fmt::format("{:%H:%M:%S}.{:03} {:<7} {}", fmt::gmtime(seconds.time_since_epoch().count()),
                  millis.count(), LevelName(level), event);
  for (const Field& field : fields) {
    fmt::format_to(std::back_inserter(line), " {}=", field.key);
    if (IsPlain(field)) {
      line += std::get<std::string_view>(field.value);
    } else {
      AppendValue(field, line);
    }
  }
  return line;
}

}  // namespace inferq::obs
