#pragma once

#include "base/error.h"

namespace inferq::app {

/// What the process tells its caller; documented in docs/run.md and docs/cli.md.
enum ExitCode : int {
  kOk = 0,              ///< Every line has a result.
  kSomeFailed = 1,      ///< Finished, but some lines ended in the errors file.
  kUsage = 2,           ///< Wrong arguments, or bad input: nothing was run.
  kEngineUnusable = 3,  ///< The model or backend cannot be used; the same command goes on later.
  kServerRefused = 3,   ///< Client commands: the server is not reached, or refuses.
  kStorageFailed = 4,   ///< The disk is full, unreadable or locked; the same command goes on later.
  kBatchStopped = 5,    ///< The batch failed, expired or was cancelled.
  kTimedOut = 124,      ///< `batch wait --timeout`: the batch goes on.
  kInterrupted = 130,   ///< Stopped by Ctrl-C or SIGTERM; the same command goes on.
};

}  // namespace inferq::app
