#include "http/request_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "http/text.h"

namespace inferq::http {
namespace {

using Checked = std::expected<void, Refusal>;

constexpr size_t kShown = 64;  // bytes of a client's text in a message

template <class... Args>
std::unexpected<Refusal> Refuse(int status, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Refusal{status, fmt::format(format, std::forward<Args>(args)...)});
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSpace(char c) { return c == ' ' || c == '\t'; }
bool IsControl(char c) { return (c >= 0 && c < ' ') || c == 0x7f; }

// Text of a client for a message: short and printable.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, kShown));
  std::ranges::replace_if(shown, [](char c) { return c < ' ' || c == 0x7f; }, '?');
  return shown;
}

/// What a head says about its body, as its lines are read.
struct Framing {
  bool http_1_1 = false;
  int hosts = 0;
  int lengths = 0;
  int encodings = 0;
};

Checked CheckTarget(std::string_view method, std::string_view target) {
  const bool printable = std::ranges::all_of(target, [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable || target.contains('#')) {
    return Refuse(400, "the target of the request contains a character that is not escaped");
  }
  if (target.starts_with('/') || (target == "*" && method == "OPTIONS")) return {};
  return Refuse(400, "the target '{}' is not a path; it must begin with '/'", Shown(target));
}

Checked CheckRequestLine(std::string_view line, Framing& framing) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == line.npos || first == last)
    return Refuse(400, "the first line is not 'METHOD /path HTTP/1.1'");
  const std::string_view method = line.substr(0, first);
  const std::string_view version = line.substr(last + 1);
  if (!IsToken(method)) return Refuse(400, "'{}' is not a method", Shown(method));
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return Refuse(400, "'{}' is not a version that is spoken here: HTTP/1.1", Shown(version));
  framing.http_1_1 = version == "HTTP/1.1";
  return CheckTarget(method, line.substr(first + 1, last - first - 1));
}

Checked CheckLength(std::string_view value, Framing& framing) {
  uint64_t length = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (value.empty() || !std::ranges::all_of(value, IsDigit) || error != std::errc{})
    return Refuse(400, "Content-Length '{}' is not a number of bytes", Shown(value));
  if (++framing.lengths > 1) return Refuse(400, "there is more than one Content-Length");
  return {};
}

Checked CheckEncoding(std::string_view value, Framing& framing) {
  if (++framing.encodings > 1) return Refuse(400, "there is more than one Transfer-Encoding");
  if (!framing.http_1_1) return Refuse(400, "HTTP/1.0 has no Transfer-Encoding");
  if (SameIgnoringCase(value, "chunked")) return {};
  return Refuse(501, "Transfer-Encoding '{}' is not offered here; only chunked is", Shown(value));
}

Checked CheckHost(std::string_view value, Framing& framing) {
  constexpr std::string_view kForbidden = " \t\"/\\<>?#@^`{|},";
  const bool good = std::ranges::all_of(
      value, [&](char c) { return c > ' ' && c < 0x7f && !kForbidden.contains(c); });
  if (!good) return Refuse(400, "Host '{}' is not a host and port", Shown(value));
  if (++framing.hosts > 1) return Refuse(400, "there is more than one Host");
  return {};
}

Checked CheckExpect(std::string_view value, const Framing& framing) {
  if (!framing.http_1_1 || SameIgnoringCase(value, "100-continue")) return {};
  return Refuse(417, "Expect '{}' cannot be met; only 100-continue can", Shown(value));
}

Checked CheckTokens(std::string_view name, std::string_view value) {
  for (size_t at = 0; at <= value.size();) {
    const size_t end = std::min(value.find(',', at), value.size());
    const std::string_view token = Trim(value.substr(at, end - at));
    if (!token.empty() && !IsToken(token))
      return Refuse(400, "the header '{}' is not a list of words", name);
    at = end + 1;
  }
  return {};
}

Checked CheckField(std::string_view line, Framing& framing) {
  if (IsSpace(line.front())) return Refuse(400, "a header goes on in a second line");
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == line.npos || !IsToken(name))
    return Refuse(400, "'{}' is not the name of a header and a ':'", Shown(name));
  const std::string_view value = Trim(line.substr(colon + 1));
  if (SameIgnoringCase(name, "host")) return CheckHost(value, framing);
  if (SameIgnoringCase(name, "content-length")) return CheckLength(value, framing);
  if (SameIgnoringCase(name, "transfer-encoding")) return CheckEncoding(value, framing);
  if (SameIgnoringCase(name, "connection") || SameIgnoringCase(name, "proxy-connection"))
    return CheckTokens(name, value);
  if (SameIgnoringCase(name, "expect")) return CheckExpect(value, framing);
  return {};
}

Checked CheckFraming(const Framing& framing) {
  if (framing.http_1_1 && framing.hosts == 0) return Refuse(400, "the Host header is missing");
  if (framing.lengths > 0 && framing.encodings > 0)
    return Refuse(400, "there is both a Content-Length and a Transfer-Encoding");
  return {};
}

// Takes the next line, without its CRLF, off `text`.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find("\r\n"), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 2, text.size()));
  return line;
}

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Whether it is well-formed UTF-8 (RFC 3629) without NUL.
}  // namespace

HeadScan ScanHead(std::string_view bytes, size_t at) {
  for (; at < bytes.size(); ++at) {
    const char c = bytes[at];
    if (!IsControl(c) || c == '\t') continue;
    if (c != '\r') return {HeadEnd::kMalformed, at};
    if (at + 1 == bytes.size()) return {HeadEnd::kOpen, at};
    if (bytes[at + 1] != '\n') return {HeadEnd::kMalformed, at};
    if (at >= 2 && bytes.substr(at - 2, 2) == "\r\n") return {HeadEnd::kFound, at + 2};
    ++at;
  }
  return {HeadEnd::kOpen, at};
}

std::expected<void, Refusal> CheckRequestHead(std::string_view head, size_t max_headers) {
  if (ScanHead(head, 0).size != head.size() || !head.ends_with("\r\n\r\n"))
    return Refuse(400, "the head of the request contains a bare CR or LF, or a control character");
  head.remove_suffix(2);
  Framing framing;
  if (auto good = CheckRequestLine(TakeLine(head), framing); !good) return good;
  for (size_t count = 1; !head.empty(); ++count) {
    if (count > max_headers) return Refuse(431, "there are more than {} headers", max_headers);
    if (auto good = CheckField(TakeLine(head), framing); !good) return good;
  }
  return CheckFraming(framing);
}

std::optional<std::string> DecodePath(std::string_view path) {
  std::string decoded;
  decoded.reserve(path.size());
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      decoded += path[i];
      continue;
    }
    if (path.size() - i < 3) return std::nullopt;
    const int high = HexValue(path[i + 1]);
    const int low = HexValue(path[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (!IsCleanUtf8(decoded)) return std::nullopt;
  return decoded;
}

}  // namespace inferq::http
