#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace inferq::base {

Result<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return std::unexpected(ErrnoError(errno, fmt::format("open {}", path)));
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return std::unique_ptr<FileLock>(new FileLock(fd));
  int saved = errno;
  ::close(fd);
  if (saved != EWOULDBLOCK) return std::unexpected(ErrnoError(saved, fmt::format("lock {}", path)));
  return Fail(Code::kFailedPrecondition, "another process holds {}", path);
}

FileLock::~FileLock() { ::close(fd_); }

}  // namespace inferq::base
