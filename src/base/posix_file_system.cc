#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/file_system.h"

namespace inferq::base {
namespace {

std::unexpected<Error> ErrnoFail(std::string_view operation, std::string_view path) {
  int saved = errno;
  return std::unexpected(ErrnoError(saved, fmt::format("{} {}", operation, path)));
}

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { ::close(fd_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<size_t> ReadAt(uint64_t offset, char* out, size_t size) override {
    size_t done = 0;
    while (done < size) {
      ssize_t n = ::pread(fd_, out + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoFail("read", path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Result<> WriteAt(uint64_t offset, std::string_view data) override {
    while (!data.empty()) {
      ssize_t n = ::pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoFail("write", path_);
      data.remove_prefix(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return {};
  }

  Result<> Sync() override {
    if (::fdatasync(fd_) != 0) return ErrnoFail("fdatasync", path_);
    return {};
  }

  Result<> Truncate(uint64_t size) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return ErrnoFail("truncate", path_);
    return {};
  }

  Result<uint64_t> Size() override {
    struct stat info{};
    if (::fstat(fd_, &info) != 0) return ErrnoFail("stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  int fd_;
  std::string path_;
};

int FlagsOf(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY | O_CLOEXEC;
    case OpenMode::kReadWrite:
    case OpenMode::kShared:
      return O_RDWR | O_CREAT | O_CLOEXEC;
    case OpenMode::kCreateNew:
      return O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
  }
  return O_RDONLY | O_CLOEXEC;
}

class PosixFileSystemImpl final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    int fd = ::open(path.c_str(), FlagsOf(mode), mode == OpenMode::kShared ? 0666 : 0600);
    if (fd < 0) return ErrnoFail("open", path);
    return std::make_unique<PosixFile>(fd, path);
  }

  Result<bool> Exists(const std::string& path) override {
    if (::access(path.c_str(), F_OK) == 0) return true;
    if (errno == ENOENT) return false;
    return ErrnoFail("access", path);
  }

  Result<> Remove(const std::string& path) override {
    if (std::remove(path.c_str()) != 0) return ErrnoFail("remove", path);
    return {};
  }

  Result<> Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return ErrnoFail("rename", from);
    return {};
  }

  Result<> CreateDirectory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0700) == 0) return {};
    struct stat info{};
    if (errno == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
    return ErrnoFail("mkdir", path);
  }

  Result<std::vector<std::string>> List(const std::string& path) override {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return ErrnoFail("list", path);
    std::vector<std::string> names;
    while (dirent* entry = ::readdir(directory)) {
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(directory);
    std::ranges::sort(names);
    return names;
  }

  Result<> SyncDirectory(const std::string& path) override {
    int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ErrnoFail("open", path);
    int status = ::fsync(fd);
    ::close(fd);
    if (status != 0) return ErrnoFail("fsync", path);
    return {};
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static PosixFileSystemImpl fs;
  return fs;
}

Result<std::string> ReadFile(FileSystem& fs, const std::string& path) {
  INFERQ_ASSIGN(auto file, fs.Open(path, OpenMode::kRead));
  INFERQ_ASSIGN(uint64_t size, file->Size());
  std::string contents(size, '\0');
  INFERQ_ASSIGN(size_t read, file->ReadAt(0, contents.data(), contents.size()));
  contents.resize(read);
  return contents;
}

Result<> WriteFileAtomically(FileSystem& fs, const std::string& path, std::string_view contents) {
  std::string temporary = path + ".tmp";
  {
    INFERQ_ASSIGN(auto file, fs.Open(temporary, OpenMode::kReadWrite));
    INFERQ_TRY(file->Truncate(0));
    INFERQ_TRY(file->WriteAt(0, contents));
    INFERQ_TRY(file->Sync());
  }
  INFERQ_TRY(fs.Rename(temporary, path));
  return fs.SyncDirectory(DirectoryOf(path));
}

std::string DirectoryOf(std::string_view path) {
  size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

Result<> RemoveTree(FileSystem& fs, const std::string& path) {
  INFERQ_ASSIGN(auto names, fs.List(path));
  for (const std::string& name : names) {
    std::string child = path + "/" + name;
    bool is_directory = fs.List(child).has_value();
    INFERQ_TRY(is_directory ? RemoveTree(fs, child) : fs.Remove(child));
  }
  return fs.Remove(path);
}

}  // namespace inferq::base
