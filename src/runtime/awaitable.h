#pragma once

#include <boost/asio/awaitable.hpp>

namespace inferq::runtime {

/// What a coroutine of ours returns; resumes on the executor it was started on. Lazy: nothing runs
/// before it is awaited or spawned. The one place that names the coroutine library.
template <class T = void>
using Awaitable = boost::asio::awaitable<T>;

}  // namespace inferq::runtime
