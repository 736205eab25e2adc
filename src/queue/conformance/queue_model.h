#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "queue/queue.h"
#include "sched/scheduler.h"

namespace inferq::queue {

/// The queue's rules in their plainest form: no journal, no indices, everything by looking at all.
/// What a queue answers and shows must be what this says. One tenant; retries without jitter.
///
/// `now` is civil time; it must not jump.
class QueueModel {
 public:
  struct Rules {
    sched::OrderPolicy order;
    int boost_per_child = 10;
    base::Micros first_backoff{1'000'000};
  };
  struct Task {
    model::TaskSpec spec;  // parents by id
    model::State state = model::State::kBlocked;
    model::Version version = 1;
    model::Generation generation = 0;
    model::Fence fence;
    uint32_t attempts = 0;
    uint32_t crashes = 0;
    bool suspect = false;
    bool waits_for_parents = false;
    base::WallTime eligible;
    std::optional<base::WallTime> retry_at;
    base::WallTime lease_ends;
    uint64_t finish = 0;
    uint64_t result = 0;
  };
  using Tasks = std::map<model::TaskId, Task>;
  using Code = std::optional<base::Code>;  // unset: accepted

  QueueModel(Rules rules, base::WallTime now) : rules_(rules), now_(now) {}

  const Tasks& tasks() const { return tasks_; }

  /// What Submit must answer, if the new tasks get the ids from `next_id` on.
  std::pair<Code, std::vector<model::TaskId>> Submit(std::vector<model::TaskSpec> specs,
                                                     model::TaskId next_id);
  /// The tasks that a claim must give, in order.
  std::vector<model::TaskId> Pick(const std::set<std::string>& lanes, uint32_t most);
  void Lease(model::TaskId id, model::Fence fence, base::Micros lease);
  Code Start(const TaskRef& task);
  RenewalReply Renew(const TaskRef& task, base::Micros lease);
  Code Complete(const TaskRef& task, uint64_t result);
  Code Fail(const TaskRef& task, bool retryable, bool crashed);
  Code Release(const TaskRef& task);
  Code Cancel(model::TaskId id);
  Code Requeue(model::TaskId id);
  Code Edit(model::TaskId id, std::optional<model::Version> if_version, int priority);
  /// Time passes.
  void Advance(base::WallTime to);
  /// The process ends in order and another begins.
  void Restart();

 private:
  Task* Find(model::TaskId id);
  Task* Holding(const TaskRef& task);
  void Move(Task& task, model::State to);
  void End(model::TaskId id, model::State to);
  void EndOne(Task& task, model::State to);
  void EndChildren(model::TaskId id);
  void LetGo(Task& task);
  void WaitForParents(Task& task);
  bool Live(model::TaskId id) { return !IsTerminal(tasks_.at(id).state); }
  size_t Unfinished(const Task& task);
  bool Forbids(const Task& child, const Task& parent) const;
  bool AnyForbids(const Task& child);
  int BoostOf(model::TaskId id);
  sched::Key KeyOf(model::TaskId id);
  static std::optional<base::WallTime> WakeTime(const Task& task);
  std::optional<base::WallTime> NextEvent();
  void ExpireLeases();
  void ExpireTasks();
  void WakeBlocked();

  Rules rules_;
  base::WallTime now_;
  Tasks tasks_;
  std::map<std::string, model::TaskId> keys_;
  uint64_t endings_ = 0;
};

}  // namespace inferq::queue
