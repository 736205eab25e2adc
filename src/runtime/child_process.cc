#include "runtime/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

// The header of glibc 2.36 (Debian 12) forgets that these are C functions.
extern "C" {
#include <sys/pidfd.h>
}

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace inferq::runtime {
namespace {

namespace asio = boost::asio;
using base::Result;

constexpr int kFirstSafeFd =
    64;  // sources are moved above all targets, so that none overwrites another

// posix_spawn's two settings objects.
class SpawnSettings {
 public:
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  // A group of its own, no blocked and no ignored signals.
  void SetSignals() {
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }

  Result<> SetDescriptors(std::vector<std::pair<Fd, int>>& descriptors) {
    int last = 2;
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    for (int fd : {1, 2}) posix_spawn_file_actions_addopen(&actions_, fd, "/dev/null", O_WRONLY, 0);
    for (auto& [ours, target] : descriptors) {
      INFERQ_CHECK(target >= 1 && target < kFirstSafeFd);
      Fd moved(::fcntl(ours.get(), F_DUPFD_CLOEXEC, kFirstSafeFd));
      if (!moved) return std::unexpected(base::ErrnoError(errno, "dup"));
      posix_spawn_file_actions_adddup2(&actions_, moved.get(), target);
      ours = std::move(moved);
      last = std::max(last, target);
    }
    posix_spawn_file_actions_addclosefrom_np(&actions_, last + 1);
    return {};
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

std::string ExitStatus::ToString() const {
  if (signal == 0) return fmt::format("exited with code {}", code);
  return fmt::format("was killed by signal {} ({})", signal, ::strsignal(signal));
}

struct ChildProcess::Exit {
  Exit(Runtime& runtime, int pidfd) : readable(runtime.executor(), pidfd) {}
  asio::posix::stream_descriptor readable;  // readable once the process has ended
};

ChildProcess::ChildProcess(Runtime& runtime, pid_t pid, std::unique_ptr<Exit> exit)
    : runtime_(runtime), pid_(pid), exit_(std::move(exit)) {}

Result<std::unique_ptr<ChildProcess>> ChildProcess::Spawn(Runtime& runtime, Command command) {
  SpawnSettings settings;
  settings.SetSignals();
  INFERQ_TRY(settings.SetDescriptors(command.descriptors));
  std::vector<char*> argv{command.path.data()};
  for (std::string& argument : command.arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, command.path.c_str(), settings.actions(),
                                    settings.attributes(), argv.data(), environ);
  if (failure != 0) return std::unexpected(base::ErrnoError(failure, "run " + command.path));
  Fd pidfd(::pidfd_open(pid, 0));
  if (!pidfd) {
    const base::Error error = base::ErrnoError(errno, "pidfd_open (Linux 5.3 or newer is needed)");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return std::unexpected(error);
  }
  auto exit = std::make_unique<Exit>(runtime, pidfd.release());
  return std::unique_ptr<ChildProcess>(new ChildProcess(runtime, pid, std::move(exit)));
}

ChildProcess::~ChildProcess() {
  Kill();
  Reap(0);
}

void ChildProcess::Kill() {
  if (!status_) ::kill(pid_, SIGKILL);  // not reaped yet, so the id is still its own
}

void ChildProcess::Reap(int wait_flags) {
  if (status_) return;
  int status = 0;
  pid_t reaped = 0;
  do {
    reaped = ::waitpid(pid_, &status, wait_flags);
  } while (reaped < 0 && errno == EINTR);
  if (reaped != pid_) return;
  status_ = WIFSIGNALED(status) ? ExitStatus{.code = 0, .signal = WTERMSIG(status)}
                                : ExitStatus{.code = WEXITSTATUS(status), .signal = 0};
}

Awaitable<std::optional<ExitStatus>> ChildProcess::Wait(base::SteadyTime deadline) {
  Reap(WNOHANG);
  const bool forever = deadline == base::SteadyTime::max();
  while (!status_ && (forever || runtime_.clock().Steady() < deadline)) {
    Runtime::TimerId timer = 0;
    if (!forever) timer = runtime_.CallAt(deadline, [this] { exit_->readable.cancel(); });
    co_await exit_->readable.async_wait(asio::posix::stream_descriptor::wait_read,
                                        asio::as_tuple(asio::use_awaitable));
    if (timer != 0) runtime_.CancelTimer(timer);
    Reap(WNOHANG);
  }
  co_return status_;
}

}  // namespace inferq::runtime
