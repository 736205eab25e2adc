#include "runtime/runtime.h"

#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "base/check.h"

namespace inferq::runtime {
namespace {

using boost::asio::use_awaitable_t;

// Our coroutines report failures as values; an exception that escapes one is a bug.
void RequireNoException(std::exception_ptr error) { INFERQ_CHECK(error == nullptr); }

}  // namespace

Awaitable<void> Runtime::SleepUntil(base::SteadyTime when) {
  auto initiate = [this, when](auto handler) {
    CallAt(when, [handler = std::move(handler)]() mutable { std::move(handler)(); });
  };
  use_awaitable_t<> token;
  co_await boost::asio::async_initiate<const use_awaitable_t<>, void()>(std::move(initiate), token);
}

Awaitable<void> Runtime::Yield() {
  auto initiate = [this](auto handler) {
    Post([handler = std::move(handler)]() mutable { std::move(handler)(); });
  };
  use_awaitable_t<> token;
  co_await boost::asio::async_initiate<const use_awaitable_t<>, void()>(std::move(initiate), token);
}

void Runtime::SpawnDetached(Awaitable<void> coroutine) {
  boost::asio::co_spawn(executor(), std::move(coroutine), RequireNoException);
}

}  // namespace inferq::runtime
