#pragma once

#include <memory>

#include "http/server.h"
#include "runtime/net.h"
#include "runtime/runtime.h"

namespace inferq::http {

/// A real listening socket on the strand of `home`, which outlives it. Errors of Server::Listen.
base::Result<std::unique_ptr<runtime::Listener>> ListenTcp(runtime::Runtime& home,
                                                           const ListenOptions& options);

}  // namespace inferq::http
