#include "service/result_log.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "blob/dir_blob_store.h"
#include "testing/sim_disk.h"
#include "testing/sim_runtime.h"

namespace inferq::service {
namespace {

using base::Code;
using blob::BlobId;
using inferq::testing::DiskFault;
using inferq::testing::SimDisk;
using inferq::testing::SimRuntime;
using ::testing::ElementsAre;

std::vector<std::string> NamesOf(blob::BlobStore& blobs) {
  std::vector<std::string> names;
  for (auto& log : blobs.Logs()) names.push_back(log.name);
  return names;
}

/// A log with segments of ten bytes or a little more.
class ResultLogTest : public ::testing::Test {
 protected:
  ResultLogTest() { Open(); }

  void Open(std::string name = "results") {
    log_.reset();
    blobs_ = blob::DirBlobStore::Open(disk_, "/blobs").value();
    log_ = sim_.Run(ResultLog::Open(sim_, *blobs_, {.name = name, .segment_bytes = 10})).value();
  }
  base::Result<model::Extent> Append(std::string line) {
    return sim_.Run(log_->Append(std::move(line)));
  }
  /// Appends, and a record points to it.
  BlobId Record(std::string line) {
    model::Extent extent = Append(std::move(line)).value();
    log_->Recorded(extent);
    return extent.blob;
  }
  uint64_t Reclaim(std::vector<BlobId> in_use) {
    auto used = [in_use](BlobId blob) { return std::ranges::count(in_use, blob) > 0; };
    return sim_.Run(log_->Reclaim(used)).value();
  }

