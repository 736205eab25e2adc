#pragma once

#include <string>

#include "base/error.h"
#include "wire/json.h"

namespace inferq::wire {

/// The conversation of a request of /v1/responses as the `messages` of a chat, JSON.
/// @param instructions  JSON string that goes first; "" is none.
/// @param input  a string, or an array of messages, calls of functions and what these gave.
/// @return kInvalidArgument, param "body.input[2].role".
base::Result<std::string> ChatMessages(const std::string& instructions, JsonValue input);

}  // namespace inferq::wire
