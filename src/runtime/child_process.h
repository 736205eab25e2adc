#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "runtime/awaitable.h"
#include "runtime/fd.h"
#include "runtime/runtime.h"

namespace inferq::runtime {

/// How a process ended.
struct ExitStatus {
  int code = 0;    ///< Meaningless when it was killed.
  int signal = 0;  ///< 0: it exited by itself.
  /// "exited with code 3", "was killed by signal 9 (Killed)".
  std::string ToString() const;
};

struct Command {
  std::string path;                    ///< Executable; PATH is not searched.
  std::vector<std::string> arguments;  ///< After the name.
  std::vector<std::pair<Fd, int>>
      descriptors;  ///< Ours, and the number that it has in the child (1..63).
};

/// A child process in a process group of its own, so that a terminal's Ctrl-C does not reach it. It
/// gets the named descriptors, /dev/null as input, and as output and errors where 1 and 2 are not
/// named, nothing else of ours. Calls on the strand. The destructor kills and reaps it: no zombie,
/// no orphan.
class ChildProcess {
 public:
  /// Takes a millisecond or so. kNotFound, kPermissionDenied, kResourceExhausted: as the system
  /// says.
  static base::Result<std::unique_ptr<ChildProcess>> Spawn(Runtime& runtime, Command command);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  /// Waits for its end, at most until `deadline`; nullopt: it still runs. One waiter at a time.
  Awaitable<std::optional<ExitStatus>> Wait(base::SteadyTime deadline);
  /// Ends it at once (SIGKILL). Wait still tells how. No effect after its end.
  void Kill();

 private:
  struct Exit;  // its pidfd
  ChildProcess(Runtime& runtime, pid_t pid, std::unique_ptr<Exit> exit);
  void Reap(int wait_flags);

  Runtime& runtime_;
  const pid_t pid_;
  std::unique_ptr<Exit> exit_;
  std::optional<ExitStatus> status_;
};

}  // namespace inferq::runtime
