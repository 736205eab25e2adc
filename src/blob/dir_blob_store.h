#pragma once

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/file_system.h"
#include "base/mutex.h"
#include "blob/blob_store.h"

namespace inferq::blob {

/// Blobs as files of one directory, of which it is the only user.
///
///   ids                     numbers below this one may have been given out
///   0000000000000007.part   under construction; removed by the next Open
///   0000000000000007.blob   sealed
///   0000000000000008.results.log   the log "results"
///
/// Files of other names are left alone. Numbers are reserved in runs before the first of a run is
/// used, so a crash wastes some and repeats none. Files of recently read blobs stay open, at most
/// kOpenFilesMax.
///
/// When a Sync, Seal or TruncateLog fails on the disk, that blob takes no more calls but Read, Size
/// and Delete. When the directory cannot be synced the whole store takes no more new names (Seal,
/// OpenLog, Delete): what the disk holds is then known only after a restart.
class DirBlobStore final : public BlobStore {
 public:
  static constexpr size_t kOpenFilesMax = 64;

  /// Makes `dir` when it is missing (its parent must exist) and removes what an earlier run left
  /// unsealed. `fs` outlives the store. kDataLoss: the directory has blobs but lost its file `ids`,
  /// or that is older than they.
  static base::Result<std::unique_ptr<BlobStore>> Open(base::FileSystem& fs, std::string dir);

  base::Result<BlobId> Create() override;
  base::Result<BlobId> OpenLog(std::string_view name) override;
  base::Result<model::Extent> Append(BlobId blob, std::string_view bytes) override;
  base::Result<> Sync(BlobId blob) override;
  base::Result<> Seal(BlobId blob) override;
  void RestLog(BlobId blob) override;
  base::Result<> TruncateLog(BlobId blob, uint64_t size) override;
  base::Result<uint64_t> Size(BlobId blob) override;
  base::Result<std::string> Read(const model::Extent& extent) override;
  base::Result<> Delete(BlobId blob) override;
  base::Result<std::vector<BlobId>> List() override;
  std::vector<Log> Logs() override;

  // Readers may stop here.

 private:
  enum class Kind : uint8_t { kUnsealed, kSealed, kLog };
  /// The way to add to a blob. Used by one thread at a time, the one that builds the blob.
  struct Writer {
    std::unique_ptr<base::File> file;
    uint64_t size = 0;    ///< What counts as appended.
    bool longer = false;  ///< A failed write may have left bytes behind `size`.
    bool synced = false;  ///< Nothing was appended since the last Sync.
    std::string failure;  ///< Why no more calls are taken; "" while all is well.
  };
  struct Blob {
    Kind kind;
    std::string path;
    std::optional<uint64_t>
        size;  ///< Unknown for a sealed blob of an earlier run, until it is read.
    std::shared_ptr<Writer> writer = {};  ///< Of a log: null while it rests.
  };
  using FilePtr = std::unique_ptr<base::File>;

  DirBlobStore(base::FileSystem& fs, std::string dir) : fs_(fs), dir_(std::move(dir)) {}

  base::Result<> Recover() EXCLUDES(mu_);
  base::Result<> RecoverFile(const std::string& name) REQUIRES(mu_);
  std::string PathOf(BlobId id, std::string_view suffix) const;
  base::Result<BlobId> NextId() REQUIRES(mu_);
  base::Result<> CheckNames() const;
  /// Makes names durable. Fails also when an earlier one failed, for that may have dropped the
  /// caller's change.
  base::Result<> SyncNames() EXCLUDES(sync_mu_);

  base::Result<Blob> Find(BlobId id) EXCLUDES(mu_);
  base::Result<std::shared_ptr<Writer>> WriterOf(BlobId id) EXCLUDES(mu_);
  base::Result<std::shared_ptr<Writer>> WakeLog(BlobId id, const Blob& blob) EXCLUDES(mu_);
  /// Everything appended is on the disk and nothing else.
  static base::Result<> SyncWriter(Writer& writer);
  void SetSize(BlobId id, uint64_t size) EXCLUDES(mu_);

  /// A file to read `id` with: an idle one or a new one.
  base::Result<FilePtr> TakeFile(BlobId id) EXCLUDES(mu_);
  void GiveBackFile(BlobId id, FilePtr file) EXCLUDES(mu_);

  base::FileSystem& fs_;
  const std::string dir_;
  base::Mutex mu_;
  std::map<BlobId, Blob> blobs_ GUARDED_BY(mu_);
  std::map<std::string, BlobId, std::less<>> logs_ GUARDED_BY(mu_);
  BlobId next_id_ GUARDED_BY(mu_) = 1;
  BlobId reserved_ GUARDED_BY(mu_) = 1;  ///< The contents of `ids`; next_id_ <= reserved_.
  std::list<std::pair<BlobId, FilePtr>> idle_files_ GUARDED_BY(mu_);  ///< The last used first.

  /// One sync of the directory at a time, so that no one takes another's failure for a success.
  /// Where both are needed it comes after mu_.
  base::Mutex sync_mu_;
  std::atomic<bool> names_failed_ = false;
};

}  // namespace inferq::blob
