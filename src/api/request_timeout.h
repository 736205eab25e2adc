#pragma once

#include <optional>

#include "base/clock.h"
#include "http/message.h"
#include "wire/api_error.h"

namespace inferq::api {

/// How long the client waits.
struct ClientTimeout {
  base::Micros wait{0};
  /// Of silence, as the timeouts of OpenAI's libraries are: a stream that has begun outlives it.
  bool until_begun = false;
};

/// X-Request-Timeout, else what OpenAI's libraries say of themselves, x-stainless-read-timeout
/// (Python) or x-stainless-timeout (Node); all in seconds. Longer than a day counts as a day.
/// @return 400: X-Request-Timeout is not a positive number. The others are passed over when they
/// are not.
wire::ApiResult<std::optional<ClientTimeout>> RequestTimeout(const http::Headers& headers);

}  // namespace inferq::api
