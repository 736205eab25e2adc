#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/batch.h"
#include "wire/api_error.h"

namespace inferq::wire {

// What inferq lets clients do with batches, and tells of them, beyond OpenAI's API.

/// The body of a batch's edit: what is not set stays.
struct BatchPatch {
  std::optional<int> priority{};
  std::optional<std::optional<base::WallTime>> deadline{};  ///< Set to nullopt: none any more.
  std::optional<std::vector<std::pair<std::string, std::string>>> metadata{};
};
/// Errors name the field; nothing to change is one.
ApiResult<BatchPatch> ParseBatchPatch(std::string_view body);

/// When a batch will have ended, and what that was made of.
struct BatchEstimate {
  base::Micros p50{0};
  base::Micros p90{0};
  base::WallTime finish_at;  ///< By p50.
  uint64_t ended_lines = 0;
  base::Micros window{0};
  double tokens_per_second = 0;
};
/// `"paused":false,"priority":0,"deadline":null,"retry_of":null,"retried_by":null,"estimate":null`
std::string BatchExtension(const model::BatchRecord& batch,
                           const std::optional<BatchEstimate>& estimate);

}  // namespace inferq::wire
