#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/clock.h"
#include "runtime/awaitable.h"

namespace inferq::runtime {

/// The seam between code and threads: one strand of execution, its timers, and a place for calls
/// that block. Production puts an event loop and threads behind it (AsioRuntime), simulation one
/// thread under a virtual clock. State that belongs to a Runtime is touched on its strand only, so
/// it needs no lock.
///
/// Post and RunBlocking may be called from any thread, the rest on the strand. Outlives all its
/// coroutines.
class Runtime {
 public:
  using Function = std::move_only_function<void()>;
  using TimerId = uint64_t;

  virtual ~Runtime() = default;

  virtual const base::Clock& clock() const = 0;
  virtual boost::asio::any_io_executor executor() = 0;

  /// Runs `fn` on the strand, after what is already posted.
  virtual void Post(Function fn) = 0;
  /// Runs `fn` on the strand at or after `when`. Ids are never 0.
  virtual TimerId CallAt(base::SteadyTime when, Function fn) = 0;
  /// The timer's function does not run after this. No effect when it has run.
  virtual void CancelTimer(TimerId id) = 0;
  /// Runs `work` where blocking is allowed, then `done` on the strand. `lane` keeps order: calls of
  /// one lane run one at a time, in order of arrival; lane 0 is a pool without order.
  virtual void PostBlocking(uint32_t lane, Function work, Function done) = 0;

  /// Suspends until `when`.
  Awaitable<void> SleepUntil(base::SteadyTime when);
  Awaitable<void> SleepFor(base::Micros duration) {
    return SleepUntil(clock().Steady() + duration);
  }
  /// Lets everything that is already posted run first.
  Awaitable<void> Yield();

  /// Runs `fn` where blocking is allowed and returns what it returns. `fn` must not throw. If the
  /// caller is destroyed meanwhile, `fn` still completes, so it must own what it touches.
  template <class Fn, class R = std::invoke_result_t<Fn&>>
  Awaitable<R> RunBlocking(uint32_t lane, Fn fn);

  /// Starts a coroutine on the strand that nobody waits for. Prefer Scope::Spawn, which joins.
  void SpawnDetached(Awaitable<void> coroutine);
};

/// Lanes for PostBlocking.
inline constexpr uint32_t kAnyLane = 0;      ///< Pool threads `block-N`, no order.
inline constexpr uint32_t kJournalLane = 1;  ///< Thread `journal`: writes and group commit.
inline constexpr uint32_t kResultLane = 2;   ///< Thread `results`: the append log of results.
inline constexpr uint32_t kCatalogLane = 3;  ///< Thread `catalog`: writes of files and batches.
inline constexpr uint32_t kReadLane = 4;     ///< Thread `reader`: look-ups in the journal.
inline constexpr uint32_t kRequestLane = 5;  ///< Thread `requests`: the append log of requests.

// Readers may stop here.

template <class Fn, class R>
Awaitable<R> Runtime::RunBlocking(uint32_t lane, Fn fn) {
  auto initiate = [this, lane](auto handler, Fn work) {
    struct Shared {
      Fn fn;
      std::optional<R> result;
    };
    auto shared = std::make_shared<Shared>(std::move(work), std::nullopt);
    PostBlocking(
        lane, [shared] { shared->result.emplace(shared->fn()); },
        [shared, handler = std::move(handler)]() mutable {
          std::move(handler)(*std::move(shared->result));
        });
  };
  auto token = boost::asio::use_awaitable_t<>{};
  co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(R)>(
      std::move(initiate), token, std::move(fn));
}

}  // namespace inferq::runtime
