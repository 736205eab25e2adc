#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/strong_id.h"

namespace inferq::model {

/// A task's id: shard (16 bits) and sequence (48 bits), so ids sort in submission order within a
/// shard. Opaque text outside ("task_" and 16 hex digits). 0 is no task.
struct TaskIdTag {};
using TaskId = base::StrongId<TaskIdTag>;

/// A batch's id, made like a TaskId. 0: the task stands alone.
struct BatchIdTag {};
using BatchId = base::StrongId<BatchIdTag>;

/// Proof of being the newest claimer: rises with every claim of a task, so a stale worker's write
/// fails. Store incarnation (32 bits, raised at every open) and a counter (32 bits); 0 is never
/// given out.
struct FenceTag {};
using Fence = base::StrongId<FenceTag>;

/// Rises with every change of a task that a client can see; the ETag. Lease renewals do not raise
/// it.
using Version = uint64_t;
/// 0 at submission; an operator's requeue raises it. Results of older generations stay readable
/// under it.
using Generation = uint32_t;

inline constexpr uint64_t kMaxSequence = (uint64_t{1} << 48) - 1;

constexpr TaskId MakeTaskId(uint16_t shard, uint64_t sequence) {
  return TaskId{(uint64_t{shard} << 48) | (sequence & kMaxSequence)};
}
constexpr uint16_t ShardOf(TaskId id) { return static_cast<uint16_t>(id.value >> 48); }
constexpr uint64_t SequenceOf(TaskId id) { return id.value & kMaxSequence; }
constexpr Fence MakeFence(uint32_t incarnation, uint32_t n) {
  return Fence{(uint64_t{incarnation} << 32) | n};
}

std::string ToString(TaskId id);
std::string ToString(BatchId id);
/// nullopt when the text is not one that ToString gives.
std::optional<TaskId> ParseTaskId(std::string_view text);
std::optional<BatchId> ParseBatchId(std::string_view text);

}  // namespace inferq::model
