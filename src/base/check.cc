#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace inferq::base {

void CheckFailed(const char* file, int line, std::string_view what) {
  std::fprintf(stderr, "inferq: %s:%d: broken invariant: %.*s\n", file, line,
               static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace inferq::base
