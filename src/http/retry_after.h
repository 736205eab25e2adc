#pragma once

#include <chrono>

#include "base/clock.h"
#include "http/message.h"

namespace inferq::http {

/// How long the server asks to wait: retry-after-ms, else Retry-After in seconds or as a date. 0:
/// nothing usable; at most an hour.
/// @param now  for a Retry-After that is a date.
std::chrono::milliseconds RetryAfter(const Headers& headers, base::WallTime now);

}  // namespace inferq::http
