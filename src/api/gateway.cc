#include "api/gateway.h"

#include "api/error_reply.h"
#include "api/health.h"
#include "api/place.h"
#include "api/routes.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

/// "00-<32 digits>-…" (W3C Trace Context).
std::string TraceIdOf(std::string_view traceparent) {
  constexpr size_t kBegin = 3;
  constexpr size_t kDigits = 32;
  if (traceparent.size() < kBegin + kDigits) return {};
  return std::string(traceparent.substr(kBegin, kDigits));
}

}  // namespace

std::string Gateway::ErrorBody(int status, std::string_view message) {
  return ServerErrorBody(status, message);
}

std::string Gateway::Traceparent(const http::Headers& headers) const {
  auto header = http::FindHeader(headers, "traceparent");
  auto given = header ? std::optional<std::string>(*header) : std::nullopt;
  return options_.trace ? options_.trace(std::move(given)) : given.value_or("");
}

runtime::Awaitable<void> Gateway::Handle(http::Exchange& inner) {
  MeteredExchange exchange(inner);
  AccessRecord record;
  record.request_id = ids_.Of(inner.request().headers);
  exchange.AddHeader("x-request-id", record.request_id);
  auto outcome = co_await Serve(exchange, record);
  if (!outcome && exchange.began()) exchange.Abort();
  if (!outcome && !exchange.began()) co_await SendError(exchange, outcome.error());
  if (options_.observe) Observe(exchange, std::move(record));
}

runtime::Awaitable<ApiResult<>> Gateway::Serve(MeteredExchange& exchange, AccessRecord& record) {
  const http::RequestHead& request = exchange.request();
  bool reads = request.method == "GET" || request.method == "HEAD";
  if (reads && request.path == "/healthz") {
    record.route = "/healthz";
    co_await SendAlive(exchange);
    co_return ApiResult<>();
  }
  if (reads && request.path == "/readyz") {
    record.route = "/readyz";
    co_await SendReady(exchange, use_cases_.health());
    co_return ApiResult<>();
  }
  co_return co_await ServeApi(exchange, record);
}

runtime::Awaitable<ApiResult<>> Gateway::ServeApi(MeteredExchange& exchange, AccessRecord& record) {
  const http::RequestHead& request = exchange.request();
  INFERQ_CO_ASSIGN(Place place, ParsePlace(request.path));
  RouteMatch match = FindRoute(Routes(), request.method, place.path);
  if (!match.route && match.allow.empty()) {
    co_return std::unexpected(UnknownPath(request.method, request.path));
  }
  if (!match.route) {
    exchange.AddHeader("allow", match.allow);
    co_return std::unexpected(WrongMethod(request.method, request.path, match.allow));
  }
  record.route = match.route->pattern;
  INFERQ_CO_ASSIGN(Asker asker, Authenticate(options_.keys, request.headers, place.tenant));
  record.tenant = std::move(asker.tenant);
  service::Caller caller{.tenant = record.tenant,
                         .request_id = record.request_id,
                         .traceparent = Traceparent(request.headers)};
  record.trace_id = TraceIdOf(caller.traceparent);
  Call call{.exchange = exchange,
            .use_cases = use_cases_,
            .options = options_,
            .ids = ids_,
            .caller = std::move(caller),
            .id = std::move(match.id),
            .tenant_named = asker.named};
  if (match.route->body_limit) call.body_limit = options_.limits.*match.route->body_limit;
  auto outcome = co_await match.route->handle(call);
  record.tenant = std::move(call.caller.tenant);  // the body may name it
  co_return outcome;
}

void Gateway::Observe(const MeteredExchange& exchange, AccessRecord record) const {
  record.method = exchange.request().method;
  record.peer = exchange.request().peer;
  record.status = exchange.status();
  record.bytes_received = exchange.bytes_received();
  record.bytes_sent = exchange.bytes_sent();
  record.duration = exchange.elapsed();
  options_.observe(record);
}

}  // namespace inferq::api
