#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "queue/queue.h"
#include "runtime/event.h"
#include "runtime/runtime.h"
#include "service/dispatcher.h"
#include "service/service.h"

namespace inferq::service {

/// Requests that somebody waits for, as ephemeral tasks in the lanes of their models.
///
/// The queue knows a request by its number here (the payload's offset), which is given out before
/// the task exists. On the strand; all requests have ended before destruction (Stop).
class Online final : public TaskHandler {
 public:
  struct Options {
    size_t requests_max = 10'000;  ///< Waiting and running; more are told to come later.
    uint32_t max_attempts = 3;
  };
  Online(runtime::Runtime& runtime, queue::Queue& queue, Options options,
         std::function<void(const std::string& model)> wake);
  ~Online() override;

  Awaitable<base::Result<std::shared_ptr<Answer>>> Generate(Caller caller, OnlineRequest request);
  /// Ends the requests of a model that wait for an engine which cannot be had.
  void FailWaiting(const std::string& model, const base::Error& error);
  /// Ends all with `error`, and takes no more.
  Awaitable<void> Stop(base::Error error);
  size_t size() const { return jobs_.size(); }

  // TaskHandler, for tasks with spec.ephemeral.

  Awaitable<base::Result<Work>> Load(queue::ClaimedTask task) override;
  Awaitable<base::Result<engine::Delta>> Collect(queue::ClaimedTask task,
                                                 engine::Generation& generation) override;
  Awaitable<base::Result<model::Extent>> StoreAnswer(queue::ClaimedTask task, Work work,
                                                     engine::Delta answer) override;
  Awaitable<base::Result<model::Extent>> StoreError(queue::ClaimedTask task,
                                                    base::Error error) override;
  Awaitable<void> Settled(queue::ClaimedTask task, Attempt attempt) override;

 private:
  class Job;
  class JobAnswer;
  std::shared_ptr<Job> Find(const queue::ClaimedTask& task) const;
  enum class TaskIs : uint8_t { kLive, kOver };
  void Drop(uint64_t number, TaskIs task_is);
  Awaitable<void> CancelTask(model::TaskId id);

  runtime::Runtime& runtime_;
  queue::Queue& queue_;
  const Options options_;
  std::function<void(const std::string&)> wake_;
  std::unordered_map<uint64_t, std::shared_ptr<Job>> jobs_;  // by number
  uint64_t last_number_ = 0;
  std::optional<base::Error> stopped_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  runtime::Scope cancels_;
};

}  // namespace inferq::service
