#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"
#include "http/message.h"
#include "wire/json.h"

namespace inferq::engine {

/// What a server's answer to a request means. Pure. Of embeddings only the raw response is kept.
/// @param now  for a Retry-After that is a date.
base::Result<Delta> ReadAnswer(http::Response response, base::WallTime now,
                               Endpoint endpoint = Endpoint::kChatCompletions);

/// The failure that an answer stands for whose status is not 2xx.
base::Error AnswerError(const http::Response& response, base::WallTime now);

/// The failure that an event of a stream stands for which reports one. Its code tells what the
/// status of a plain answer would; kUnavailable where the server gives none.
base::Error EventError(wire::JsonValue event);

/// A server's word for why a choice ended; unknown ones are kStop. kUnavailable: the server gave up
/// in the middle ("abort", "error", "network_error").
base::Result<FinishReason> ReadFinishReason(std::string_view word);

/// OK where the answer can be read as it is: servers are not asked to compress.
base::Result<> CheckEncoding(const http::ResponseHead& head);

/// The beginning of what a server sent, for messages.
std::string Excerpt(std::string_view body);

}  // namespace inferq::engine
