#pragma once

#include <memory>
#include <string>

#include "base/error.h"

namespace inferq::base {

/// Keeps other processes out of a directory, as long as it lives; the operating system gives it
/// back when the process dies, however that happens (flock).
class FileLock {
 public:
  /// Creates the lock file when missing; it stays behind, empty and without meaning.
  /// @return kFailedPrecondition: another process holds it.
  static Result<std::unique_ptr<FileLock>> Acquire(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace inferq::base
