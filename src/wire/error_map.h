#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace inferq::wire {

/// How a failure looks to an HTTP client.
struct HttpError {
  int status;
  std::string_view type;  ///< OpenAI's, for example "invalid_request_error".
  std::string_view code;  ///< OpenAI's or ours; "" is written as null.
};

/// The one table from codes to HTTP (errors on the way in: CodeOfStatus).
HttpError ToHttp(base::Code code);

/// What the answer of another server means for the caller. Not for statuses below 300: those are
/// kInternal. 408, 425 and all 5xx but 501 are kUnavailable: the same request may succeed there, or
/// elsewhere.
base::Code CodeOfStatus(int status);

/// `{"error":{"message","type","param","code"}}`
/// @param code  a more exact OpenAI code than the table's, for example "invalid_value".
std::string ErrorEnvelope(const base::Error& error, std::string_view code = {});

/// The failure that another server's answer stands for: its message where the body has one
/// (OpenAI's envelope, vLLM's flat one, FastAPI's `detail`), else the start of the body.
base::Error RemoteError(int status, std::string_view body);

}  // namespace inferq::wire
