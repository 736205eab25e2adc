#pragma once

#include <memory>

#include "base/error.h"
#include "runtime/fd.h"
#include "runtime/net.h"
#include "runtime/runtime.h"

namespace inferq::runtime {

/// Two ends of one connection within the machine.
struct LocalSocketPair {
  std::unique_ptr<Stream> ours;  ///< Read returns 0 once nobody holds `theirs` any more.
  Fd theirs;                     ///< Blocking, close-on-exec; for a child process.
};

/// A connected pair of Unix stream sockets. A broken connection is an error of Write, never a
/// signal.
base::Result<LocalSocketPair> MakeLocalSocketPair(Runtime& runtime);

}  // namespace inferq::runtime
