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
  void Append(model::TaskId first, model::TaskId last);
  /// The smallest id above `after`.
  std::optional<model::TaskId> Next(model::TaskId after) const;

 private:
  std::vector<std::pair<uint64_t, uint64_t>> ranges_;  // first, last
};

/// How a task of its own ended as number `sequence`; stale when it was requeued or dropped since.
struct Finish {
  uint64_t sequence = 0;
  model::TaskId id;
};

/// The tasks of one batch, of one tenant, or all. Lines of batches are in `ids` and `stats`.
struct TaskGroup {
  IdRanges ids;
  std::deque<Finish> finished;  ///< In order.
  QueueStats stats;
};

/// Where to look for the tasks of a filter, and how many there are in which state.
class TaskIndex {
 public:
  /// Tasks with these ids, which rise from call to call.
  void Add(model::TaskId first, model::TaskId last, NameId tenant, model::BatchId batch);
  void AddFinish(uint64_t sequence, model::TaskId id, NameId tenant, model::BatchId batch);
  /// `count` tasks left a state (nullopt: they are new) and entered one (nullopt: they are gone).
  void Count(NameId tenant, model::BatchId batch, std::optional<model::State> from,
             std::optional<model::State> to, uint64_t count = 1);
  void CountAttempt(NameId tenant, model::BatchId batch);

  /// The smallest group that holds all tasks of tenant and batch; nullptr: there are none.
  const TaskGroup* Find(std::optional<NameId> tenant, std::optional<model::BatchId> batch) const;
  const TaskGroup& all() const { return all_; }
  /// The tenant of a batch's tasks; nullopt: no such batch.
  std::optional<NameId> TenantOf(model::BatchId batch) const;
  void DropBatch(model::BatchId batch) { batches_.erase(batch); }
  /// Drops stale endings from the front of the tenant's and the batch's lists and of all.
  template <class IsStale>
  void DropStale(NameId tenant, model::BatchId batch, IsStale stale) {
    ForGroups(tenant, batch, [&stale](TaskGroup& group) {
      while (!group.finished.empty() && stale(group.finished.front())) group.finished.pop_front();
    });
  }

 private:
  struct Batch {
    NameId tenant = 0;
    TaskGroup group;
  };
  template <class Fn>
  void ForGroups(NameId tenant, model::BatchId batch, Fn fn) {
    fn(all_);
    fn(tenants_[tenant]);
    if (batch) fn(batches_[batch].group);
  }

  TaskGroup all_;
  std::unordered_map<NameId, TaskGroup> tenants_;
  std::unordered_map<model::BatchId, Batch> batches_;
};

}  // namespace inferq::queue
