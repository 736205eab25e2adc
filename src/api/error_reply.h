#pragma once

#include <string>
#include <string_view>

#include "http/server.h"
#include "wire/api_error.h"

namespace inferq::api {

/// Answers with the envelope and what a client's library goes by: retry-after, x-should-retry,
/// www-authenticate.
runtime::Awaitable<void> SendError(http::Exchange& exchange, wire::ApiError error);

/// 404 "Invalid URL (GET /v2)".
wire::ApiError UnknownPath(std::string_view method, std::string_view path);
/// 405; the caller adds `allow`.
wire::ApiError WrongMethod(std::string_view method, std::string_view path, std::string_view allow);

/// The envelope for an answer that the server gives by itself.
std::string ServerErrorBody(int status, std::string_view message);

}  // namespace inferq::api
