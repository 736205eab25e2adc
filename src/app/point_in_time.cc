#include "app/point_in_time.h"

#include <charconv>

#include "config/value.h"

namespace inferq::app {

namespace {

constexpr int64_t kYear2200 = 7'258'118'400;

std::unexpected<base::Error> NoTime(const std::string& text) {
  return base::Fail(base::Code::kInvalidArgument,
                    "'{}' is no point in time: give +2h, +90m, Unix seconds, or none", text);
}

}  // namespace

base::Result<std::optional<base::WallTime>> ParsePointInTime(const std::string& text,
                                                             base::WallTime now) {
  if (text == "none") return std::nullopt;
  if (text.starts_with('+')) {
    auto length = config::ParseDuration(text.substr(1));
    if (!length) return NoTime(text);
    return now + *length;
  }
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  bool whole = error == std::errc{} && end == text.data() + text.size();
  if (!whole || seconds < 0 || seconds >= kYear2200) return NoTime(text);
  return base::WallTime(std::chrono::seconds(seconds));
}

}  // namespace inferq::app
