#include "http/url.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

namespace inferq::http {
namespace {

using base::Code;
using base::Fail;

constexpr uint16_t DefaultPort(bool tls) { return tls ? 443 : 80; }

bool HasBadCharacter(std::string_view text) {
  return std::ranges::any_of(text,
                             [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '\\'; });
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// "host", "host:port" or "[::1]:port".
base::Result<> ParseAuthority(std::string_view text, runtime::Address& out) {
  std::string_view host = text;
  std::optional<std::string_view> port;
  if (text.starts_with('[')) {
    size_t end = text.find(']');
    if (end == text.npos) return Fail(Code::kInvalidArgument, "'{}' lacks the closing ']'", text);
    host = text.substr(1, end - 1);
    std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') {
      return Fail(Code::kInvalidArgument, "'{}' is not a host and port", text);
    }
    if (!rest.empty()) port = rest.substr(1);
  } else if (size_t colon = text.find(':'); colon != text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (host.empty()) return Fail(Code::kInvalidArgument, "the address names no host");
  out.host = Lower(host);
  out.port = DefaultPort(out.tls);
  if (!port || port->empty()) return {};
  auto number = ParsePort(*port);
  if (!number) return Fail(Code::kInvalidArgument, "'{}' is not a port (1 to 65535)", *port);
  out.port = *number;
  return {};
}

}  // namespace

std::string Url::Authority() const {
  if (address.port != DefaultPort(address.tls)) return address.ToString();
  return address.host.contains(':') ? fmt::format("[{}]", address.host) : address.host;
}

std::string Url::Origin() const {
  return fmt::format("{}://{}", address.tls ? "https" : "http", Authority());
}

base::Result<Url> ParseUrl(std::string_view text) {
  size_t colon = text.find("://");
  std::string scheme = Lower(text.substr(0, colon == text.npos ? 0 : colon));
  if (scheme != "http" && scheme != "https") {
    return Fail(Code::kInvalidArgument, "an address begins with http:// or https://");
  }
  std::string_view rest = text.substr(colon + 3);
  size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  std::string_view target = rest.substr(end);
  if (authority.contains('@')) {
    return Fail(
        Code::kInvalidArgument,
        "the address contains a user or password; give the key as an option of its own instead");
  }
  if (HasBadCharacter(rest)) {
    return Fail(Code::kInvalidArgument,
                "the address contains a space, backslash or control character");
  }
  if (target.contains('#')) return Fail(Code::kInvalidArgument, "the address contains a '#'");
  Url url;
  url.address.tls = scheme == "https";
  INFERQ_TRY(ParseAuthority(authority, url.address));
  url.target = target.starts_with('/') ? std::string(target) : fmt::format("/{}", target);
  return url;
}

}  // namespace inferq::http
