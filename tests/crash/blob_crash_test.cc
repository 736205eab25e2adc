#include <gtest/gtest.h>

#include <set>

#include "blob/dir_blob_store.h"
#include "testing/sim_disk.h"

// Power cuts and disk faults at every operation of a run over the blob store: what was acknowledged
// is there, what was not is whole or gone, and the store works on.

namespace inferq::blob {
namespace {

using base::Code;
using model::Extent;
using testing::CrashMode;
using testing::DiskFault;
using testing::SimDisk;

/// What a run was told, and what it tried.
struct History {
  std::set<BlobId> numbers;                ///< Ever given out.
  std::map<BlobId, std::string> contents;  ///< Of blobs whose seal was tried.
  std::set<BlobId> sealed;                 ///< Seal acknowledged.
  std::set<BlobId> delete_tried;
  std::set<BlobId> deleted;   ///< Delete acknowledged.
  std::set<BlobId> unsealed;  ///< Seal never tried.
  BlobId log = 0;
  std::string log_appended;  ///< Acknowledged appends.
  size_t log_synced = 0;     ///< Of them, covered by an acknowledged Sync.
  bool complete = false;     ///< No call failed.
};

/// Uses everything the store offers once or more. Goes on after failures, as far as that makes
/// sense.
class Run {
 public:
  Run(BlobStore& store, History& history) : store_(store), history_(history) {}

  void Play() {
    OpenLog();
    BlobId first = Build("first, ", std::string(1500, 'a'));
    AppendToLog("one;");
    AppendToLog("two;");
    SyncLog();
    Abandon();
    Build("second, ", std::string(700, 'b'));
    AppendToLog(std::string(900, '3'));
    Delete(first);
    SyncLog();
    Build("third, ", "c");
    AppendToLog("never synced;");
    history_.complete = ok_;
  }

 private:
  bool Note(bool ok) {
    ok_ &= ok;
    return ok;
  }

  void OpenLog() {
    auto log = store_.OpenLog("results");
    if (!Note(log.has_value())) return;
    if (history_.log != 0) EXPECT_EQ(*log, history_.log);
    history_.log = *log;
    history_.numbers.insert(*log);
  }

  BlobId Create() {
    auto id = store_.Create();
    if (!Note(id.has_value())) return 0;
    EXPECT_TRUE(history_.numbers.insert(*id).second) << "number " << *id << " is given out again";
    history_.unsealed.insert(*id);
    return *id;
  }

  BlobId Build(const std::string& head, const std::string& tail) {
    BlobId id = Create();
    if (id == 0) return 0;
    if (!Note(store_.Append(id, head).has_value())) return id;
    if (!Note(store_.Append(id, tail).has_value())) return id;
    history_.contents[id] = head + tail;
    history_.unsealed.erase(id);
    if (Note(store_.Seal(id).has_value())) history_.sealed.insert(id);
    return id;
  }

  void Abandon() {
    BlobId id = Create();
    if (id == 0) return;
    Note(store_.Append(id, "abandoned").has_value());
    Note(store_.Sync(id).has_value());
  }

  void Delete(BlobId id) {
    if (id == 0) return;
    history_.delete_tried.insert(id);
    if (Note(store_.Delete(id).has_value())) history_.deleted.insert(id);
  }

  void AppendToLog(const std::string& bytes) {
    if (history_.log == 0) return;
    auto extent = store_.Append(history_.log, bytes);
    if (!Note(extent.has_value())) return;
    EXPECT_EQ(*extent, (Extent{history_.log, history_.log_appended.size(), bytes.size()}));
    history_.log_appended += bytes;
  }

  void SyncLog() {
    if (history_.log == 0) return;
    if (Note(store_.Sync(history_.log).has_value())) {
      history_.log_synced = history_.log_appended.size();
    }
  }

