#include "obs/log_sink.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace inferq::obs {
namespace {

constexpr int kPatienceMs = 100;

}  // namespace

// There is always room in a file (or none on its disk, which the write tells), so a line of its log
// costs one system call.
bool FdSink::CanBeFull(int fd) {
  struct stat about{};
  return ::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode);
}

// Only the first line that finds no room waits for it.
bool FdSink::WaitForRoom() {
  if (!waits_) return true;
  pollfd room{.fd = fd_, .events = POLLOUT, .revents = 0};
  return ::poll(&room, 1, dropped_ == 0 ? kPatienceMs : 0) == 1;
}

// In pieces of PIPE_BUF: a pipe that poll() calls writable takes so many without blocking.
bool FdSink::WriteLine(std::string_view line) {
  std::string text = torn_ ? "\n" : "";
  text.append(line).append("\n");
  std::string_view rest = text;
  while (!rest.empty()) {
    if (!WaitForRoom()) break;
    ssize_t n = ::write(fd_, rest.data(), std::min<size_t>(rest.size(), PIPE_BUF));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;  // closed, or the disk behind it is full
    rest.remove_prefix(static_cast<size_t>(n));
  }
  if (rest.size() < text.size()) torn_ = !rest.empty();
  return rest.empty();
}

void FdSink::log(const spdlog::details::log_msg& message) {
  base::MutexLock lock(mu_);
  if (dropped_ > 0) {
    if (!WriteLine(describe_drops_(dropped_))) {
      ++dropped_;
      return;
    }
    dropped_ = 0;
  }
  if (!WriteLine({message.payload.data(), message.payload.size()})) ++dropped_;
}

}  // namespace inferq::obs
