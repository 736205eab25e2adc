#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
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
  base::SteadyTime started{};  ///< Once running.
  base::Micros ttl{0};         ///< What the last claim or renewal gave.
  bool external = false;       ///< Held by another process: outlives a restart.
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
  OptionalTime ended;  ///< Once terminal.
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
  /// A line of a batch (LineBatch): a task only from shortly before its turn to its end.
  bool is_line = false;
  bool has_row = true;     ///< A line has rows of its own only while they say more than the file.
  bool edited = false;     ///< A line that a client changed.
  bool in_window = false;  ///< A line that waits for its first claim.
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

/// All tasks of one shard by id, in pages of neighbours: finding one is a look-up, references stay
/// valid, and what is gone takes no room. Apart from them the ephemeral ones, which come and go.
class TaskTable {
 public:
  explicit TaskTable(uint16_t shard) : shard_(shard) {}

  /// Adds the task with the next id.
  Task& Append();
  /// Keeps the next `count` ids for lines. @return the first.
  model::TaskId Reserve(uint64_t count);
  /// Adds a task with a reserved id, which must not be there.
  Task& Insert(model::TaskId id);
  /// Adds a stored one; ids rise. False: it is not behind the last one, or of another shard.
  bool Restore(Task task);
  void Erase(model::TaskId id);
  /// Adds an ephemeral task.
  Task& AppendEphemeral();
  /// Frees an ephemeral task.
  void Forget(model::TaskId id) { ephemeral_.erase(id); }
  /// Ephemeral ids begin behind this one.
  void StartEphemeralAfter(uint64_t sequence) { last_ephemeral_ = sequence; }
  /// nullptr: none.
  Task* Find(model::TaskId id);
  const Task* Find(model::TaskId id) const;
  /// The smallest id in [first, last] that may have a task, at the cost of a look-up for each page
  /// without one; 0: none.
  model::TaskId NextFrom(model::TaskId first, model::TaskId last) const;

  /// Calls fn(Task&) for each of `first` to `last`, in order of id. `fn` may erase that task.
  template <class Fn>
  void ForRange(model::TaskId first, model::TaskId last, Fn fn) {
    for (TaskId id = NextFrom(first, last); id; id = NextFrom(TaskId{id.value + 1}, last)) {
      fn(*Find(id));
      if (id == last) return;
    }
  }
  /// The same for each that is not ephemeral.
  template <class Fn>
  void ForEach(Fn fn) {
    ForRange(model::MakeTaskId(shard_, 1), model::MakeTaskId(shard_, last_), std::move(fn));
  }

  uint64_t last_sequence() const { return last_; }
  /// No id up to this one is given out again.
  void SkipTo(uint64_t last_sequence) { last_ = std::max(last_, last_sequence); }
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
  using TaskId = model::TaskId;
  static constexpr uint64_t kPage = 256;
  struct Page {
    std::array<std::unique_ptr<Task>, kPage> tasks;
    size_t count = 0;
  };

  uint16_t shard_;
  std::unordered_map<uint64_t, Page> pages_;  // by sequence / kPage
  uint64_t last_ = 0;                         // newest sequence given out
  size_t count_ = 0;
  std::unordered_map<model::TaskId, Task> ephemeral_;
  uint64_t last_ephemeral_ = 0;
  Names names_;
};

}  // namespace inferq::queue
