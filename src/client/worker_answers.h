#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace inferq::client {

/// What the answers of /workers/claim and /workers/complete say. Views into the answer's text,
/// which must outlive them: a worker sends ids and fences back as they came.
struct ClaimedTask {
  std::string_view id;
  std::string_view fence;    ///< Decimal, without quotes.
  std::string_view payload;  ///< JSON.
};

struct CompleteAnswer {
  uint64_t done = 0;                 ///< Tasks whose end was accepted.
  uint64_t refused = 0;              ///< The others: lost, cancelled, unknown.
  std::string_view first_refusal{};  ///< Its "error", JSON.
  std::vector<ClaimedTask> claimed{};
};

/// Reads `{"tasks":[{"id","fence","payload",…}]}`. kUnavailable: it is none.
base::Result<std::vector<ClaimedTask>> ParseClaimAnswer(std::string_view json);
/// Reads `{"tasks":[{"id","ok","error"?}],"claimed":[… as a claim's]}`. kUnavailable: it is none.
base::Result<CompleteAnswer> ParseCompleteAnswer(std::string_view json);

}  // namespace inferq::client
