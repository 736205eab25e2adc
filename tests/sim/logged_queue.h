#pragma once

#include <optional>
#include <vector>

#include "queue/queue.h"
#include "runtime/event.h"
#include "testing/history.h"
#include "testing/history_check.h"

namespace inferq::queue {

/// A queue whose every call and answer is written into a History, and that knows how many calls are
/// under way, so that its process can be killed when none is.
///
/// A claim of a task with parents looks at them at once, so that the log proves their states.
class LoggedQueue {
 public:
  LoggedQueue(Queue& queue, runtime::Runtime& runtime, testing::History& history)
      : queue_(queue), history_(history), idle_(runtime) {}

  Awaitable<base::Result<std::vector<model::TaskId>>> Submit(std::vector<model::TaskSpec> specs);
  Awaitable<base::Result<std::vector<ClaimedTask>>> Claim(ClaimRequest request);
  Awaitable<base::Result<>> Start(TaskRef task);
  Awaitable<RenewalReply> Renew(Renewal renewal);
  Awaitable<base::Result<>> Complete(Completion completion);
  Awaitable<base::Result<>> Fail(Failure failure);
  /// All in one call, as the supervisor of a dead worker does.
  Awaitable<std::vector<base::Result<>>> FailAll(std::vector<Failure> failures);
  Awaitable<base::Result<>> Release(TaskRef task);
  Awaitable<base::Result<>> Cancel(model::TaskId task);
  Awaitable<base::Result<>> Requeue(model::TaskId task);
  Awaitable<base::Result<model::Version>> Edit(EditRequest request);
  Awaitable<base::Result<model::TaskRecord>> See(model::TaskId task);
  Queue& plain() { return queue_; }
  /// A call that is not written, but counts as under way.
  template <class T>
  Awaitable<T> Unlogged(Awaitable<T> call) {
    UnderWay under_way(*this);
    co_return co_await std::move(call);
  }

  /// Until no call is under way.
  Awaitable<void> Idle();

 private:
  // Counts a call while it lives.
  class UnderWay {
   public:
    explicit UnderWay(LoggedQueue& queue) : queue_(queue) { ++queue_.under_way_; }
    ~UnderWay() {
      if (--queue_.under_way_ == 0) queue_.idle_.NotifyAll();
    }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

   private:
    LoggedQueue& queue_;
  };
  // Writes the call, makes it, writes the answer.
  Awaitable<base::Result<>> Item(testing::Entry called,
                                 Awaitable<std::vector<base::Result<>>> answer);
  void AddClaimed(uint64_t call, const ClaimRequest& request, const ClaimedTask& task);

  Queue& queue_;
  testing::History& history_;
  runtime::Event idle_;
  size_t under_way_ = 0;
};

/// What the queue shows once nothing goes on.
Awaitable<testing::FinalState> LookAtEverything(Queue& queue);

}  // namespace inferq::queue
