#include "model/batch.h"

#include <array>
#include <cstddef>

namespace inferq::model {
namespace {

constexpr std::array<std::string_view, kBatchStatusCount> kNames = {
    "validating", "failed",  "in_progress", "finalizing",
    "completed",  "expired", "cancelling",  "cancelled"};

// Row: from. Column: to, in the order of the enum.
constexpr std::array<std::array<bool, kBatchStatusCount>, kBatchStatusCount> kMoves = {{
    // val  fail   prog   final  comp   exp    cing   canc
    {false, true, true, true, false, false, true, false},      // validating
    {false, false, false, false, false, false, false, false},  // failed
    {false, false, false, true, false, false, true, false},    // in_progress
    {false, false, false, false, true, true, false, false},    // finalizing
    {false, false, false, false, false, false, false, false},  // completed
    {false, false, false, false, false, false, false, false},  // expired
    {false, false, false, false, false, false, false, true},   // cancelling
    {false, false, false, false, false, false, false, false},  // cancelled
}};

}  // namespace

bool CanMove(BatchStatus from, BatchStatus to) {
  return kMoves[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

std::string_view BatchStatusName(BatchStatus status) { return kNames[static_cast<size_t>(status)]; }

std::optional<BatchStatus> ParseBatchStatus(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<BatchStatus>(i);
  }
  return std::nullopt;
}

std::optional<base::WallTime> EndedAt(const BatchRecord& batch) {
  switch (batch.status) {
    case BatchStatus::kFailed:
      return batch.failed_at;
    case BatchStatus::kCompleted:
      return batch.completed;
    case BatchStatus::kExpired:
      return batch.expired;
    case BatchStatus::kCancelled:
      return batch.cancelled;
    default:
      return std::nullopt;
  }
}

}  // namespace inferq::model
