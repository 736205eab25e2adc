#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "runtime/runtime.h"

namespace inferq::runtime {

/// Runs the coroutine that `make` returns on the strand of `there`, and resumes on the strand of
/// `here`, the caller's, with what it returned. `make` is called on `there` and owns, or keeps
/// alive, what it names. The caller is not destroyed meanwhile (join it first).
template <class Make, class Coroutine = std::invoke_result_t<Make&>,
          class T = typename Coroutine::value_type>
Awaitable<T> CallOn(Runtime& here, Runtime& there, Make make);

// Readers may stop here.

namespace internal {

template <class T, class Make, class Handler>
Awaitable<void> RunThere(Runtime* here, std::shared_ptr<Make> make, Handler done) {
  auto result = std::make_shared<std::optional<T>>();
  result->emplace(co_await (*make)());
  make.reset();  // where it was used
  here->Post([result, done = std::move(done)]() mutable { std::move(done)(std::move(**result)); });
}

}  // namespace internal

template <class Make, class Coroutine, class T>
Awaitable<T> CallOn(Runtime& here, Runtime& there, Make make) {
  if (&here == &there) co_return co_await make();
  auto initiate = [&here, &there](auto handler, std::shared_ptr<Make> shared) {
    there.Post([&here, &there, shared = std::move(shared), handler = std::move(handler)]() mutable {
      there.SpawnDetached(internal::RunThere<T>(&here, std::move(shared), std::move(handler)));
    });
  };
  auto shared = std::make_shared<Make>(std::move(make));
  auto token = boost::asio::use_awaitable_t<>{};
  co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(T)>(
      std::move(initiate), token, std::move(shared));
}

}  // namespace inferq::runtime
