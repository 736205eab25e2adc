#pragma once

#include "base/check.h"
#include "wire/api_error.h"
#include "wire/json.h"

namespace inferq::fuzz {

/// What holds of every refusal of a client's words: it blames the client, says why, and can be
/// written.
inline void CheckRefusal(const wire::ApiError& error) {
  INFERQ_CHECK(error.status >= 400 && error.status < 500);
  INFERQ_CHECK(!error.message.empty());
  std::string envelope = wire::ErrorEnvelope(error);
  INFERQ_CHECK(wire::ParseJson(envelope).has_value());
}

}  // namespace inferq::fuzz
