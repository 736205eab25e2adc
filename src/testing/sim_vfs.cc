#include "testing/sim_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "base/rng.h"

namespace inferq::testing {

using base::Code;
using base::OpenMode;

namespace {

/// Julian day of 2026-01-01 00:00 UTC.
constexpr double kStartDay = 2461041.5;

struct FileState;

/// What the connections to one database share.
struct SharedFile {
  base::Mutex mu;
  std::vector<FileState*> holders GUARDED_BY(mu);
  std::vector<std::vector<char>> regions GUARDED_BY(mu);  ///< The index of the log.
};

struct FileState {
  base::FileSystem& fs;
  std::unique_ptr<base::File> file;
  std::string path;
  bool delete_on_close = false;
  bool sync_directory = false;           ///< The name is not durable yet.
  std::shared_ptr<SharedFile> shared{};  ///< Of a database; guards what follows.
  int lock = SQLITE_LOCK_NONE;
  unsigned index_shared = 0;  ///< Locks of the log's index, a bit for each.
  unsigned index_exclusive = 0;

  /// Its disk lost power since it was opened.
  bool Dead() { return !file->Size(); }
};

/// What SQLite allocates for each file. `state` is ours.
struct VfsFile {
  sqlite3_file base;
  FileState* state;
};

FileState& StateOf(sqlite3_file* file) { return *reinterpret_cast<VfsFile*>(file)->state; }

int CodeOf(const base::Error& error, int otherwise) {
  return error.code() == Code::kResourceExhausted ? SQLITE_FULL : otherwise;
}

int Close(sqlite3_file* file) {
  std::unique_ptr<FileState> state(&StateOf(file));
  if (state->shared) {
    base::MutexLock lock(state->shared->mu);
    std::erase(state->shared->holders, state.get());
  }
  state->file.reset();
  if (state->delete_on_close && !state->fs.Remove(state->path)) return SQLITE_IOERR_DELETE;
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
  size_t size = static_cast<size_t>(amount);
  auto read =
      StateOf(file).file->ReadAt(static_cast<uint64_t>(offset), static_cast<char*>(out), size);
  if (!read) return SQLITE_IOERR_READ;
  if (*read == size) return SQLITE_OK;
  std::memset(static_cast<char*>(out) + *read, 0, size - *read);
  return SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* file, const void* data, int amount, sqlite3_int64 offset) {
  std::string_view bytes(static_cast<const char*>(data), static_cast<size_t>(amount));
  auto written = StateOf(file).file->WriteAt(static_cast<uint64_t>(offset), bytes);
  return written ? SQLITE_OK : CodeOf(written.error(), SQLITE_IOERR_WRITE);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return StateOf(file).file->Truncate(static_cast<uint64_t>(size)) ? SQLITE_OK
                                                                   : SQLITE_IOERR_TRUNCATE;
}

int Sync(sqlite3_file* file, int) {
  FileState& state = StateOf(file);
  if (!state.file->Sync()) return SQLITE_IOERR_FSYNC;
  if (!state.sync_directory) return SQLITE_OK;
  if (!state.fs.SyncDirectory(base::DirectoryOf(state.path))) return SQLITE_IOERR_DIR_FSYNC;
  state.sync_directory = false;
  return SQLITE_OK;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  auto known = StateOf(file).file->Size();
  if (!known) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(*known);
  return SQLITE_OK;
}

// Whether another connection has a lock of at least this level.
bool OthersHold(const FileState& self, int level) REQUIRES(self.shared->mu) {
  return std::ranges::any_of(self.shared->holders, [&](FileState* other) {
    return other != &self && other->lock >= level;
  });
}

int Lock(sqlite3_file* file, int level) {
  FileState& self = StateOf(file);
  if (!self.shared || level <= self.lock) return SQLITE_OK;
  base::MutexLock lock(self.shared->mu);
  int refused_by = level == SQLITE_LOCK_SHARED ? SQLITE_LOCK_PENDING : SQLITE_LOCK_RESERVED;
  if (OthersHold(self, refused_by)) return SQLITE_BUSY;
  if (level == SQLITE_LOCK_EXCLUSIVE && OthersHold(self, SQLITE_LOCK_SHARED)) {
    self.lock = SQLITE_LOCK_PENDING;  // no new readers
    return SQLITE_BUSY;
  }
  self.lock = level;
  return SQLITE_OK;
}

int Unlock(sqlite3_file* file, int level) {
  FileState& self = StateOf(file);
  if (!self.shared) return SQLITE_OK;
  base::MutexLock lock(self.shared->mu);
  self.lock = std::min(self.lock, level);
  return SQLITE_OK;
}

int CheckReservedLock(sqlite3_file* file, int* reserved) {
  FileState& self = StateOf(file);
  *reserved = 0;
  if (!self.shared) return SQLITE_OK;
  base::MutexLock lock(self.shared->mu);
  *reserved = self.lock >= SQLITE_LOCK_RESERVED || OthersHold(self, SQLITE_LOCK_RESERVED) ? 1 : 0;
  return SQLITE_OK;
}

int ShmMap(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
  SharedFile& shared = *StateOf(file).shared;
  base::MutexLock lock(shared.mu);
  auto index = static_cast<size_t>(region);
  *out = nullptr;
  if (index >= shared.regions.size() && extend == 0) return SQLITE_OK;
  while (index >= shared.regions.size()) {
    shared.regions.emplace_back(static_cast<size_t>(size), '\0');  // their bytes never move
  }
  *out = shared.regions[index].data();
  return SQLITE_OK;
}

int ShmLock(sqlite3_file* file, int first, int count, int flags) {
  FileState& self = StateOf(file);
  base::MutexLock lock(self.shared->mu);
  unsigned mask = ((1U << count) - 1) << first;
  bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  unsigned& own = exclusive ? self.index_exclusive : self.index_shared;
  if (flags & SQLITE_SHM_UNLOCK) {
    own &= ~mask;
    return SQLITE_OK;
  }
  for (FileState* other : self.shared->holders) {
    unsigned against = other->index_exclusive | (exclusive ? other->index_shared : 0);
    if (other != &self && (against & mask) != 0) return SQLITE_BUSY;
  }
  own |= mask;
  return SQLITE_OK;
}

void ShmBarrier(sqlite3_file*) { std::atomic_thread_fence(std::memory_order_seq_cst); }

int ShmUnmap(sqlite3_file* file, int) {
  FileState& self = StateOf(file);
  base::MutexLock lock(self.shared->mu);
  self.index_shared = self.index_exclusive = 0;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int SectorSize(sqlite3_file*) { return 512; }
// A write never changes bytes beside it, also when the power fails: SimDisk keeps that, and disks
// do.
int DeviceCharacteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

constexpr sqlite3_io_methods MakeMethods() {
  sqlite3_io_methods methods{};
  methods.iVersion = 2;  // shared memory, but no memory mapping
  methods.xClose = Close;
  methods.xRead = Read;
  methods.xWrite = Write;
  methods.xTruncate = Truncate;
  methods.xSync = Sync;
  methods.xFileSize = FileSize;
  methods.xLock = Lock;
  methods.xUnlock = Unlock;
  methods.xCheckReservedLock = CheckReservedLock;
  methods.xFileControl = FileControl;
  methods.xSectorSize = SectorSize;
  methods.xDeviceCharacteristics = DeviceCharacteristics;
  methods.xShmMap = ShmMap;
  methods.xShmLock = ShmLock;
  methods.xShmBarrier = ShmBarrier;
  methods.xShmUnmap = ShmUnmap;
  return methods;
}
constexpr sqlite3_io_methods kMethods = MakeMethods();

/// The databases that are open, by path.
class SharedFiles {
 public:
  /// Lets `file` share with the others. Those that lost their disk are forgotten, with their locks
  /// and their memory.
  void Join(FileState& file) {
    base::MutexLock lock(mu_);
    std::shared_ptr<SharedFile>& shared = files_[file.path];
    if (!shared || !InUse(*shared)) shared = std::make_shared<SharedFile>();
    file.shared = shared;
    base::MutexLock shared_lock(shared->mu);
    shared->holders.push_back(&file);
  }

 private:
  static bool InUse(SharedFile& shared) {
    base::MutexLock lock(shared.mu);
    return std::ranges::any_of(shared.holders, [](FileState* file) { return !file->Dead(); });
  }

  base::Mutex mu_;
  std::map<std::string, std::shared_ptr<SharedFile>> files_ GUARDED_BY(mu_);
};

/// Calls of the VFS itself; `Vfs::State` is private to the class, hence the template.
template <class State>
struct Calls {
  static State& Of(sqlite3_vfs* vfs) { return *static_cast<State*>(vfs->pAppData); }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* out, int flags,
                  int* out_flags) {
    State& state = Of(vfs);
    out->pMethods = nullptr;
    std::string path = name ? name : fmt::format("/sqlite_temp_{}", ++state.temporary_files);
    auto existed = state.fs.Exists(path);
    if (!existed) return SQLITE_CANTOPEN;
    if (!*existed && !(flags & SQLITE_OPEN_CREATE)) return SQLITE_CANTOPEN;
    bool read_only = flags & SQLITE_OPEN_READONLY;
    auto file = state.fs.Open(path, read_only ? OpenMode::kRead : OpenMode::kReadWrite);
    if (!file) return CodeOf(file.error(), SQLITE_CANTOPEN);
    constexpr int kJournals =
        SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL | SQLITE_OPEN_SUPER_JOURNAL;
    bool journal = flags & kJournals;
    auto* state_of_file =
        new FileState{state.fs, *std::move(file), path, (flags & SQLITE_OPEN_DELETEONCLOSE) != 0,
                      journal && !*existed};
    if (flags & SQLITE_OPEN_MAIN_DB) state.shared_files.Join(*state_of_file);
    reinterpret_cast<VfsFile*>(out)->state = state_of_file;
    out->pMethods = &kMethods;
    if (out_flags) *out_flags = flags;
    return SQLITE_OK;
  }

  static int Delete(sqlite3_vfs* vfs, const char* name, int sync_directory) {
    base::FileSystem& fs = Of(vfs).fs;
    auto removed = fs.Remove(name);
    if (!removed) {
      return removed.error().code() == Code::kNotFound ? SQLITE_IOERR_DELETE_NOENT
                                                       : SQLITE_IOERR_DELETE;
    }
    if (sync_directory && !fs.SyncDirectory(base::DirectoryOf(name))) {
      return SQLITE_IOERR_DIR_FSYNC;
    }
    return SQLITE_OK;
  }

  static int Access(sqlite3_vfs* vfs, const char* name, int, int* result) {
    auto exists = Of(vfs).fs.Exists(name);
    if (!exists) return SQLITE_IOERR_ACCESS;
    *result = *exists ? 1 : 0;
    return SQLITE_OK;
  }

  static int FullPathname(sqlite3_vfs*, const char* name, int size, char* out) {
    size_t length = std::strlen(name);
    if (length >= static_cast<size_t>(size)) return SQLITE_CANTOPEN;
    std::memcpy(out, name, length + 1);
    return SQLITE_OK;
  }

  static int Randomness(sqlite3_vfs* vfs, int size, char* out) {
    for (int i = 0; i < size; ++i) out[i] = static_cast<char>(Of(vfs).rng.Below(256));
    return size;
  }

  static int Sleep(sqlite3_vfs* vfs, int micros) {
    Of(vfs).slept_us += micros;
    return micros;
  }

  static int CurrentTime(sqlite3_vfs* vfs, double* day) {
    *day = kStartDay + static_cast<double>(Of(vfs).slept_us) / 86'400e6;
    return SQLITE_OK;
  }

  static int GetLastError(sqlite3_vfs*, int, char*) { return 0; }
};

}  // namespace

struct SimVfs::State {
  State(base::FileSystem& file_system, std::string vfs_name)
      : fs(file_system), name(std::move(vfs_name)) {}

