#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/task.h"
#include "wire/worker_calls.h"

namespace inferq::wire {

/// A task that a worker has claimed, with what it takes to do it.
struct ClaimedItem {
  model::TaskId id;
  model::Fence fence;
  std::string_view kind;
  uint32_t attempt = 1;
  bool alone = false;
  std::string_view payload;     ///< JSON.
  std::string_view checkpoint;  ///< "" is none.
  std::optional<base::WallTime> deadline;
  std::optional<base::WallTime> expires_at;
  std::string_view traceparent;
};
void AppendClaimed(std::string& out, const ClaimedItem& item);

/// What became of a task whose lease was renewed.
enum class HeldState : uint8_t { kHeld, kCancelled, kLost };
/// `{"tasks":[{"id","state"},…]}`
std::string RenewedJson(const std::vector<std::pair<model::TaskId, HeldState>>& tasks);

/// `{"tasks":[{"id","ok"},…]` without the closing bracket: more may follow.
std::string SettledJson(const std::vector<model::TaskId>& ids,
                        const std::vector<base::Result<>>& outcomes);

/// A worker that was heard of lately.
struct WorkerObject {
  std::string worker{};
  std::string version{};
  std::optional<uint64_t> capacity{};
  std::optional<WorkerLoad> load{};
  uint64_t leases = 0;
  base::WallTime last_seen{};
};
/// `{"object":"list","data":[…]}`
std::string WorkersJson(const std::vector<WorkerObject>& workers);

}  // namespace inferq::wire
