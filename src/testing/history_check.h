#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "testing/history.h"

namespace inferq::testing {

/// What the queue says of itself after all calls are answered.
struct FinalState {
  std::vector<model::TaskRecord> records;
  std::array<uint64_t, model::kStateCount> by_state{};  ///< From Stats.
};

/// What the history was made under.
struct HistoryRules {
  bool all_ended = true;       ///< Everything has had the time to end.
  uint32_t crashes_alone = 3;  ///< As many, and the task is a dead letter.
  base::Micros idempotency_ttl = std::chrono::hours(24);
  std::map<std::string, uint32_t> max_running;  ///< Tenants with a cap.
  /// Longest allowed wait from being eligible to a claim; unset: not checked.
  std::optional<base::Micros> max_wait;
  /// Of the order; 0: not checked. Requires a prefix window of 0, and fences that rise in the order
  /// of the picks over all tasks, as those of the embedded queue do.
  double aging_per_second = 0;
};

/// Reads a log and the state at its end, and says where they break a promise: I1 nothing
/// acknowledged is lost; I2 one live lease, rising fences; I3 one ending, one result; I4 one task
/// for each key; I5 attempts and crashes within their limits, and no attempt burned for a release
/// or a crash; I6 parents first; I7 counts agree, caps hold; I8 bounded wait; I9 order among plain
/// tasks of one tenant and lane; I10 nothing is given out while closing; I11 what is cancelled
/// stays so.
///
/// It judges only what the log makes certain: a call without an answer, or one answered with
/// "unavailable" or "resource exhausted", may have taken effect or not.
/// @return one sentence for each breach, beginning with the name of the invariant.
std::vector<std::string> CheckHistory(const History& history, const FinalState& final_state,
                                      const HistoryRules& rules = {});

}  // namespace inferq::testing
