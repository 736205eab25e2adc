#include "api/health.h"

#include "wire/json.h"

namespace inferq::api {

namespace {

std::string ReadyJson(const service::Health& health) {
  std::string reasons;
  for (const std::string& reason : health.reasons) {
    if (!reasons.empty()) reasons += ',';
    wire::AppendJsonString(reasons, reason);
  }
  return fmt::format(R"({{"ready":{},"reasons":[{}]}})", health.ready, reasons);
}

http::Headers JsonHeaders() {
  return {{"content-type", "application/json"}, {"cache-control", "no-store"}};
}

}  // namespace

runtime::Awaitable<void> SendAlive(http::Exchange& exchange) {
  (void)co_await exchange.Send(200, JsonHeaders(), R"({"status":"ok"})");
}

runtime::Awaitable<void> SendReady(http::Exchange& exchange, service::Health health) {
  http::Headers headers = JsonHeaders();
  if (!health.ready) headers.push_back({"retry-after", "1"});
  std::string body = ReadyJson(health);
  (void)co_await exchange.Send(health.ready ? 200 : 503, std::move(headers), std::move(body));
}

}  // namespace inferq::api
