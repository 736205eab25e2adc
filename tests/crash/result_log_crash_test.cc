#include <gtest/gtest.h>

#include <deque>

#include "blob/dir_blob_store.h"
#include "service/result_log.h"
#include "testing/sim_disk.h"
#include "testing/sim_runtime.h"

// Power cuts and disk faults at every operation of appends, new segments and reclaims: what was
// acknowledged and is pointed to is there, and the log goes on.

namespace inferq::service {
namespace {

using blob::BlobId;
using inferq::testing::CrashMode;
using inferq::testing::DiskFault;
using inferq::testing::SimDisk;
using inferq::testing::SimRuntime;

constexpr uint64_t kSegmentBytes = 30;
constexpr int kLines = 12;
constexpr size_t kKeep = 5;  // records that there are at most

/// The records: what durable extents say, and what their lines are.
struct Records {
  std::deque<std::pair<model::Extent, std::string>> live;  // the oldest first
  int lines = 0;  ///< Appended ever, for lines that differ.

  bool Uses(BlobId blob) const {
    return std::ranges::any_of(live, [blob](auto& record) { return record.first.blob == blob; });
  }
};

/// One process: appends lines, some at once, records them, drops the oldest records, reclaims.
class Run {
 public:
  Run(SimRuntime& sim, blob::BlobStore& blobs, Records& records)
      : sim_(sim), blobs_(blobs), records_(records) {}

  /// @return whether no call failed.
  bool Play() {
    ResultLog::Options options{.name = "results", .segment_bytes = kSegmentBytes};
    auto log = sim_.Run(ResultLog::Open(sim_, blobs_, options));
    if (!log) return false;
    log_ = std::move(*log);
    for (int i = 0; i < kLines; i += 3) {
      runtime::Scope scope(sim_);
      for (int together = 0; together < 3; ++together) scope.Spawn(AppendOne());
      scope.Spawn(ReclaimOnce());
      sim_.Run(scope.Join());
    }
    return ok_;
  }

 private:
  Awaitable<void> AppendOne() {
    std::string line = fmt::format("line {:03};", ++records_.lines);
    auto extent = co_await log_->Append(line);
    ok_ &= extent.has_value();
    if (!extent) co_return;
    co_await ReclaimOnce();  // before the record is there
    records_.live.emplace_back(*extent, line);
    log_->Recorded(*extent);
    if (records_.live.size() > kKeep) records_.live.pop_front();
  }

  Awaitable<void> ReclaimOnce() {
    auto in_use = [this](BlobId blob) { return records_.Uses(blob); };
    auto reclaimed = co_await log_->Reclaim(in_use);
    ok_ &= reclaimed.has_value();
  }

  SimRuntime& sim_;
  blob::BlobStore& blobs_;
  Records& records_;
  std::unique_ptr<ResultLog> log_;
  bool ok_ = true;
};

void CheckAll(blob::BlobStore& blobs, const Records& records) {
  for (auto& [extent, line] : records.live) {
    auto read = blobs.Read(extent);
    ASSERT_TRUE(read) << line << ": " << read.error().ToString();
    EXPECT_EQ(*read, line);
  }
}

/// Plays over `disk`, which fails somewhere, then cuts the power, looks, and plays to the end.
void PlayAndCheck(SimDisk& disk, base::Rng& rng, CrashMode mode) {
  SimRuntime sim({.seed = 1, .max_blocking_delay = std::chrono::milliseconds(1)});
  Records records;
  if (auto blobs = blob::DirBlobStore::Open(disk, "/blobs")) Run(sim, **blobs, records).Play();
  for (int round = 0; round < 2; ++round) {
    disk.Crash(rng, mode);
    auto blobs = blob::DirBlobStore::Open(disk, "/blobs");
    ASSERT_TRUE(blobs) << blobs.error().ToString();
    ASSERT_NO_FATAL_FAILURE(CheckAll(**blobs, records));
    EXPECT_TRUE(Run(sim, **blobs, records).Play()) << "the log works on";
    ASSERT_NO_FATAL_FAILURE(CheckAll(**blobs, records));
    EXPECT_LE((*blobs)->Logs().size(), 4u) << "and gives room back";
  }
}

uint64_t OperationsOfARun() {
  SimDisk disk;
  SimRuntime sim({.seed = 1, .max_blocking_delay = std::chrono::milliseconds(1)});
  Records records;
  auto blobs = blob::DirBlobStore::Open(disk, "/blobs").value();
  EXPECT_TRUE(Run(sim, *blobs, records).Play());
  EXPECT_GE(blobs->Logs().back().name, "results-3") << "segments begin and go";
  return disk.operations();
}

TEST(ResultLogCrash, NothingInUseIsLostAtAnyPowerCut) {
  base::Rng rng(1);
  for (CrashMode mode : {CrashMode::kStrict, CrashMode::kRandom}) {
    for (uint64_t n = 1; n <= OperationsOfARun(); ++n) {
      SCOPED_TRACE(fmt::format("power cut at operation {}", n));
      SimDisk disk;
      disk.CrashAtOperation(n);
      PlayAndCheck(disk, rng, mode);
    }
  }
}

TEST(ResultLogCrash, NothingInUseIsLostAfterAnyDiskFault) {
  base::Rng rng(2);
  for (DiskFault fault : {DiskFault::kNoSpace, DiskFault::kWriteError, DiskFault::kSyncError}) {
    for (uint64_t n = 1; n <= OperationsOfARun(); ++n) {
      SCOPED_TRACE(fmt::format("fault {} from operation {} on", static_cast<int>(fault), n));
      SimDisk disk;
      disk.FailOperation(n, fault);
      PlayAndCheck(disk, rng, n % 2 ? CrashMode::kStrict : CrashMode::kRandom);
    }
  }
}

}  // namespace
}  // namespace inferq::service
