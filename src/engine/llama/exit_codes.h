#pragma once

namespace inferq::engine::llama {

/// Exit codes of `inferq-engine`. Anything else is the end of a signal or of the C++ runtime.
enum ExitCode : int {
  kExitStopped = 0,   ///< Asked to, or the server is gone.
  kExitUsage = 2,     ///< Wrong arguments.
  kExitLoad = 3,      ///< The model cannot be served; a LoadError said why.
  kExitProtocol = 4,  ///< The server sent what is no message.
  kExitContext = 5,   ///< The model's context broke while running.
};

}  // namespace inferq::engine::llama
