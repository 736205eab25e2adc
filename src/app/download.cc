#include "app/download.h"

#include <algorithm>
#include <atomic>

namespace inferq::app {

using base::Result;
using runtime::Awaitable;

namespace {

/// Where the bytes go, and whether it was the one that failed.
struct Target {
  std::unique_ptr<base::File> file;  // null: standard output
  std::atomic<bool> failed = false;

  Result<> Write(uint64_t offset, std::string_view bytes) {
    auto written = file ? file->WriteAt(offset, bytes) : Print(bytes);
    failed = !written;
    return written;
  }
};

// A name for what is not whole yet; an id may hold anything.
std::string PartPath(const std::string& path, const std::string& file_id) {
  std::string id = file_id;
  std::ranges::replace_if(id, [](unsigned char c) { return !std::isalnum(c) && c != '-'; }, '_');
  return path + "." + id + ".part";
}

Result<> Finish(base::File& file, uint64_t size, const std::string& part, const std::string& path) {
  base::FileSystem& fs = base::PosixFileSystem();
  INFERQ_TRY(file.Truncate(size));
  INFERQ_TRY(file.Sync());
  INFERQ_TRY(fs.Rename(part, path));
  return fs.SyncDirectory(base::DirectoryOf(path));
}

}  // namespace

Awaitable<int> DownloadTo(ClientSession& session, std::string file_id, std::string path) {
  auto target = std::make_shared<Target>();
  std::string part = PartPath(path, file_id);
  uint64_t offset = 0;
  if (path != "-") {
    auto file = base::PosixFileSystem().Open(part, base::OpenMode::kShared);
    if (!file) co_return session.StorageFailed(file.error());
    target->file = *std::move(file);
    auto size = target->file->Size();
    if (!size) co_return session.StorageFailed(size.error());
    offset = *size;
  }
  auto sink = [target](uint64_t at, std::string_view bytes) { return target->Write(at, bytes); };
  auto size = co_await session.client().Download(file_id, offset, sink,
                                                 session.ShowBytes("downloading " + file_id));
  if (!size && target->failed) co_return session.StorageFailed(size.error());
  if (!size) {
    int code = session.Refused(size.error());
    if (target->file && target->file->Size().value_or(0) == 0) {
      (void)base::PosixFileSystem().Remove(part);  // nothing to go on with
    } else if (target->file) {
      session.display().Say("what has come is kept: the same command goes on with it");
    }
    co_return code;
  }
  if (!target->file) co_return kOk;
  auto finish = [target, bytes = *size, part, path] {
    return Finish(*target->file, bytes, part, path);
  };
  auto finished = co_await session.runtime().RunBlocking(runtime::kAnyLane, std::move(finish));
  if (!finished) co_return session.StorageFailed(finished.error());
  co_return kOk;
}

}  // namespace inferq::app
