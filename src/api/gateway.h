#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/metered_exchange.h"
#include "api/options.h"
#include "api/request_ids.h"
#include "api/use_cases.h"
#include "http/server.h"

namespace inferq::api {

/// OpenAI's API over the service: finds the route, the tenant and the ids, and answers every
/// failure in the envelope. Paths work with and without /v1, and below /t/<tenant>/.
///
/// One for all loops: it has no state but the source of ids. `use_cases` outlives it.
class Gateway final : public http::Handler {
 public:
  Gateway(UseCases& use_cases, GatewayOptions options)
      : use_cases_(use_cases), options_(std::move(options)), ids_(options_.seed) {}

  runtime::Awaitable<void> Handle(http::Exchange& exchange) override;
  std::string ErrorBody(int status, std::string_view message) override;

 private:
  runtime::Awaitable<wire::ApiResult<>> Serve(MeteredExchange& exchange, AccessRecord& record);
  runtime::Awaitable<wire::ApiResult<>> ServeApi(MeteredExchange& exchange, AccessRecord& record);
  std::string Traceparent(const http::Headers& headers) const;
  void Observe(const MeteredExchange& exchange, AccessRecord record) const;

  UseCases& use_cases_;
  GatewayOptions options_;
  RequestIds ids_;
};

}  // namespace inferq::api
