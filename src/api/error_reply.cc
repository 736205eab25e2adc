#include "api/error_reply.h"

#include <algorithm>

namespace inferq::api {

using wire::ApiError;

namespace {

constexpr int64_t kMostRetrySeconds = 60;  // OpenAI's libraries pass longer ones over

std::string RetryAfterSeconds(std::chrono::milliseconds wait) {
  int64_t seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  return std::to_string(std::clamp<int64_t>(seconds, 1, kMostRetrySeconds));
}

/// The start of a path, for messages.
std::string_view Shown(std::string_view path) {
  constexpr size_t kMost = 200;
  return path.substr(0, kMost);
}

}  // namespace

runtime::Awaitable<void> SendError(http::Exchange& exchange, ApiError error) {
  http::Headers headers{{"content-type", "application/json"}};
  if (error.status == 429 || error.status == 503) {
    headers.push_back({"retry-after", RetryAfterSeconds(error.retry_after)});
  }
  if (error.permanent) headers.push_back({"x-should-retry", "false"});
  if (error.status == 401) headers.push_back({"www-authenticate", "Bearer"});
  std::string body = wire::ErrorEnvelope(error);
  (void)co_await exchange.Send(error.status, std::move(headers), std::move(body));
}

ApiError UnknownPath(std::string_view method, std::string_view path) {
  return base::Error(base::Code::kNotFound,
                     fmt::format("Invalid URL ({} {})", method, Shown(path)));
}

ApiError WrongMethod(std::string_view method, std::string_view path, std::string_view allow) {
  ApiError error = wire::BadRequest(
      fmt::format("Not allowed to {} on {}; allowed are: {}.", method, Shown(path), allow), "",
      "method_not_supported");
  error.status = 405;
  return error;
}

std::string ServerErrorBody(int status, std::string_view message) {
  ApiError error;
  error.status = status;
  error.message = message;
  error.type = status < 500 ? "invalid_request_error" : "server_error";
  return wire::ErrorEnvelope(error);
}

}  // namespace inferq::api
