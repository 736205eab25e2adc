#pragma once

#include <string>
#include <string_view>

#include "wire/api_error.h"

namespace inferq::wire {

inline constexpr size_t kMaxInlineRequests = 50'000;  ///< More need a file.

/// Requests that stand in a batch's creation itself, as the lines of an input file. Each is an
/// object like a line, where custom_id (else "request-N", N from 1), method (else POST) and url
/// (else `endpoint`) may be left out; all else goes through as written, and is checked with the
/// batch.
/// @param requests  the parameter `requests`: 1 to kMaxInlineRequests. Errors name its element.
ApiResult<std::string> InlineLines(JsonValue requests, std::string_view endpoint);

}  // namespace inferq::wire
