#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "wire/json.h"

namespace inferq::wire {

/// A request of /v1/responses, as one for a chat completion.
struct ResponsesRequest {
  /// JSON object. Values stand in it as the client wrote them; fields that are not known here pass,
  /// for the engine to judge.
  std::string chat_body;
  /// What a response repeats of its request: the members of a JSON object, "\"a\":1,\"b\":2".
  std::string echo;
};

/// Reads a body: `input` (a text, or messages, calls and their outputs), `instructions`,
/// `max_output_tokens`, `text.format`, `tools` of functions and `tool_choice` get the form that
/// chats have. What needs a store or tools of the server's is refused.
/// @return kInvalidArgument, param "body.<field>" (or "body.input[2].content"), the message a
/// sentence.
base::Result<ResponsesRequest> ParseResponsesRequest(std::string_view body);

/// Whether the field is accepted without effect.
bool IsIgnoredResponsesField(std::string_view name);

/// The field of a response's request that an error of its chat completion is about, as a
/// parameter: "body.messages" is "body.input".
std::string ResponsesParam(std::string_view chat_param);

}  // namespace inferq::wire
