#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/task.h"
#include "queue/local/journal.h"
#include "queue/local/names.h"
#include "queue/queue.h"

namespace inferq::queue {

/// An optional point in time in eight bytes.
class OptionalTime {
 public:
  OptionalTime() = default;
  OptionalTime(std::optional<base::WallTime> time) : time_(time.value_or(kNone)) {}
  OptionalTime(base::WallTime time) : time_(time) {}
  explicit operator bool() const { return time_ != kNone; }
  base::WallTime operator*() const { return time_; }
  operator std::optional<base::WallTime>() const {
    return *this ? std::optional(time_) : std::nullopt;
  }

 private:
  static constexpr base::WallTime kNone = base::WallTime::max();
  base::WallTime time_ = kNone;
};

/// Fields that most tasks do not have.
struct TaskExtra {
  std::string idempotency_key;
  std::string traceparent;
  std::string checkpoint;
  std::string message;  ///< Of the outcome.
  std::vector<model::TaskId> parents;
  OptionalTime not_before;
  OptionalTime retry_at;
  uint32_t unfinished_parents = 0;  ///< Known while the task waits for parents.
  model::ParentPolicy parent_policy = model::ParentPolicy::kAllSucceeded;
};

/// A lease, while there is one.
struct ActiveLease {
  std::string worker;
  base::SteadyTime expires;
  base::SteadyTime started;  ///< Once running.
};

/// Which of a task's rows differ from the disk.
enum DirtyBits : uint8_t { kDirtySpec = 1, kDirtyState = 2, kDirtyCheckpoint = 4 };

/// A task in memory: TaskRecord in about 270 bytes.
struct Task {
  model::TaskId id;
  model::BatchId batch;
  uint64_t line = 0;
  uint64_t content_hash = 0;
  model::Extent payload;
  model::Extent result;
  model::TokenCount cost = 1;
  model::LocalityKey locality{};
  model::Version version = 1;
  model::Fence fence;
  base::WallTime submitted;
  base::WallTime eligible;
  OptionalTime deadline;
  OptionalTime expires_at;
  uint64_t finish_sequence = 0;
  /// Number of the commit that makes the newest acknowledged change durable; what is shown waits
  /// for it.
  uint64_t change = 0;
  NameId tenant = 0;
  NameId lane = 0;
  uint32_t attempts = 0;
  uint32_t max_attempts = 1;
  uint32_t crashes = 0;
  model::Generation generation = 0;
  int16_t priority = 0;
  model::State state = model::State::kBlocked;
  base::Code code = base::Code::kInternal;
  bool suspect = false;
  bool interactive = false;
  uint8_t dirty = 0;
  std::unique_ptr<TaskExtra> extra;    ///< Null: all defaults.
  std::unique_ptr<ActiveLease> lease;  ///< Set exactly in kLeased and kRunning.

  bool ephemeral() const { return IsEphemeral(id); }
  TaskExtra& Extra() {
    if (!extra) extra = std::make_unique<TaskExtra>();
    return *extra;
  }
  /// When a blocked task without unfinished parents may go on; nullopt: nothing holds it.
  std::optional<base::WallTime> WakeTime() const;
  uint32_t UnfinishedParents() const { return extra ? extra->unfinished_parents : 0; }
};

/// All tasks of one shard by id, dense: finding one is an index, and references stay valid. Apart
/// from them, and without a place in that row, the ephemeral ones, which come and go.
class TaskTable {
 public:
  explicit TaskTable(uint16_t shard) : shard_(shard) {}

  /// Adds the task with the next id.
  Task& Append();
  /// Adds a stored one; ids rise. False: it is not behind the last one, or of another shard.
  bool Restore(Task task);
  /// Adds an ephemeral task.
  Task& AppendEphemeral();
  /// Frees an ephemeral task.
  void Forget(model::TaskId id) { ephemeral_.erase(id); }
  /// Ephemeral ids begin behind this one.
  void StartEphemeralAfter(uint64_t sequence) { last_ephemeral_ = sequence; }
  /// nullptr: none.
  Task* Find(model::TaskId id);
  const Task* Find(model::TaskId id) const;

  /// Calls fn(Task&) for each that is not ephemeral, in order of id.
  template <class Fn>
  void ForEach(Fn fn) {
    for (Task& task : tasks_) {
      if (task.id) fn(task);
    }
  }

  uint64_t last_sequence() const { return first_ + tasks_.size() - 1; }
  /// No id up to this one is given out again.
  void SkipTo(uint64_t last_sequence);
  /// Without ephemeral ones.
  size_t size() const { return count_; }
  uint16_t shard() const { return shard_; }
  Names& names() { return names_; }
  const Names& names() const { return names_; }

  /// From what a client asked for to what we keep.
  void Fill(Task& task, model::TaskSpec spec);
  /// From the disk's rows.
  Task FromRows(SpecRow spec, StateRow state, std::string checkpoint);
  model::TaskSpec SpecOf(const Task& task) const;
  StateRow StateOf(const Task& task) const;
  model::TaskRecord RecordOf(const Task& task) const;

 private:
  uint16_t shard_;
  uint64_t first_ = 1;      // sequence of tasks_[0]
  std::deque<Task> tasks_;  // id 0: a hole
  size_t count_ = 0;
  std::unordered_map<model::TaskId, Task> ephemeral_;
  uint64_t last_ephemeral_ = 0;
  Names names_;
};

}  // namespace inferq::queue
