#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "queue/local/local_queue.h"
#include "queue/queue.h"
#include "testing/sim_runtime.h"

namespace inferq::queue {

/// Where a queue keeps its rows: outlives the queues that are made on it, so that making another is
/// a restart.
class Store {
 public:
  virtual ~Store() = default;
  virtual std::unique_ptr<Queue> MakeQueue(runtime::Runtime& runtime,
                                           LocalQueueOptions options) = 0;
};

/// A kind of queue that the suite runs on.
struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Store>()> make_store;
};
void PrintTo(const Implementation& implementation, std::ostream* out);
/// All of them.
std::vector<Implementation> Implementations();

/// One queue under virtual time, with short ways to call it.
class QueueConformance : public ::testing::TestWithParam<Implementation> {
 protected:
  QueueConformance();
  ~QueueConformance() override;

  /// Closes, if open, and opens on the same store.
  void Restart();
  /// Opens on the same store without closing: what was not committed is lost.
  void Crash();
  /// Options for the queues opened from now on.
  LocalQueueOptions& options() { return options_; }
  Queue& queue() { return *queue_; }
  testing::SimRuntime& sim() { return sim_; }
  base::WallTime Now() const { return sim_.clock().Wall(); }

  static model::TaskSpec Spec(std::string lane = "m");
  static model::TaskSpec Keyed(std::string key, uint64_t hash = 1);
  base::Result<std::vector<model::TaskId>> TrySubmit(std::vector<model::TaskSpec> specs);
  std::vector<model::TaskId> SubmitAll(std::vector<model::TaskSpec> specs);
  model::TaskId Submit(model::TaskSpec spec);
  std::vector<model::TaskId> SubmitMany(size_t count);
  std::vector<ClaimedTask> Claim(uint32_t max = 1, std::vector<std::string> lanes = {"m"},
                                 base::Micros lease = std::chrono::seconds(30));
  /// Claims one task, which must be there.
  ClaimedTask ClaimOne(std::string lane = "m");
  /// Claims and starts one.
  ClaimedTask RunOne(std::string lane = "m");
  base::Result<> Start(const ClaimedTask& task);
  base::Result<> Complete(const ClaimedTask& task, model::Extent result = {});
  base::Result<> Fail(const ClaimedTask& task, bool retryable, bool crashed = false);
  base::Result<> Release(const ClaimedTask& task);
  base::Result<> Cancel(model::TaskId id);
  base::Result<> Requeue(model::TaskId id);
  RenewalReply Renew(const ClaimedTask& task, std::optional<std::string> checkpoint = std::nullopt);
  model::TaskRecord Get(model::TaskId id);
  model::State StateOf(model::TaskId id) { return Get(id).state; }
  std::vector<model::TaskRecord> Query(QueryRequest request);
  uint64_t Count(model::State state, const TaskFilter& filter = {});
  static TaskRef Ref(const ClaimedTask& task) { return {task.id, task.fence}; }
  template <class T>
  static std::vector<T> One(T value) {
    std::vector<T> values;
    values.push_back(std::move(value));
    return values;
  }

 private:
  void Open();

  testing::SimRuntime sim_;
  std::unique_ptr<Store> store_;
  LocalQueueOptions options_;
  std::unique_ptr<Queue> queue_;
};

MATCHER_P(FailsWith, code, std::string("fails with ") + std::string(base::CodeName(code))) {
  if (arg.has_value()) return false;
  *result_listener << arg.error().ToString();
  return arg.error().code() == code;
}
MATCHER(Succeeds, "") {
  if (!arg.has_value()) *result_listener << arg.error().ToString();
  return arg.has_value();
}

}  // namespace inferq::queue
