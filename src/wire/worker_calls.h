#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/task.h"
#include "wire/api_error.h"

namespace inferq::wire {

inline constexpr size_t kMaxWorkerTasks = 1000;  ///< Of one claim, completion, failure, …
inline constexpr size_t kMaxHeldTasks = 10'000;  ///< Of one heartbeat.
inline constexpr size_t kMaxWorkerBytes = 128;
inline constexpr size_t kMaxKindsPerClaim = 100;
inline constexpr size_t kMaxCheckpointBytes = 64u << 10;
inline constexpr size_t kMaxResultBytes = 1u << 20;

/// Names a claim, as its holder does in every later call about it.
struct HeldTask {
  model::TaskId id;
  model::Fence fence;
};

/// What a worker asks for.
struct WorkerClaim {
  std::string worker{};
  std::vector<std::string> kinds{};
  uint32_t max_tasks = 1;
  model::TokenCount token_budget = UINT64_MAX;
  base::Micros lease{30'000'000};
  base::Micros wait{0};  ///< For a first task.
};

struct WorkerRenewal {
  HeldTask task;
  std::optional<std::string> checkpoint{};
};
struct RenewCall {
  std::string worker{};
  base::Micros lease{30'000'000};
  std::vector<WorkerRenewal> tasks{};
};

/// A run of bytes in the call's text of results or errors.
struct Span {
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct WorkerCompletion {
  HeldTask task;
  Span result;
  model::TokenCount cost = 0;  ///< 0: as declared.
};
struct CompleteCall {
  std::string worker{};
  std::vector<WorkerCompletion> tasks{};
  std::string results{};  ///< The JSON of all results, one behind the other.
  std::optional<WorkerClaim> claim{};
};

struct WorkerFailure {
  HeldTask task;
  std::string message{};
  Span error;  ///< Its JSON, as clients will see it.
  bool retryable = true;
  bool crashed = false;
};
struct FailCall {
  std::string worker{};
  std::vector<WorkerFailure> tasks{};
  std::string errors{};  ///< The JSON of all, one behind the other.
};

struct ReleaseCall {
  std::string worker{};
  std::vector<HeldTask> tasks{};
};

/// How busy a worker says it is.
struct WorkerLoad {
  double cpu = 0;
  uint64_t memory_bytes = 0;
  uint64_t pending = 0;
};
struct HeartbeatCall {
  std::string worker{};
  std::string version{};
  std::optional<uint64_t> capacity{};
  std::optional<WorkerLoad> load{};
  base::Micros lease{30'000'000};
  std::vector<HeldTask> tasks{};
};

// Each reads the body of a call. 400: names the field. The same task twice in one call is one, too.

ApiResult<WorkerClaim> ParseClaim(std::string_view body);
ApiResult<RenewCall> ParseRenew(std::string_view body);
ApiResult<CompleteCall> ParseComplete(std::string_view body);
ApiResult<FailCall> ParseFail(std::string_view body);
ApiResult<ReleaseCall> ParseRelease(std::string_view body);
ApiResult<HeartbeatCall> ParseHeartbeat(std::string_view body);

}  // namespace inferq::wire
