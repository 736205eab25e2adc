#pragma once

#include <chrono>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"
#include "http/message.h"

namespace inferq::engine {

/// What a server's answer to a request means. Pure.
/// @param now  for a Retry-After that is a date.
base::Result<Delta> ReadAnswer(http::Response response, base::WallTime now);

/// The failure that an answer stands for whose status is not 2xx.
base::Error AnswerError(const http::Response& response, base::WallTime now);

/// How long the server asks to wait: retry-after-ms, else Retry-After in seconds or as a date. 0:
/// nothing usable; at most an hour.
std::chrono::milliseconds RetryAfter(const http::Headers& headers, base::WallTime now);

}  // namespace inferq::engine
