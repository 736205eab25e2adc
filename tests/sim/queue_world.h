#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "logged_queue.h"
#include "queue/local/local_queue.h"
#include "testing/history.h"
#include "testing/sim_disk.h"
#include "testing/sim_runtime.h"
#include "testing/sim_vfs.h"

namespace inferq::queue {

struct QueueWorldOptions {
  uint64_t seed = 1;
  base::Micros blocking_delay{0};  ///< Of the disk, at most.
  LocalQueueOptions queue;
};

/// A disk, and one process after another with a queue on it: the ground that simulations of the
/// queue stand on. Everything is in the history.
///
/// Order: Open -> (calls over queue()) -> Kill or Drain -> Open ... Calls that are under way when a
/// process dies end, unanswered or refused, before the next one opens.
class QueueWorld {
 public:
  explicit QueueWorld(QueueWorldOptions options);
  ~QueueWorld();
  QueueWorld(const QueueWorld&) = delete;
  QueueWorld& operator=(const QueueWorld&) = delete;

  testing::SimRuntime& sim() { return sim_; }
  testing::SimDisk& disk() { return disk_; }
  testing::History& history() { return history_; }
  /// The queue of the process that serves now; nullptr: none does.
  LoggedQueue* queue() { return serving_ ? logged_.get() : nullptr; }
  bool healthy() const { return serving_ && queue_->healthy(); }

  /// Starts a process. @return false when it could not recover (the disk failed again).
  Awaitable<bool> Open();
  /// Kills the process, and the power may go with it.
  Awaitable<void> Kill(testing::CrashMode mode);
  /// Ends it in order.
  Awaitable<void> Drain();

  /// Runs a coroutine to its end.
  template <class T>
  T Do(Awaitable<T> coroutine) {
    return sim_.Run(std::move(coroutine));
  }
  /// What `inferq store check` finds in the store, while no process serves; "" when nothing.
  std::string CheckStore();
  /// Every breach of a promise, with what happened to the tasks named; "" when there is none.
  std::string Check(const testing::HistoryRules& rules);

 private:
  Awaitable<void> Drop();

  testing::SimDisk disk_;
  testing::SimVfs vfs_;
  testing::SimRuntime sim_;
  testing::History history_;
  base::Rng rng_;
  LocalQueueOptions options_;
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<LoggedQueue> logged_;
  bool serving_ = false;
};

/// Seeds to run: INFERQ_SIM_SEED=s is that one, INFERQ_SIM_SEEDS=n is 1..n, else 1..`usual`.
std::vector<uint64_t> SimSeeds(uint64_t usual);

}  // namespace inferq::queue
