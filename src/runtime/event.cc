#include "runtime/event.h"

#include "base/check.h"

namespace inferq::runtime {

void Event::NotifyAll() {
  auto waiters = std::exchange(waiters_, {});
  for (auto& waiter : waiters) {
    waiter->notified = true;
    if (waiter->wake) runtime_.Post(std::exchange(waiter->wake, {}));
  }
}

Awaitable<bool> Event::WaitUntil(base::SteadyTime deadline) {
  auto waiter = std::make_shared<Waiter>();
  auto initiate = [this, waiter](auto handler) {
    waiter->wake = [handler = std::move(handler)]() mutable { std::move(handler)(); };
    waiters_.push_back(waiter);
  };
  Runtime& runtime = runtime_;  // the event may be gone when we wake
  Runtime::TimerId timer = 0;
  if (deadline != base::SteadyTime::max()) {
    timer = runtime.CallAt(deadline, [this, waiter] {
      if (!waiter->wake) return;  // notified first
      waiters_.remove(waiter);
      std::exchange(waiter->wake, {})();
    });
  }
  boost::asio::use_awaitable_t<> token;
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      std::move(initiate), token);
  if (timer != 0) runtime.CancelTimer(timer);
  co_return waiter->notified;
}

Scope::~Scope() { INFERQ_CHECK(active_ == 0); }

void Scope::Spawn(Awaitable<void> coroutine) {
  ++active_;
  runtime_.SpawnDetached(Run(std::move(coroutine)));
}

Awaitable<void> Scope::Run(Awaitable<void> coroutine) {
  co_await std::move(coroutine);
  if (--active_ == 0) idle_.NotifyAll();
}

Awaitable<void> Scope::Join() {
  while (active_ > 0) co_await idle_.Wait();
}

}  // namespace inferq::runtime
