#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"
#include "queue/queue.h"
#include "runtime/event.h"
#include "runtime/runtime.h"

namespace inferq::service {

using runtime::Awaitable;

/// What a task asks an engine for.
struct Work {
  std::string custom_id;
  engine::Request request;
};

/// How one attempt went.
struct Attempt {
  enum class Result : uint8_t {
    kSucceeded,
    kFailed,    ///< Recorded as such; whether the task is tried again is the queue's to say.
    kReleased,  ///< Handed back: the engine was away, or we stop.
    kLost,      ///< Somebody else has the task, or it was cancelled.
  } result = Result::kLost;
  base::Micros took{0};  ///< From the claim.
  engine::Usage usage;   ///< Of a success.
};

/// Turns a claimed task into a request, and an answer into a result. Implemented by the use case.
class TaskHandler {
 public:
  virtual ~TaskHandler() = default;
  /// Reads what the task stands for. A failure is final for the task unless its code is retryable.
  virtual Awaitable<base::Result<Work>> Load(queue::ClaimedTask task) = 0;
  /// Reads the generation to its end: all text in one Delta. A use case with somebody who reads
  /// along overrides it. Returns soon after the generation was cancelled.
  virtual Awaitable<base::Result<engine::Delta>> Collect(queue::ClaimedTask task,
                                                         engine::Generation& generation);
  /// Makes the answer durable. The body of `work.request` is gone by then. @return where it lies.
  virtual Awaitable<base::Result<model::Extent>> StoreAnswer(queue::ClaimedTask task, Work work,
                                                             engine::Delta answer) = 0;
  /// Makes the last error of a task durable, as the client will see it.
  virtual Awaitable<base::Result<model::Extent>> StoreError(queue::ClaimedTask task,
                                                            base::Error error) = 0;
  /// The attempt is over and recorded (or handed back): the task has ended, or waits again.
  virtual Awaitable<void> Settled(queue::ClaimedTask, Attempt) { co_return; }
};

struct DispatcherOptions {
  std::string worker = "local";
  std::string lane;
  uint32_t concurrency = 1;  ///< Tasks that run at once, >= 1; Capacity::ahead more are claimed.
  uint32_t reserved = 0;     ///< Of these, kept for interactive tasks; below concurrency.
  base::Micros lease{30'000'000};
  base::Micros renew_every{5'000'000};
  /// An engine that is not ready for so long ends the dispatch with its error; work stays queued.
  base::Micros give_up_after{600'000'000};
};

/// What the dispatcher did since it was made.
struct DispatchCounters {
  uint64_t started = 0;
  uint64_t completed = 0;
  uint64_t prompt_tokens = 0;
  uint64_t completion_tokens = 0;
  uint64_t retries = 0;
  uint64_t micro_batches = 0;  ///< Of the engine, see engine::Capacity.
  uint64_t micro_batched = 0;
  uint64_t pauses = 0;
  DispatchCounters& operator+=(const DispatchCounters& other);
};

/// The in-process worker: claims tasks of one lane, runs them on an engine, and records how they
/// ended.
///
/// Order: construct -> Run() (a coroutine that ends after Drain, or with the error that stops
/// everything) -> destroy. A failure of the store or of the engine itself ends Run with that error
/// and burns no attempt; a failure of one task ends or retries that task only. Calls on the strand.
class Dispatcher {
 public:
  Dispatcher(runtime::Runtime& runtime, queue::Queue& queue, engine::Engine& engine,
             TaskHandler& handler, DispatcherOptions options);

  /// @return OK after Drain. kUnavailable and others: the engine or the store cannot go on.
  Awaitable<base::Result<>> Run();

  /// No new claims from now on. What runs may finish until `deadline`; then it is cut and handed
  /// back without burning an attempt.
  void Drain(base::SteadyTime deadline);

  uint32_t running() const { return static_cast<uint32_t>(running_.size()); }
  engine::Capacity engine_capacity() const { return engine_.capacity(); }
  /// @pre the engine lives.
  DispatchCounters counters() const;
  /// After Run failed: whether the engine was the reason, not the store.
  bool engine_failed() const { return engine_failed_; }

 private:
  struct Running {
    queue::TaskRef ref;
    Work work;
    std::unique_ptr<engine::Generation> generation;
    bool lost = false;       ///< The queue says that the claim is gone: drop the work.
    bool hand_back = false;  ///< Cut by Drain: release.
    base::SteadyTime since;
    Attempt attempt;
  };

  /// A part of the slots: those for any task, or those kept for interactive ones.
  struct Slots {
    uint32_t size = 0;
    bool interactive_only = false;
    uint32_t taken = 0;
  };

  bool stopping() const { return draining_ || fatal_.has_value(); }
  Awaitable<void> ClaimLoop(Slots& slots);
  uint32_t RoomFor(const Slots& slots) const;
  Awaitable<bool> WaitForRoom(const Slots& slots);
  Awaitable<void> RunTask(queue::ClaimedTask task, Slots& slots);
  Awaitable<void> Execute(queue::ClaimedTask task, std::shared_ptr<Running> running, Slots& slots);
  Awaitable<Attempt::Result> RunAttempt(queue::ClaimedTask task, std::shared_ptr<Running> running);
  Awaitable<base::Result<engine::Delta>> Generate(queue::ClaimedTask task,
                                                  std::shared_ptr<Running> running);
  Awaitable<void> Finish(queue::ClaimedTask task, Work work, engine::Delta answer);
  bool IsEngineTrouble(const base::Error& error);
  bool WasCut(const base::Error& error) const;
  Awaitable<void> Refuse(queue::ClaimedTask task, base::Error error);
  Awaitable<void> Release(queue::ClaimedTask task);
  Awaitable<void> RenewLoop();
  Awaitable<void> CutAtDeadline();
  void CheckEngine();
  void Record(const base::Result<>& ending);
  void EngineFatal(base::Error error);
  void Fatal(base::Error error);

  runtime::Runtime& runtime_;
  queue::Queue& queue_;
  engine::Engine& engine_;
  TaskHandler& handler_;
  const DispatcherOptions options_;
  Slots any_;
  Slots kept_;
  runtime::Scope tasks_;
  runtime::Event changed_;
  std::map<model::TaskId, std::shared_ptr<Running>> running_;  // claimed: renewed
  uint32_t executing_ = 0;  // of these, not waiting for their turn
  uint32_t alone_ = 0;      // of these, suspects, which let nothing run beside them
  bool draining_ = false;
  bool finished_ = false;
  base::SteadyTime cut_at_ = base::SteadyTime::max();
  std::optional<base::SteadyTime> not_ready_since_;
  std::optional<base::Error> last_engine_error_;
  std::optional<base::Error> fatal_;
  bool engine_failed_ = false;
  DispatchCounters counters_;
};

}  // namespace inferq::service
