#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "runtime/cancellation.h"
#include "runtime/event.h"
#include "runtime/runtime.h"

namespace inferq::engine {

/// One request between whoever runs it and whoever reads it. Ends once: by its runner, its reader's
/// Cancel, its deadline or the engine's Stop, whichever comes first; what comes later has no
/// effect. On one strand.
class Job : public std::enable_shared_from_this<Job> {
 public:
  Job(runtime::Runtime& runtime, Request request);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  const Request& request() const { return request_; }
  /// Fires when the job ends, so that its runner stops.
  const std::shared_ptr<runtime::Cancellation>& stop() const { return stop_; }
  bool ended() const { return ended_; }

  // For the runner.

  void Emit(std::string_view text, uint64_t tokens);
  /// Pieces of a backend's stream; `tokens` are those that it counted in them.
  void EmitChunks(std::vector<std::string> chunks, uint64_t tokens);
  /// The end: `last` has a finish_reason, and the text and chunks that were not emitted before.
  void Finish(Delta last);
  void Fail(base::Error error);
  /// Waits until `when`, or until the job ends. @return false when it has ended.
  Awaitable<bool> SleepUntil(base::SteadyTime when);

  // For the reader and the engine.

  Awaitable<base::Result<Delta>> Next();
  /// Ends it with finish_reason kCancelled.
  void Cancel();
  void WatchDeadline();

 private:
  bool HasUnread() const;
  void End();

  runtime::Runtime& runtime_;
  Request request_;
  std::shared_ptr<runtime::Cancellation> stop_ = std::make_shared<runtime::Cancellation>();
  runtime::Event changed_;
  runtime::Runtime::TimerId timer_ = 0;
  Delta unread_;
  uint64_t emitted_ = 0;
  std::optional<base::Error> error_;
  bool ended_ = false;
  bool read_to_end_ = false;
};

/// What engines share that run a number of requests at once and keep the others waiting, first come
/// first served. A derived class says how one request is run, and when none may begin.
class SlottedEngine : public Engine {
 public:
  Awaitable<base::Result<>> Start() final;
  Awaitable<void> Stop() final;
  /// kFailedPrecondition: not started, or stopped. kResourceExhausted: max_waiting wait already.
  base::Result<std::unique_ptr<Generation>> Submit(Request request) final;
  Capacity capacity() const final;

 protected:
  /// @param max_waiting  requests that may wait for a slot.
  SlottedEngine(runtime::Runtime& runtime, uint32_t slots, size_t max_waiting);
  ~SlottedEngine() override;

  /// Start's own part; after an OK requests may come.
  virtual Awaitable<base::Result<>> Open() = 0;
  /// Checks a request before it waits, and may change it.
  virtual base::Result<> Prepare(Request& request) = 0;
  /// Runs one request in its slot, until it has ended the job. Ends soon after job->stop().
  virtual Awaitable<void> RunJob(std::shared_ptr<Job> job) = 0;
  /// Whether requests may begin now. When that turns true call Pump.
  virtual bool MayBegin() const { return true; }
  virtual uint64_t context_tokens() const { return 0; }

  /// Gives free slots to waiting requests.
  void Pump();
  /// Fires at Stop.
  const std::shared_ptr<runtime::Cancellation>& stop() const { return stop_; }
  /// Fails every request that has a slot.
  void FailRunning(const base::Error& error);
  /// Runs beside the requests, and is waited for by Stop.
  void SpawnHelper(Awaitable<void> helper) { scope_.Spawn(std::move(helper)); }

  runtime::Runtime& runtime_;

 private:
  enum class Phase : uint8_t { kNew, kOpen, kStopped };
  Awaitable<void> RunInSlot(std::shared_ptr<Job> job);

  uint32_t slots_;
  size_t max_waiting_;
  Phase phase_ = Phase::kNew;
  std::deque<std::shared_ptr<Job>> waiting_;  // some may have ended
  std::set<std::shared_ptr<Job>> running_;
  std::shared_ptr<runtime::Cancellation> stop_ = std::make_shared<runtime::Cancellation>();
  runtime::Scope scope_;
};

}  // namespace inferq::engine
