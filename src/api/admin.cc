#include "api/admin.h"

#include "api/error_reply.h"
#include "api/health.h"

namespace inferq::api {

namespace {

runtime::Awaitable<void> SendMetrics(http::Exchange& exchange, std::string text) {
  http::Headers headers{{"content-type", "text/plain; version=0.0.4; charset=utf-8"}};
  (void)co_await exchange.Send(200, std::move(headers), std::move(text));
}

}  // namespace

std::string Admin::ErrorBody(int status, std::string_view message) {
  return ServerErrorBody(status, message);
}

runtime::Awaitable<void> Admin::Handle(http::Exchange& exchange) {
  const http::RequestHead& request = exchange.request();
  bool known =
      request.path == "/healthz" || request.path == "/readyz" || request.path == "/metrics";
  if (!known) co_return co_await SendError(exchange, UnknownPath(request.method, request.path));
  if (request.method != "GET" && request.method != "HEAD") {
    exchange.AddHeader("allow", "GET, HEAD");
    co_return co_await SendError(exchange, WrongMethod(request.method, request.path, "GET, HEAD"));
  }
  if (request.path == "/healthz") co_return co_await SendAlive(exchange);
  if (request.path == "/readyz") co_return co_await SendReady(exchange, sources_.health());
  co_await SendMetrics(exchange, sources_.metrics());
}

}  // namespace inferq::api
