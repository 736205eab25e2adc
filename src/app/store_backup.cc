#include "app/store_backup.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/file_system.h"
#include "sqlite/snapshot.h"

namespace inferq::app {
namespace {

using base::Code;
using base::OpenMode;
using base::Result;

constexpr int kTries = 5;
constexpr size_t kPiece = 1 << 20;

base::FileSystem& Files() { return base::PosixFileSystem(); }

// What of a blob directory is copied; the rest is not finished, and nothing refers to it.
bool IsBlob(const std::string& name) { return name.ends_with(".blob") || name.ends_with(".log"); }

Result<std::vector<std::string>> BlobNames(const std::string& directory) {
  INFERQ_ASSIGN(bool exists, Files().Exists(directory));
  if (!exists) return std::vector<std::string>();
  INFERQ_ASSIGN(auto names, Files().List(directory));
  std::erase_if(names, [](const std::string& name) { return !IsBlob(name); });
  return names;
}

class StoreCopy {
 public:
  StoreCopy(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}

  // kAborted: something was deleted meanwhile, again from the start.
  Result<BackupSummary> Run();

 private:
  Result<> CopyRecords();
  Result<> CopyBlobs(const std::vector<std::string>& before);
  Result<> CopyIfThere(const std::string& name);
  Result<> CopyFile(const std::string& name);

  std::string from_;
  std::string to_;
  BackupSummary summary_;
};

Result<BackupSummary> StoreCopy::Run() {
  INFERQ_TRY(Files().CreateDirectory(to_));
  INFERQ_TRY(CopyIfThere("/run.json"));
  INFERQ_ASSIGN(auto before, BlobNames(from_ + "/blobs"));
  INFERQ_TRY(CopyRecords());
  INFERQ_TRY(CopyBlobs(before));
  INFERQ_TRY(Files().SyncDirectory(to_));
  return summary_;
}

Result<> StoreCopy::CopyRecords() {
  std::vector<std::string> names{"/journal.db"};
  INFERQ_ASSIGN(bool has_catalog, Files().Exists(from_ + "/catalog.db"));
  if (has_catalog) names.insert(names.begin(), "/catalog.db");  // it changes less often
  std::vector<std::string> paths;
  for (const std::string& name : names) paths.push_back(from_ + name);
  INFERQ_ASSIGN(auto snapshot, sqlite::Snapshot::Take(paths));
  for (size_t i = 0; i < names.size(); ++i) {
    INFERQ_TRY(snapshot->CopyTo(i, to_ + names[i]));
    ++summary_.files;
    INFERQ_ASSIGN(auto copy, Files().Open(to_ + names[i], OpenMode::kRead));
    INFERQ_ASSIGN(uint64_t size, copy->Size());
    summary_.bytes += size;
  }
  return {};
}

Result<> StoreCopy::CopyBlobs(const std::vector<std::string>& before) {
  INFERQ_ASSIGN(bool exists, Files().Exists(from_ + "/blobs"));
  if (!exists) return {};
  INFERQ_TRY(Files().CreateDirectory(to_ + "/blobs"));
  INFERQ_ASSIGN(auto now, BlobNames(from_ + "/blobs"));
  if (!std::ranges::includes(now, before)) return base::Fail(Code::kAborted, "a blob is gone");
  for (const std::string& name : now) INFERQ_TRY(CopyFile("/blobs/" + name));
  INFERQ_TRY(CopyIfThere("/blobs/ids"));  // after all numbers in use
  return Files().SyncDirectory(to_ + "/blobs");
}

Result<> StoreCopy::CopyIfThere(const std::string& name) {
  INFERQ_ASSIGN(bool exists, Files().Exists(from_ + name));
  return exists ? CopyFile(name) : Result<>();
}

// A log as far as it is long now.
Result<> StoreCopy::CopyFile(const std::string& name) {
  auto source = Files().Open(from_ + name, OpenMode::kRead);
  if (!source && source.error().code() == Code::kNotFound) {
    return base::Fail(Code::kAborted, "{} is gone", name);
  }
  if (!source) return std::unexpected(std::move(source).error());
  INFERQ_ASSIGN(auto copy, Files().Open(to_ + name, OpenMode::kReadWrite));
  INFERQ_ASSIGN(uint64_t size, (*source)->Size());
  std::string piece(kPiece, '\0');
  for (uint64_t at = 0; at < size;) {
    size_t wanted = std::min<uint64_t>(kPiece, size - at);
    INFERQ_ASSIGN(size_t read, (*source)->ReadAt(at, piece.data(), wanted));
    if (read == 0) return base::Fail(Code::kAborted, "{} became shorter", name);
    INFERQ_TRY(copy->WriteAt(at, std::string_view(piece).substr(0, read)));
    at += read;
  }
  ++summary_.files;
  summary_.bytes += size;
  return copy->Sync();
}

Result<> RemoveAll(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) return {};
  return base::Fail(Code::kUnavailable, "cannot remove {}: {}", path, error.message());
}

}  // namespace

Result<BackupSummary> BackUpStore(const std::string& from, const std::string& to) {
  INFERQ_ASSIGN(bool exists, Files().Exists(to));
  if (exists) {
    return base::Fail(Code::kAlreadyExists, "{} is there already; name a new directory", to);
  }
  std::string part = to + ".part";
  Result<BackupSummary> done = base::Fail(Code::kAborted, "not begun");
  for (int i = 0; i < kTries; ++i) {
    INFERQ_TRY(RemoveAll(part));
    done = StoreCopy(from, part).Run();
    if (done || done.error().code() != Code::kAborted) break;
  }
  if (!done) {
    (void)RemoveAll(part);  // the first failure is the one to tell
    return done;
  }
  INFERQ_TRY(Files().Rename(part, to));
  INFERQ_TRY(Files().SyncDirectory(base::DirectoryOf(to)));
  return done;
}

}  // namespace inferq::app
