#pragma once

#include <optional>

#include "base/clock.h"
#include "http/message.h"
#include "wire/api_error.h"

namespace inferq::api {

/// How long the client waits: X-Request-Timeout, else what OpenAI's libraries say of themselves,
/// x-stainless-read-timeout; both in seconds. Longer than a day counts as a day.
/// @return 400: X-Request-Timeout is not a positive number. The other is passed over when it is
/// not.
wire::ApiResult<std::optional<base::Micros>> RequestTimeout(const http::Headers& headers);

}  // namespace inferq::api
