#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/task.h"
#include "queue/local/names.h"
#include "queue/queue.h"

namespace inferq::queue {

/// A set of ids that mostly come in runs (the lines of a batch).
class IdRanges {
 public:
  /// Ids rise.
  void Append(model::TaskId id);
  /// The smallest id above `after`.
  std::optional<model::TaskId> Next(model::TaskId after) const;

 private:
  std::vector<std::pair<uint64_t, uint64_t>> ranges_;  // first, last
};

/// The tasks of one batch, of one tenant, or all.
struct TaskGroup {
  IdRanges ids;
  /// finish_sequences in order; those of tasks that were requeued since are stale.
  std::vector<uint64_t> finished;
  QueueStats stats;
};

/// Where to look for the tasks of a filter, and how many there are in which state.
class TaskIndex {
 public:
  void Add(model::TaskId id, NameId tenant, model::BatchId batch);
  void AddFinish(uint64_t sequence, model::TaskId id, NameId tenant, model::BatchId batch);
  /// A state left or entered; nullopt: the task is new.
  void Count(NameId tenant, model::BatchId batch, std::optional<model::State> from,
             model::State to);
  void CountAttempt(NameId tenant, model::BatchId batch);

  /// The smallest group that holds all tasks of tenant and batch; nullptr: there are none.
  const TaskGroup* Find(std::optional<NameId> tenant, std::optional<model::BatchId> batch) const;
  const TaskGroup& all() const { return all_; }
  /// The tenant of a batch's tasks; nullopt: no such batch.
  std::optional<NameId> TenantOf(model::BatchId batch) const;
  /// The task that ended as number `sequence`; 0: none.
  model::TaskId FinishedAt(uint64_t sequence) const;

 private:
  struct Batch {
    NameId tenant = 0;
    TaskGroup group;
  };
  template <class Fn>
  void ForGroups(NameId tenant, model::BatchId batch, Fn fn);

  TaskGroup all_;
  std::unordered_map<NameId, TaskGroup> tenants_;
  std::unordered_map<model::BatchId, Batch> batches_;
  std::deque<model::TaskId> finish_log_;  // [sequence - 1]
};

}  // namespace inferq::queue