  SimDisk disk_;
  SimRuntime sim_;
  std::unique_ptr<blob::BlobStore> blobs_;
  std::unique_ptr<ResultLog> log_;
};

TEST_F(ResultLogTest, BeginsANewSegmentBehindAFullOne) {
  BlobId first = log_->current();
  EXPECT_EQ(Record("123456789"), first);
  EXPECT_EQ(Record("0"), first) << "it may pass the bound by one group";
  BlobId second = Record("next");
  EXPECT_EQ(log_->current(), second);
  EXPECT_THAT(log_->segments(), ElementsAre(first, second));
  EXPECT_THAT(NamesOf(*blobs_), ElementsAre("results", "results-2"));
  EXPECT_EQ(blobs_->Read({first, 0, 10}).value(), "1234567890");
  EXPECT_EQ(blobs_->Read({second, 0, 4}).value(), "next");
}

TEST_F(ResultLogTest, FindsItsNewestSegmentByNumber) {
  for (int i = 0; i < 11; ++i) Record("0123456789");
  BlobId newest = Record("eleven");
  Open();
  EXPECT_EQ(log_->segments().size(), 12u);
  EXPECT_EQ(log_->current(), newest);
  EXPECT_EQ(Record("goes on"), newest);
}

TEST_F(ResultLogTest, GoesOnInAStoreWithOneLog) {
  BlobId only = Record("old");
  Open();
  EXPECT_THAT(log_->segments(), ElementsAre(only));
  EXPECT_EQ(Record("new"), only);
}

TEST_F(ResultLogTest, KnowsItsOwnSegmentsOnly) {
  for (const char* other : {"results-x", "results-02", "results-1", "results-", "results-2x",
                            "results-0", "results_2", "result", "results-99999999999999999999"}) {
    ASSERT_TRUE(blobs_->OpenLog(other));
  }
  Open();
  EXPECT_THAT(log_->segments(), ElementsAre(log_->current()));
  Open("requests");
  Record("0123456789");
  Record("second");
  EXPECT_EQ(log_->segments().size(), 2u);
  EXPECT_EQ(Reclaim({}), 1u);
  Open();
  EXPECT_EQ(log_->segments().size(), 1u) << "the other log is still there";
}

TEST_F(ResultLogTest, GivesBackWhatNothingPointsTo) {
  BlobId first = Record("0123456789");
  BlobId second = Record("0123456789");
  BlobId third = Record("0123456789");
  BlobId current = Record("now");
  uint64_t used = disk_.used();
  EXPECT_EQ(Reclaim({second}), 2u);
  EXPECT_THAT(log_->segments(), ElementsAre(second, current));
  EXPECT_EQ(disk_.used(), used - 20);
  EXPECT_EQ(blobs_->Size(first).error().code(), Code::kNotFound);
  EXPECT_EQ(blobs_->Size(third).error().code(), Code::kNotFound);
  EXPECT_EQ(Reclaim({second}), 0u) << "again changes nothing";
  Open();
  EXPECT_THAT(log_->segments(), ElementsAre(second, current));
  EXPECT_EQ(Reclaim({}), 1u);
  EXPECT_THAT(log_->segments(), ElementsAre(current)) << "the current one stays";
  for (int i = 0; i < 2; ++i) Record("0123456789");
  EXPECT_THAT(NamesOf(*blobs_), ElementsAre("results-4", "results-5"));
}

TEST_F(ResultLogTest, KeepsASegmentUntilItsAppendsAreRecorded) {
  model::Extent one = Append("01234").value();
  model::Extent two = Append("56789").value();
  Record("next segment");
  EXPECT_EQ(Reclaim({}), 0u) << "their records do not point to it yet";
  log_->Recorded(one);
  EXPECT_EQ(Reclaim({}), 0u);
  log_->Recorded(two);
  EXPECT_EQ(Reclaim({}), 1u);
}

Awaitable<void> AppendAndCount(ResultLog& log, std::string line, std::vector<model::Extent>& out) {
  auto extent = co_await log.Append(std::move(line));
  if (extent) out.push_back(*extent);
}

TEST_F(ResultLogTest, OneSyncForAllThatWait) {
  uint64_t before = disk_.operations();
  std::vector<model::Extent> extents;
  runtime::Scope scope(sim_);
  for (int i = 0; i < 5; ++i) scope.Spawn(AppendAndCount(*log_, "abc", extents));
  sim_.Run(scope.Join());
  EXPECT_EQ(extents.size(), 5u);
  EXPECT_EQ(disk_.operations() - before, 2u + 2u) << "the first by itself, the others in one write";
}

TEST_F(ResultLogTest, AFullDiskPasses) {
  Record("0123456789");
  disk_.SetCapacity(disk_.used() + 2);
  EXPECT_EQ(Append("too long").error().code(), Code::kResourceExhausted);
  disk_.SetCapacity(UINT64_MAX);
  BlobId second = Record("fits");
  EXPECT_EQ(second, log_->current());
  EXPECT_EQ(Reclaim({}), 1u);
}

TEST_F(ResultLogTest, AFailedAppendHoldsNothing) {
  Record("012345678");
  disk_.SetCapacity(disk_.used() + 2);
  ASSERT_FALSE(Append("too long"));
  disk_.SetCapacity(UINT64_MAX);
  Record("9");
  Record("next segment");
  EXPECT_EQ(Reclaim({}), 1u);
}

TEST_F(ResultLogTest, AFailedSyncIsFinalAlsoForTheNextSegment) {
  disk_.FailOperation(0, DiskFault::kSyncError);
  EXPECT_EQ(Append("0123456789").error().code(), Code::kUnavailable);
  EXPECT_EQ(Append("next").error().code(), Code::kUnavailable);
  EXPECT_EQ(log_->segments().size(), 1u) << "nothing goes on behind it";
}

size_t OpenFiles() {
  size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory)) ++count;
  closedir(directory);
  return count;
}

TEST_F(ResultLogTest, OldSegmentsHaveNoFileOpen) {
  char root[] = "/tmp/inferq_result_log_XXXXXX";
  ASSERT_NE(mkdtemp(root), nullptr);
  base::FileSystem& files = base::PosixFileSystem();
  log_.reset();
  blobs_ = blob::DirBlobStore::Open(files, std::string(root) + "/blobs").value();
  log_ = sim_.Run(ResultLog::Open(sim_, *blobs_, {.name = "results", .segment_bytes = 10})).value();
  size_t before = OpenFiles();
  for (int i = 0; i < 5; ++i) Record("0123456789");
  EXPECT_EQ(log_->segments().size(), 5u);
  EXPECT_EQ(OpenFiles(), before) << "that of the current one only";
  EXPECT_TRUE(base::RemoveTree(files, root));
}

}  // namespace
}  // namespace inferq::service
