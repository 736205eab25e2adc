#include "http/retry_after.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <string>

namespace inferq::http {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kLongestWait = std::chrono::hours(1);

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0))
    return std::nullopt;
  return value;
}

milliseconds Bounded(double ms) {
  double most = static_cast<double>(kLongestWait.count());
  return milliseconds(static_cast<int64_t>(std::min(ms, most)));
}

// "Wed, 21 Oct 2026 07:28:00 GMT"
std::optional<base::WallTime> ParseHttpDate(const std::string& text) {
  std::tm parts{};
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (!end || *end != '\0') return std::nullopt;
  return base::WallTime(std::chrono::seconds(timegm(&parts)));
}

}  // namespace

milliseconds RetryAfter(const Headers& headers, base::WallTime now) {
  if (auto text = FindHeader(headers, "retry-after-ms")) {
    if (auto ms = ParseNumber(*text)) return Bounded(*ms);
  }
  auto text = FindHeader(headers, "retry-after");
  if (!text) return milliseconds(0);
  if (auto seconds = ParseNumber(*text)) return Bounded(*seconds * 1000);
  auto date = ParseHttpDate(std::string(*text));
  if (!date || *date <= now) return milliseconds(0);
  return std::min(std::chrono::ceil<milliseconds>(*date - now), kLongestWait);
}

}  // namespace inferq::http
