#pragma once

#include "http/server.h"
#include "service/service.h"

namespace inferq::api {

/// `{"status":"ok"}`: the process answers.
runtime::Awaitable<void> SendAlive(http::Exchange& exchange);
/// 200 when new work is taken, else 503; `{"ready","reasons"}`.
runtime::Awaitable<void> SendReady(http::Exchange& exchange, service::Health health);

}  // namespace inferq::api
