#pragma once

#include <list>
#include <memory>

#include "runtime/runtime.h"

namespace inferq::runtime {

/// Lets coroutines of one strand wait for something that another one announces. All calls on the
/// strand. Waiters still suspended when the event is destroyed are woken.
class Event {
 public:
  explicit Event(Runtime& runtime) : runtime_(runtime) {}
  ~Event() { NotifyAll(); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  /// Wakes everyone who waits now. Not remembered: whoever waits later is not woken by it, so look
  /// at the condition before and after waiting.
  void NotifyAll();

  /// Suspends until the next NotifyAll.
  Awaitable<void> Wait() { co_await WaitUntil(base::SteadyTime::max()); }
  /// The same, but at most until `deadline`. @return false when that passed first.
  Awaitable<bool> WaitUntil(base::SteadyTime deadline);

 private:
  struct Waiter {
    Runtime::Function wake;
    bool notified = false;
  };
  Runtime& runtime_;
  std::list<std::shared_ptr<Waiter>> waiters_;
};

/// Keeps the coroutines it started and waits for them, so that shutdown leaves nothing behind. Join
/// before destruction.
class Scope {
 public:
  explicit Scope(Runtime& runtime) : runtime_(runtime), idle_(runtime) {}
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  void Spawn(Awaitable<void> coroutine);
  size_t active() const { return active_; }
  /// Returns when no spawned coroutine is left. Does not cancel anything.
  Awaitable<void> Join();

 private:
  Awaitable<void> Run(Awaitable<void> coroutine);

  Runtime& runtime_;
  Event idle_;
  size_t active_ = 0;
};

}  // namespace inferq::runtime
