#pragma once

#include <string>

#include "api/call.h"

namespace inferq::api {

/// The object "batch", with what inferq tells beyond OpenAI's fields.
std::string BatchViewJson(const service::BatchView& view, base::WallTime now);
/// Answers with it; the header ETag is its version.
Awaitable<void> SendBatch(Call& call, service::BatchView view);

}  // namespace inferq::api
