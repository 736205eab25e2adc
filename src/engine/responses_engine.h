#pragma once

#include <memory>

#include "engine/engine.h"
#include "runtime/runtime.h"

namespace inferq::engine {

/// Another engine that knows chats, and with this before it /v1/responses, too: such a request goes
/// to it as a chat completion, and the answer comes back as a response: Delta::raw_response, or
/// with `stream` the events (JSON) as Delta::raw_chunks, none before the first text or call. Other
/// requests pass.
std::unique_ptr<Engine> MakeResponsesEngine(runtime::Runtime& runtime,
                                            std::unique_ptr<Engine> inner);

}  // namespace inferq::engine