  BlobStore& store_;
  History& history_;
  bool ok_ = true;
};

std::string All(BlobStore& store, BlobId id) {
  return store.Read({id, 0, store.Size(id).value()}).value();
}

/// Compares a store opened after a power cut with what the run was told, and cuts its log as a
/// recovery does.
void Check(BlobStore& store, SimDisk& disk, History& history) {
  std::set<BlobId> listed;
  for (BlobId id : store.List().value()) listed.insert(id);
  for (BlobId id : history.sealed) {
    if (!history.delete_tried.contains(id)) EXPECT_TRUE(listed.contains(id)) << "blob " << id;
  }
  for (BlobId id : history.deleted) EXPECT_FALSE(listed.contains(id)) << "blob " << id;
  for (BlobId id : history.unsealed) EXPECT_EQ(store.Size(id).error().code(), Code::kNotFound);
  for (auto& [id, contents] : history.contents) {
    if (listed.contains(id)) EXPECT_EQ(All(store, id), contents) << "a sealed blob is whole";
  }
  for (const std::string& name : disk.List("/blobs").value()) {
    EXPECT_FALSE(name.ends_with(".part") || name.ends_with(".tmp")) << name;
  }
  if (history.log == 0) return;
  ASSERT_TRUE(listed.contains(history.log)) << "an opened log stays";
  ASSERT_GE(store.Size(history.log).value(), history.log_synced);
  history.log_appended.resize(history.log_synced);
  ASSERT_TRUE(store.TruncateLog(history.log, history.log_synced));
  EXPECT_EQ(All(store, history.log), history.log_appended);
}

/// Plays a run over `disk`, which fails somewhere, then cuts the power, looks, and plays and looks
/// once more.
void PlayAndCheck(SimDisk& disk, History& history, base::Rng& rng, CrashMode mode) {
  if (auto store = DirBlobStore::Open(disk, "/blobs")) Run(**store, history).Play();
  for (int round = 0; round < 2; ++round) {
    disk.Crash(rng, mode);
    auto store = DirBlobStore::Open(disk, "/blobs");
    ASSERT_TRUE(store) << store.error().ToString();
    ASSERT_NO_FATAL_FAILURE(Check(**store, disk, history));
    Run(**store, history).Play();
    EXPECT_TRUE(history.complete) << "the store works on";
  }
}

void CrashAt(uint64_t n, CrashMode mode, base::Rng& rng) {
  SCOPED_TRACE(fmt::format("power cut at operation {}", n));
  SimDisk disk;
  disk.CrashAtOperation(n);
  History history;
  PlayAndCheck(disk, history, rng, mode);
}

uint64_t OperationsOfARun() {
  SimDisk disk;
  History history;
  auto store = DirBlobStore::Open(disk, "/blobs").value();
  Run(*store, history).Play();
  EXPECT_TRUE(history.complete);
  return disk.operations();
}

TEST(BlobCrash, NothingAcknowledgedIsLostAtAnyStrictPowerCut) {
  base::Rng rng(1);
  for (uint64_t n = 1; n <= OperationsOfARun(); ++n) CrashAt(n, CrashMode::kStrict, rng);
}

TEST(BlobCrash, NothingAcknowledgedIsLostAtAnyRandomPowerCut) {
  base::Rng rng(2);
  for (int round = 0; round < 20; ++round) {
    for (uint64_t n = 1; n <= OperationsOfARun(); ++n) CrashAt(n, CrashMode::kRandom, rng);
  }
}

TEST(BlobCrash, NothingAcknowledgedIsLostAfterAnyDiskFault) {
  base::Rng rng(3);
  for (DiskFault fault : {DiskFault::kNoSpace, DiskFault::kWriteError, DiskFault::kSyncError}) {
    for (uint64_t n = 1; n <= OperationsOfARun(); ++n) {
      SCOPED_TRACE(fmt::format("fault {} from operation {} on", static_cast<int>(fault), n));
      SimDisk disk;
      disk.FailOperation(n, fault);
      History history;
      PlayAndCheck(disk, history, rng, n % 2 ? CrashMode::kStrict : CrashMode::kRandom);
    }
  }
}

TEST(BlobCrash, AFullDiskLeavesTheStoreUsable) {
  SimDisk disk;
  auto store = DirBlobStore::Open(disk, "/blobs").value();
  BlobId log = store->OpenLog("results").value();
  BlobId blob = store->Create().value();
  ASSERT_TRUE(store->Append(log, "before;"));
  disk.SetCapacity(disk.used() + 10);
  EXPECT_EQ(store->Append(log, std::string(11, 'x')).error().code(), Code::kResourceExhausted);
  EXPECT_EQ(store->Size(log).value(), 7u);
  EXPECT_EQ(store->Append(blob, "y").error().code(), Code::kResourceExhausted)
      << "the failed bytes take the room until the log is synced";
  ASSERT_TRUE(store->Sync(log));
  EXPECT_TRUE(store->Append(blob, "0123456789"));
  EXPECT_FALSE(store->Append(blob, "z"));
  ASSERT_TRUE(store->Seal(blob));
  disk.SetCapacity(UINT64_MAX);
  ASSERT_TRUE(store->Append(log, "after;"));
  ASSERT_TRUE(store->Sync(log));
  base::Rng rng(4);
  disk.Crash(rng, CrashMode::kStrict);
  store = DirBlobStore::Open(disk, "/blobs").value();
  EXPECT_EQ(All(*store, log), "before;after;");
  EXPECT_EQ(All(*store, blob), "0123456789");
}

TEST(BlobCrash, AFailedSyncIsFinalForItsBlobOnly) {
  SimDisk disk;
  auto store = DirBlobStore::Open(disk, "/blobs").value();
  BlobId log = store->OpenLog("results").value();
  ASSERT_TRUE(store->Append(log, "lost"));
  disk.FailOperation(0, DiskFault::kSyncError);
  EXPECT_EQ(store->Sync(log).error().code(), Code::kUnavailable);
  EXPECT_EQ(store->Sync(log).error().code(), Code::kUnavailable) << "a second sync proves nothing";
  EXPECT_EQ(store->Append(log, "x").error().code(), Code::kUnavailable);
  EXPECT_EQ(store->TruncateLog(log, 0).error().code(), Code::kUnavailable);
  BlobId other = store->Create().value();
  ASSERT_TRUE(store->Append(other, "other"));
  EXPECT_TRUE(store->Seal(other));
}

TEST(BlobCrash, ARestDoesNotMakeAFailedSyncForgotten) {
  SimDisk disk;
  auto store = DirBlobStore::Open(disk, "/blobs").value();
  BlobId log = store->OpenLog("results").value();
  ASSERT_TRUE(store->Sync(log));
  disk.FailOperation(0, DiskFault::kSyncError);
  ASSERT_FALSE(store->Sync(log));
  store->RestLog(log);
  EXPECT_EQ(store->Append(log, "x").error().code(), Code::kUnavailable);
}

TEST(BlobCrash, AFailedSyncOfTheDirectoryEndsTheTakingOfNames) {
  SimDisk disk;
  auto store = DirBlobStore::Open(disk, "/blobs").value();
  BlobId first = store->Create().value();
  BlobId second = store->Create().value();
  uint64_t sync_of_directory = disk.operations() + 3;  // after the file's sync and the rename
  disk.FailOperation(sync_of_directory, DiskFault::kSyncError);
  EXPECT_EQ(store->Seal(first).error().code(), Code::kUnavailable);
  EXPECT_TRUE(disk.fault_struck());
  EXPECT_EQ(store->Seal(first).error().code(), Code::kUnavailable);
  EXPECT_EQ(store->Seal(second).error().code(), Code::kUnavailable);
  EXPECT_EQ(store->Create().error().code(), Code::kUnavailable);
  EXPECT_EQ(store->OpenLog("l").error().code(), Code::kUnavailable);
  EXPECT_EQ(store->Delete(first).error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace inferq::blob
