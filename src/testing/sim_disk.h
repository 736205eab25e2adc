#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/rng.h"

namespace inferq::testing {

/// What a power cut does to that which was not synced.
enum class CrashMode : uint8_t {
  kRandom,   ///< Each 512-byte sector of each write is kept, lost or torn; of truncations and of
             ///< name changes a prefix is kept, for each file and each directory apart.
  kStrict,   ///< Everything is lost.
  kProcess,  ///< Nothing is: only the process died, and with it its open files. What is not synced
             ///< may still be lost at the next crash.
};

/// A failure to inject once.
enum class DiskFault : uint8_t {
  kNoSpace,     ///< ENOSPC at a write or creation. Half of the write is made.
  kWriteError,  ///< EIO at a write or truncation. Half of the write is made.
  kSyncError,   ///< EIO at a sync. What it covered of a file stays readable but is lost at the next
                ///< crash, even if a later Sync succeeds (as Linux drops the dirty mark of pages
                ///< that it failed to write). Names, which file systems keep in their journals,
                ///< wait for the next SyncDirectory.
};

/// A disk in memory that keeps, through Crash(), exactly what base::FileSystem promises: contents
/// and length after File::Sync, names after SyncDirectory of their directory. The same calls and
/// the same Rng give the same bytes.
///
/// Paths: "/a/b"; relative ones start at the root, which always exists. A rename must stay in its
/// directory. Any thread may call; Crash and the settings are for the test's thread.
///
/// An operation, for the counter, is a call that changes or syncs something: Open that creates,
/// WriteAt, Sync, Truncate, Remove, Rename, CreateDirectory that creates, SyncDirectory. They are
/// numbered from 1.
class SimDisk final : public base::FileSystem {
 public:
  SimDisk();
  ~SimDisk() override;

  base::Result<std::unique_ptr<base::File>> Open(const std::string& path,
                                                 base::OpenMode mode) override;
  base::Result<bool> Exists(const std::string& path) override;
  base::Result<> Remove(const std::string& path) override;
  base::Result<> Rename(const std::string& from, const std::string& to) override;
  base::Result<> CreateDirectory(const std::string& path) override;
  base::Result<std::vector<std::string>> List(const std::string& path) override;
  base::Result<> SyncDirectory(const std::string& path) override;

  /// Cuts the power and turns it on again. Open files fail with kUnavailable from now on; faults,
  /// capacity and the countdown are cleared.
  void Crash(base::Rng& rng, CrashMode mode = CrashMode::kRandom);
  /// The power goes at operation `n`: that one may have reached the disk but fails, and so does
  /// every call after it (reads too), with kUnavailable, until Crash(). 0: never.
  void CrashAtOperation(uint64_t n);
  /// Whether the countdown has struck.
  bool crashed() const;

  /// Fails the first operation of a fitting kind that has number `n` or higher. Once; the newest
  /// call counts.
  void FailOperation(uint64_t n, DiskFault fault);
  /// Whether the fault has struck, since FailOperation was called.
  bool fault_struck() const;
  /// Bound on the bytes of all files; ENOSPC above it, what fits of a write is made. Default: none.
  void SetCapacity(uint64_t bytes);
  /// Bytes of all files, as now readable.
  uint64_t used() const;

  /// Operations so far, over all crashes.
  uint64_t operations() const;
  /// Declares everything durable, as after a long time. For the set-up of tests; not an operation.
  void SyncAll();

  // Readers may stop here.

 private:
  friend class SimFile;
  enum class Kind : uint8_t { kCreate, kWrite, kTruncate, kSync, kName };

  /// A write, or (`data` unset) a truncation to `offset`, not synced.
  struct Change {
    uint64_t offset;
    std::optional<std::string> data;
  };
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  /// Names set (or, when null, removed) in one atomic step.
  using NameChange = std::vector<std::pair<std::string, NodePtr>>;
  struct Node {
    bool is_directory = false;
    // A file: what is read now, what survives a strict crash, and the way from the latter to the
    // former.
    std::string current;
    std::string durable;
    std::vector<Change> changes;
    // A directory: the same.
    std::map<std::string, NodePtr> names;
    std::map<std::string, NodePtr> durable_names;
    std::vector<NameChange> name_changes;
  };
  /// Where a path leads: its directory, its last part ("" for the root), and what is there, if
  /// anything.
  struct Place {
    NodePtr directory;
    std::string name;
    NodePtr node;
  };

  base::Result<> CheckPower() const REQUIRES(mu_);
  /// Every node that is read now or may be after a crash, from the root downwards.
  std::vector<NodePtr> AllNodes() const REQUIRES(mu_);
  uint64_t Used() const REQUIRES(mu_);
  static void CrashFile(Node& node, CrashMode mode, base::Rng& rng);
  static void CrashDirectory(Node& node, CrashMode mode, base::Rng& rng);
  /// Counts an operation. An error: it fails; `*partly` says whether it takes effect nevertheless.
  base::Result<> Begin(Kind kind, std::string_view what, bool* partly) REQUIRES(mu_);
  base::Result<Place> Find(const std::string& path) const REQUIRES(mu_);
  base::Result<Place> FindExisting(const std::string& path) const REQUIRES(mu_);
  base::Result<> ChangeNames(Kind kind, std::string_view what, Node& directory, NameChange change)
      REQUIRES(mu_);
  base::Result<> CheckHandle(uint64_t epoch) const REQUIRES(mu_);
  base::Result<> Write(Node& node, uint64_t offset, std::string_view data) REQUIRES(mu_);
  base::Result<> Truncate(Node& node, uint64_t size) REQUIRES(mu_);
  base::Result<> Sync(Node& node) REQUIRES(mu_);
  static void ApplyNames(std::map<std::string, NodePtr>& names, const NameChange& change);
  /// How many of `wanted` bytes, of which `growth` enlarge a file, fit under the capacity.
  uint64_t Fitting(uint64_t wanted, uint64_t growth) const REQUIRES(mu_);

  mutable base::Mutex mu_;
  NodePtr root_ GUARDED_BY(mu_);
  uint64_t epoch_ GUARDED_BY(mu_) = 0;  ///< Number of crashes; handles of an older one are dead.
  uint64_t operations_ GUARDED_BY(mu_) = 0;
  uint64_t crash_at_ GUARDED_BY(mu_) = 0;
  bool crashed_ GUARDED_BY(mu_) = false;
  uint64_t capacity_ GUARDED_BY(mu_) = UINT64_MAX;
  uint64_t fault_at_ GUARDED_BY(mu_) = 0;
  std::optional<DiskFault> fault_ GUARDED_BY(mu_);
  bool fault_struck_ GUARDED_BY(mu_) = false;
};

}  // namespace inferq::testing
