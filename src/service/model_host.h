#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/engine.h"
#include "queue/queue.h"
#include "runtime/event.h"
#include "runtime/runtime.h"
#include "service/dispatcher.h"
#include "service/service.h"

namespace inferq::service {

/// Serves the lane of one model: starts its engine when there is work, hands the work to it, and
/// stops a local engine that has had none for a while. An engine that cannot be had is tried again,
/// after a pause that grows; its work stays queued.
///
/// Order: construct -> Run() -> Drain -> Run returns. On the strand.
class ModelHost {
 public:
  struct Options {
    base::Micros idle_unload{600'000'000};
    base::Micros first_pause{1'000'000};  ///< After a failure; doubles up to the next.
    base::Micros longest_pause{300'000'000};
    base::Micros away_max{15'000'000};  ///< Longer without a ready engine is trouble.
  };
  /// @param on_trouble  called when trouble() has changed.
  ModelHost(runtime::Runtime& runtime, queue::Queue& queue, TaskHandler& handler, ModelSpec spec,
            Options options, Observer& observer, std::function<void()> on_trouble);

  /// @return OK after Drain; the failure of the store that stopped it.
  Awaitable<base::Result<>> Run();
  /// There is work.
  void Wake();
  void Drain(base::SteadyTime deadline);

  const ModelSpec& spec() const { return spec_; }
  /// Why the engine cannot be had now; nullopt while it can, or nobody asked.
  const std::optional<base::Error>& trouble() const { return trouble_; }
  bool loaded() const { return dispatcher_ != nullptr; }
  uint32_t running() const { return dispatcher_ ? dispatcher_->running() : 0; }
  DispatchCounters counters() const;
  /// Of the engine that is loaded; else all 0 and not ready.
  engine::Capacity engine_capacity() const;

 private:
  Awaitable<void> AwaitWork();
  /// From the start of an engine to its end. @return the store's failure.
  Awaitable<base::Result<>> Serve();
  Awaitable<base::Result<>> Start(engine::Engine& engine);
  Awaitable<void> StartInto(engine::Engine& engine, std::optional<base::Result<>>& started);
  Awaitable<base::Result<>> Dispatch(engine::Engine& engine);
  Awaitable<void> WatchEngine(engine::Engine* engine, std::shared_ptr<bool> over);
  Awaitable<void> UnloadWhenIdle(Dispatcher* dispatcher, std::shared_ptr<bool> over);
  Awaitable<void> PauseAfter(base::Error trouble);

  runtime::Runtime& runtime_;
  queue::Queue& queue_;
  TaskHandler& handler_;
  const ModelSpec spec_;
  const Options options_;
  Observer& observer_;
  std::function<void()> on_trouble_;
  runtime::Event changed_;
  std::unique_ptr<Dispatcher> dispatcher_;
  DispatchCounters earlier_;  // of dispatchers that have ended
  std::optional<base::SteadyTime> drain_until_;
  std::optional<base::Error> trouble_;
  base::Micros pause_;
};

}  // namespace inferq::service
