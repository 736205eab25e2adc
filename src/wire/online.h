#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/api_error.h"
#include "wire/chat.h"

namespace inferq::wire {

/// What must be known of an online request before it is handed on. The rest of the body is for the
/// engine to judge: backends know fields that we do not.
struct OnlineHead {
  std::string model;
  bool stream = false;
  bool include_usage = false;        ///< stream_options.include_usage.
  std::vector<std::string> ignored;  ///< Fields present that local models accept without effect.
};

/// Checks that the body is a JSON object and walks its members once: `model` may stand behind
/// megabytes of messages. Errors are in OpenAI's words.
ApiResult<OnlineHead> ReadOnlineHead(std::string_view body, Endpoint endpoint);

}  // namespace inferq::wire
