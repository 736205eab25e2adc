#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/rng.h"
#include "runtime/runtime.h"

namespace inferq::testing {

struct SimRuntimeOptions {
  /// Draws the delays below; the same seed replays the same run.
  uint64_t seed = 1;
  /// A blocking call takes a random virtual time in [0, this]. 0: it takes none, and calls run in
  /// the order of their arrival. Above 0 calls of different lanes interleave differently with each
  /// seed; those of one lane keep their order.
  base::Micros max_blocking_delay{0};
  /// Civil time at the start: 2026-01-01 00:00 UTC.
  base::WallTime start{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
};

/// A Runtime under a virtual clock, all on the caller's thread: time stands still while code runs
/// and jumps to the next timer when nothing is ready, so hours pass in milliseconds and each run is
/// the same.
///
/// What is posted or spawned only runs inside the Run... calls. Those may not be nested.
class SimRuntime final : public runtime::Runtime {
 public:
  explicit SimRuntime(SimRuntimeOptions options = {});
  ~SimRuntime() override;

  /// Runs what is ready, and blocking calls to their end; does not wait for timers (time moves only
  /// as far as blocking calls take).
  void RunUntilIdle();
  /// Runs all that happens in the next `duration` and leaves the clock at its end.
  void RunFor(base::Micros duration);
  /// Runs until `predicate` holds, at most for `limit`. @return whether it holds.
  bool RunUntil(const std::function<bool()>& predicate,
                base::Micros limit = std::chrono::hours(24));
  /// Runs a coroutine to its end, timers included, and returns what it returns. Stops the process
  /// when it does not end within `limit` of virtual time.
  template <class T>
  T Run(runtime::Awaitable<T> coroutine, base::Micros limit = std::chrono::hours(24));

  /// Moves civil time alone, as an administrator or a time server does.
  void JumpWallClock(base::Micros by) { clock_.wall_offset += by; }
  /// Timers and blocking calls that are still to come.
  size_t pending() const { return events_.size(); }

  const base::Clock& clock() const override { return clock_; }
  boost::asio::any_io_executor executor() override { return io_.get_executor(); }
  void Post(Function fn) override;
  TimerId CallAt(base::SteadyTime when, Function fn) override;
  void CancelTimer(TimerId id) override;
  void PostBlocking(uint32_t lane, Function work, Function done) override;

 private:
  struct VirtualClock final : base::Clock {
    base::WallTime Wall() const override {
      return wall_start + now.time_since_epoch() + wall_offset;
    }
    base::SteadyTime Steady() const override { return now; }
    base::SteadyTime now{};
    base::WallTime wall_start;
    base::Micros wall_offset{0};
  };
  using When = std::pair<base::SteadyTime, uint64_t>;  // ties: order of arrival
  struct Scheduled {
    Function fn;
    bool blocking = false;
  };

  bool StepReady();
  bool StepEvent(base::SteadyTime limit);
  base::SteadyTime After(base::Micros duration) const;
  static runtime::Awaitable<void> MarkDone(runtime::Awaitable<void> coroutine, bool& done);
  template <class T>
  static runtime::Awaitable<void> Keep(runtime::Awaitable<T> coroutine, std::optional<T>& out);

  SimRuntimeOptions options_;
  base::Rng rng_;
  VirtualClock clock_;
  boost::asio::io_context io_{1};
  std::map<When, Scheduled> events_;
  std::unordered_map<TimerId, When> timers_;
  std::unordered_map<uint32_t, base::SteadyTime> lane_free_;  // when the lane's last call ends
  size_t blocking_ = 0;
  uint64_t last_ = 0;
};

// Readers may stop here.

template <class T>
runtime::Awaitable<void> SimRuntime::Keep(runtime::Awaitable<T> coroutine, std::optional<T>& out) {
  out.emplace(co_await std::move(coroutine));
}

template <class T>
T SimRuntime::Run(runtime::Awaitable<T> coroutine, base::Micros limit) {
  if constexpr (std::is_void_v<T>) {
    bool done = false;
    SpawnDetached(MarkDone(std::move(coroutine), done));
    bool ended = RunUntil([&done] { return done; }, limit);
    INFERQ_CHECK(ended);
  } else {
    std::optional<T> result;
    SpawnDetached(Keep(std::move(coroutine), result));
    bool ended = RunUntil([&result] { return result.has_value(); }, limit);
    INFERQ_CHECK(ended);
    return *std::move(result);
  }
}

}  // namespace inferq::testing
