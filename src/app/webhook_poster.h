#pragma once

#include <memory>

#include "http/client.h"
#include "http/egress.h"
#include "runtime/runtime.h"
#include "service/webhook_types.h"

namespace inferq::app {

/// Posts what webhooks are told. One request a connection, which is closed behind the head of the
/// answer: nothing of an endpoint's body is read. On one strand; outlives its calls.
class WebhookPoster {
 public:
  /// @param egress  of the addresses that are connected to.
  static base::Result<std::unique_ptr<WebhookPoster>> Make(runtime::Runtime& runtime,
                                                           http::Egress egress);

  runtime::Awaitable<base::Result<int>> Post(service::WebhookCall call);

 private:
  WebhookPoster(runtime::Runtime& runtime, std::unique_ptr<runtime::Dialer> dialer)
      : dialer_(std::move(dialer)), client_(runtime, *dialer_) {}

  std::unique_ptr<runtime::Dialer> dialer_;
  http::Client client_;
};

}  // namespace inferq::app
