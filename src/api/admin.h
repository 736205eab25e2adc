#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "http/server.h"
#include "service/service.h"

namespace inferq::api {

/// What the admin listener tells operators, from any loop. Its calls must answer under overload,
/// so they must not wait for the service's strand.
struct AdminSources {
  std::function<service::Health()> health;
  std::function<std::string()> metrics;  ///< In the text format of Prometheus.
};

/// /healthz, /readyz and /metrics, for an address that only operators reach; without keys.
class Admin final : public http::Handler {
 public:
  explicit Admin(AdminSources sources) : sources_(std::move(sources)) {}

  runtime::Awaitable<void> Handle(http::Exchange& exchange) override;
  std::string ErrorBody(int status, std::string_view message) override;

 private:
  AdminSources sources_;
};

}  // namespace inferq::api
