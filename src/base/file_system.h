#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace inferq::base {

/// An open file. Durable is only what a Sync() that returned OK covers; a power cut may lose, keep
/// or tear everything written after it. A failed Sync() must not be repeated: what was written is
/// unknown. Calls block; one thread at a time. Closed by the destructor, without Sync.
class File {
 public:
  virtual ~File() = default;
  /// Reads up to `size` bytes at `offset`; fewer only at the end of the file.
  virtual Result<size_t> ReadAt(uint64_t offset, char* out, size_t size) = 0;
  /// Writes all of `data` at `offset`, or fails (a part may have been written).
  virtual Result<> WriteAt(uint64_t offset, std::string_view data) = 0;
  /// fdatasync: contents and length.
  virtual Result<> Sync() = 0;
  virtual Result<> Truncate(uint64_t size) = 0;
  virtual Result<uint64_t> Size() = 0;
};

enum class OpenMode : uint8_t {
  kRead,       ///< Must exist.
  kReadWrite,  ///< Created when missing, mode 0600; the directory entry is durable after
               ///< SyncDirectory.
  kCreateNew,  ///< As kReadWrite, but kAlreadyExists when it is there.
  kShared,     ///< As kReadWrite, but created as the user's umask says: files for others to read.
};

/// The seam between code and disk; simulation puts a disk behind it that loses what was not synced.
/// Paths are UTF-8. Any thread may call.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  virtual Result<bool> Exists(const std::string& path) = 0;
  /// Removes a file. kNotFound when it is not there.
  virtual Result<> Remove(const std::string& path) = 0;
  /// Replaces `to` atomically; durable after SyncDirectory.
  virtual Result<> Rename(const std::string& from, const std::string& to) = 0;
  /// Creates a directory (mode 0700); OK when it is there.
  virtual Result<> CreateDirectory(const std::string& path) = 0;
  /// Names in a directory, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> List(const std::string& path) = 0;
  /// Makes created, renamed and removed names in `path` durable.
  virtual Result<> SyncDirectory(const std::string& path) = 0;
};

/// The operating system's files. Lives as long as the process.
FileSystem& PosixFileSystem();

// Helpers over any file system.

Result<std::string> ReadFile(FileSystem& fs, const std::string& path);
/// Replaces the file's contents so that a crash leaves either the old or the new: temporary file,
/// Sync, Rename, SyncDirectory.
Result<> WriteFileAtomically(FileSystem& fs, const std::string& path, std::string_view contents);
/// The part before the last '/', "." when there is none.
std::string DirectoryOf(std::string_view path);
/// Removes a directory of plain files, and the directory itself where the file system has one.
Result<> RemoveTree(FileSystem& fs, const std::string& path);

}  // namespace inferq::base
