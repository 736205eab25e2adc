#include "api/request_timeout.h"

#include <algorithm>
#include <charconv>

namespace inferq::api {

namespace {

constexpr double kMostSeconds = 86'400;

std::optional<base::Micros> ParseSeconds(std::string_view text) {
  double seconds = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || stop != text.data() + text.size() || !(seconds > 0))
    return std::nullopt;
  return base::Micros(static_cast<int64_t>(std::min(seconds, kMostSeconds) * 1e6));
}

}  // namespace

wire::ApiResult<std::optional<ClientTimeout>> RequestTimeout(const http::Headers& headers) {
  if (auto own = http::FindHeader(headers, "x-request-timeout")) {
    if (auto wait = ParseSeconds(*own)) return ClientTimeout{.wait = *wait};
    return std::unexpected(
        wire::BadRequest("The header X-Request-Timeout must be a number of seconds above 0.",
                         "X-Request-Timeout", "invalid_value"));
  }
  for (std::string_view name : {"x-stainless-read-timeout", "x-stainless-timeout"}) {
    auto said = http::FindHeader(headers, name);
    auto wait = said ? ParseSeconds(*said) : std::nullopt;
    if (wait) return ClientTimeout{.wait = *wait, .until_begun = true};
  }
  return std::nullopt;
}

}  // namespace inferq::api
