#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "runtime/runtime.h"

namespace inferq::runtime {

/// The real thing: an event loop that runs on the thread that calls Run(), with timers on the
/// machine's steady clock, one thread for each blocking lane and a small pool for lane 0.
///
/// Order: construct -> spawn work -> Run() -> (Stop() from any thread or coroutine) -> destroy.
/// Destruction waits for its blocking calls under way.
class AsioRuntime final : public Runtime {
 public:
  AsioRuntime();
  /// One more event loop over the blocking lanes of `other`, which may go first.
  explicit AsioRuntime(AsioRuntime& other);
  ~AsioRuntime() override;

  /// Runs handlers until Stop().
  void Run();
  void Stop();
  /// For owners of sockets and signals.
  boost::asio::io_context& io_context() { return io_; }

  const base::Clock& clock() const override { return base::SystemClock(); }
  boost::asio::any_io_executor executor() override { return io_.get_executor(); }
  void Post(Function fn) override;
  TimerId CallAt(base::SteadyTime when, Function fn) override;
  void CancelTimer(TimerId id) override;
  void PostBlocking(uint32_t lane, Function work, Function done) override;

 private:
  struct Timers;
  struct Lanes;
  void WaitForBlockingCalls();

  boost::asio::io_context io_{1};
  std::unique_ptr<Timers> timers_;
  std::shared_ptr<Lanes> lanes_;
  base::Mutex mu_;
  base::CondVar blocking_changed_;
  size_t blocking_ GUARDED_BY(mu_) = 0;  // calls that will still post to us
};

}  // namespace inferq::runtime