  base::FileSystem& fs;
  std::string name;
  sqlite3_vfs vfs{};
  base::Rng rng{1};
  int64_t slept_us = 0;
  uint64_t temporary_files = 0;
  SharedFiles shared_files;
};

const char* SimVfs::name() const { return state_->name.c_str(); }

SimVfs::SimVfs(base::FileSystem& fs, std::string name)
    : state_(std::make_unique<State>(fs, std::move(name))) {
  sqlite3_vfs& vfs = state_->vfs;
  vfs.iVersion = 1;
  vfs.szOsFile = sizeof(VfsFile);
  vfs.mxPathname = 1024;
  vfs.zName = state_->name.c_str();
  vfs.pAppData = state_.get();
  vfs.xOpen = Calls<State>::Open;
  vfs.xDelete = Calls<State>::Delete;
  vfs.xAccess = Calls<State>::Access;
  vfs.xFullPathname = Calls<State>::FullPathname;
  vfs.xRandomness = Calls<State>::Randomness;
  vfs.xSleep = Calls<State>::Sleep;
  vfs.xCurrentTime = Calls<State>::CurrentTime;
  vfs.xGetLastError = Calls<State>::GetLastError;
  INFERQ_CHECK(sqlite3_vfs_find(vfs.zName) == nullptr);
  INFERQ_CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

SimVfs::~SimVfs() { sqlite3_vfs_unregister(&state_->vfs); }

}  // namespace inferq::testing
