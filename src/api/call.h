#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "api/options.h"
#include "api/request_ids.h"
#include "api/use_cases.h"
#include "http/server.h"
#include "wire/api_error.h"

namespace inferq::api {

/// A request on its way through a route. Lives as long as the route runs.
struct Call {
  http::Exchange& exchange;
  UseCases& use_cases;
  const GatewayOptions& options;
  RequestIds& ids;
  service::Caller caller;
  std::string id;             ///< What stands for {id} in the route's pattern.
  uint64_t body_limit = 0;    ///< Bytes.
  bool tenant_named = false;  ///< False: caller.tenant stands for nobody in particular.

  runtime::Runtime& here() { return exchange.runtime(); }
  const http::RequestHead& request() { return exchange.request(); }
};

/// What a route does. It answers by itself; a failure before that is answered by the gateway.
using RouteHandler = Awaitable<wire::ApiResult<>> (*)(Call& call);

/// The answer 200 with JSON. A client that is gone gets nothing.
inline Awaitable<void> SendJson(Call& call, std::string json) {
  http::Headers headers{{"content-type", "application/json"}};
  (void)co_await call.exchange.Send(200, std::move(headers), std::move(json));
}

/// What a failure of reading a body is to the client.
wire::ApiError BodyError(const base::Error& error, uint64_t limit);
/// What an edit failed for: another version is 412, as If-Match has it.
wire::ApiError EditError(const base::Error& error);

}  // namespace inferq::api
