#pragma once

#include <string_view>

namespace inferq::base {

/// Prints the failed condition and aborts. For what only a bug of ours can cause; never for input.
[[noreturn]] void CheckFailed(const char* file, int line, std::string_view what);

}  // namespace inferq::base

/// Stops the process when an invariant of ours is broken, in release builds too: a wrong state must
/// not reach the store.
#define INFERQ_CHECK(condition)                                    \
  do {                                                             \
    if (!(condition)) [[unlikely]]                                 \
      ::inferq::base::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)
