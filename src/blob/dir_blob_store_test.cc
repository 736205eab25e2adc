#include "blob/dir_blob_store.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

namespace inferq::blob {
namespace {

using base::Code;
using model::Extent;
using testing::ElementsAre;
using testing::HasSubstr;

/// On the machine's own files. What a power cut does is in tests/crash/blob_crash_test.cc.
class DirBlobStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/inferq_blob_XXXXXX";
    root_ = mkdtemp(pattern);
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    EXPECT_TRUE(base::RemoveTree(fs_, root_));
  }
  void Reopen() {
    store_.reset();
    store_ = DirBlobStore::Open(fs_, root_ + "/blobs").value();
  }
  BlobId Sealed(std::string_view contents) {
    BlobId id = store_->Create().value();
    EXPECT_TRUE(store_->Append(id, contents));
    EXPECT_TRUE(store_->Seal(id));
    return id;
  }
  std::string All(BlobId id) { return store_->Read({id, 0, store_->Size(id).value()}).value(); }
  Code ReadCode(Extent extent) { return store_->Read(extent).error().code(); }

  std::string root_;
  base::FileSystem& fs_ = base::PosixFileSystem();
  std::unique_ptr<BlobStore> store_;
};

TEST_F(DirBlobStoreTest, ReadsWhatWasAppended) {
  BlobId id = store_->Create().value();
  EXPECT_EQ(store_->Append(id, "hello ").value(), (Extent{id, 0, 6}));
  Extent second = store_->Append(id, "world").value();
  EXPECT_EQ(second, (Extent{id, 6, 5}));
  EXPECT_EQ(store_->Read(second).value(), "world") << "before the seal";
  ASSERT_TRUE(store_->Seal(id));
  EXPECT_EQ(store_->Read({id, 3, 5}).value(), "lo wo");
  EXPECT_EQ(store_->Append(id, "x").error().code(), Code::kFailedPrecondition);
  Reopen();
  EXPECT_EQ(All(id), "hello world");
  EXPECT_EQ(store_->Append(id, "x").error().code(), Code::kFailedPrecondition);
}

TEST_F(DirBlobStoreTest, AnUnsealedBlobIsGoneAfterARestart) {
  BlobId kept = Sealed("kept");
  BlobId lost = store_->Create().value();
  ASSERT_TRUE(store_->Append(lost, "lost"));
  ASSERT_TRUE(store_->Sync(lost));
  EXPECT_THAT(store_->List().value(), ElementsAre(kept));
  Reopen();
  EXPECT_THAT(store_->List().value(), ElementsAre(kept));
  EXPECT_EQ(store_->Size(lost).error().code(), Code::kNotFound);
  EXPECT_THAT(fs_.List(root_ + "/blobs").value(), testing::SizeIs(2)) << "ids and the sealed one";
}

TEST_F(DirBlobStoreTest, ALogGoesOnAfterARestart) {
  BlobId log = store_->OpenLog("results").value();
  ASSERT_TRUE(store_->Append(log, "one"));
  ASSERT_TRUE(store_->Sync(log));
  Reopen();
  EXPECT_EQ(store_->OpenLog("results").value(), log);
  EXPECT_NE(store_->OpenLog("other").value(), log);
  EXPECT_EQ(store_->Append(log, "two").value(), (Extent{log, 3, 3}));
  ASSERT_TRUE(store_->TruncateLog(log, 4));
  EXPECT_EQ(store_->Append(log, "x").value().offset, 4u);
  EXPECT_EQ(All(log), "onetx");
  EXPECT_EQ(store_->TruncateLog(log, 6).error().code(), Code::kOutOfRange);
  EXPECT_EQ(store_->Seal(log).error().code(), Code::kFailedPrecondition);
}

TEST_F(DirBlobStoreTest, TruncatesLogsOnly) {
  BlobId id = store_->Create().value();
  EXPECT_EQ(store_->TruncateLog(id, 0).error().code(), Code::kFailedPrecondition);
}

TEST_F(DirBlobStoreTest, RefusesBadLogNames) {
  for (std::string name : {"", "A", "a/b", "..", "a.log", "é"}) {
    EXPECT_EQ(store_->OpenLog(name).error().code(), Code::kInvalidArgument) << name;
  }
  EXPECT_FALSE(store_->OpenLog(std::string(65, 'a')));
  EXPECT_TRUE(store_->OpenLog(std::string(64, 'a')));
}

TEST_F(DirBlobStoreTest, TellsMissingBlobsFromShortOnes) {
  BlobId id = Sealed("1234");
  EXPECT_EQ(ReadCode({999, 0, 1}), Code::kNotFound);
  EXPECT_EQ(ReadCode({id, 2, 3}), Code::kDataLoss);
  EXPECT_EQ(ReadCode({id, 5, 1}), Code::kDataLoss);
  EXPECT_EQ(ReadCode({id, UINT64_MAX, 2}), Code::kDataLoss);
  EXPECT_EQ(ReadCode({id, 1, UINT64_MAX}), Code::kDataLoss) << "and allocates nothing";
  EXPECT_EQ(store_->Read({id, 4, 0}).value(), "");
  BlobId log = store_->OpenLog("l").value();
  EXPECT_EQ(ReadCode({log, 0, 1}), Code::kDataLoss);
  EXPECT_EQ(store_->Append(999, "x").error().code(), Code::kNotFound);
}

TEST_F(DirBlobStoreTest, AFileCutFromOutsideIsDataLoss) {
  BlobId id = Sealed("1234");
  EXPECT_EQ(All(id), "1234");
  std::string path = fmt::format("{}/blobs/{:016x}.blob", root_, id);
  ASSERT_TRUE(fs_.Open(path, base::OpenMode::kReadWrite).value()->Truncate(2));
  EXPECT_EQ(ReadCode({id, 0, 4}), Code::kDataLoss);
}

TEST_F(DirBlobStoreTest, DeletesForGood) {
  BlobId id = Sealed("x");
  BlobId log = store_->OpenLog("l").value();
  EXPECT_EQ(All(id), "x");
  ASSERT_TRUE(store_->Delete(id));
  ASSERT_TRUE(store_->Delete(log));
  EXPECT_TRUE(store_->Delete(id)) << "gone already";
  EXPECT_EQ(ReadCode({id, 0, 1}), Code::kNotFound);
  EXPECT_NE(store_->OpenLog("l").value(), log);
  Reopen();
  EXPECT_EQ(ReadCode({id, 0, 1}), Code::kNotFound);
}

TEST_F(DirBlobStoreTest, NeverRepeatsANumber) {
  BlobId last = 0;
  for (int run = 0; run < 3; ++run) {
    for (int i = 0; i < 1500; ++i) {
      BlobId id = store_->Create().value();
      ASSERT_GT(id, last);
      last = id;
      ASSERT_TRUE(store_->Delete(id));
    }
    Reopen();
  }
}

TEST_F(DirBlobStoreTest, RefusesToOpenWhenNumbersCouldRepeat) {
  Sealed("x");
  store_.reset();
  std::string ids = root_ + "/blobs/ids";
  for (std::string text : {"1", "0", "", "1x"}) {
    ASSERT_TRUE(base::WriteFileAtomically(fs_, ids, text));
    EXPECT_EQ(DirBlobStore::Open(fs_, root_ + "/blobs").error().code(), Code::kDataLoss) << text;
  }
  ASSERT_TRUE(fs_.Remove(ids));
  EXPECT_THAT(DirBlobStore::Open(fs_, root_ + "/blobs").error().message(),
              HasSubstr("write a number into it"));
  ASSERT_TRUE(base::WriteFileAtomically(fs_, ids, "7\n"));
  EXPECT_EQ(DirBlobStore::Open(fs_, root_ + "/blobs").value()->Create().value(), 7u);
}

TEST_F(DirBlobStoreTest, LeavesForeignFilesAlone) {
  std::string foreign = root_ + "/blobs/0000000000000001.Not-ours.log";
  ASSERT_TRUE(base::WriteFileAtomically(fs_, foreign, "x"));
  Reopen();
  EXPECT_TRUE(store_->List().value().empty());
  EXPECT_TRUE(fs_.Exists(foreign).value());
}

size_t OpenFiles() {
  size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory)) ++count;
  closedir(directory);
  return count;
}

TEST_F(DirBlobStoreTest, KeepsFewFilesOpen) {
  size_t before = OpenFiles();
  std::vector<BlobId> ids;
  for (size_t i = 0; i < 3 * DirBlobStore::kOpenFilesMax; ++i) ids.push_back(Sealed("x"));
  EXPECT_EQ(OpenFiles(), before) << "sealing closes";
  for (BlobId id : ids) EXPECT_EQ(All(id), "x");
  EXPECT_EQ(OpenFiles(), before + DirBlobStore::kOpenFilesMax);
  EXPECT_EQ(All(ids.back()), "x");
  EXPECT_EQ(OpenFiles(), before + DirBlobStore::kOpenFilesMax) << "reading again opens nothing";
  for (BlobId id : ids) EXPECT_TRUE(store_->Delete(id));
  EXPECT_EQ(OpenFiles(), before);
}

TEST_F(DirBlobStoreTest, ALogThatRestsHasNoFileOpen) {
  size_t before = OpenFiles();
  BlobId log = store_->OpenLog("l").value();
  ASSERT_TRUE(store_->Append(log, "one;"));
  store_->RestLog(log);
  EXPECT_EQ(OpenFiles(), before + 1) << "what is not synced must not be forgotten";
  ASSERT_TRUE(store_->Sync(log));
  store_->RestLog(log);
  store_->RestLog(log);
  EXPECT_EQ(OpenFiles(), before);
  EXPECT_EQ(store_->Append(log, "two;").value(), (Extent{log, 4, 4}));
  ASSERT_TRUE(store_->Sync(log));
  ASSERT_TRUE(store_->Append(log, "three;"));
  store_->RestLog(log);
  EXPECT_EQ(OpenFiles(), before + 1) << "not synced since";
  ASSERT_TRUE(store_->Sync(log));
  ASSERT_TRUE(store_->TruncateLog(log, 6));
  store_->RestLog(log);
  EXPECT_EQ(OpenFiles(), before + 1) << "nor is a cut";
  EXPECT_EQ(store_->Append(log, "!").value(), (Extent{log, 6, 1}));
  Reopen();
  EXPECT_EQ(OpenFiles(), before) << "logs rest at first";
  EXPECT_THAT(store_->Logs(), ElementsAre(testing::Field(&Log::id, log)));
  EXPECT_EQ(All(log), "one;tw!");
  store_->RestLog(log + 1);
  store_->RestLog(Sealed("x"));
}

TEST_F(DirBlobStoreTest, ReadersAndBuildersWorkAtTheSameTime) {
  BlobId log = store_->OpenLog("l").value();
  std::atomic<uint64_t> synced = 0;
  std::thread appender([&] {
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(store_->Append(log, fmt::format("{:08}", i)));
      synced = store_->Size(log).value();
    }
  });
  std::thread sealer([&] {
    for (int i = 0; i < 50; ++i) {
      BlobId id = Sealed("contents");
      EXPECT_EQ(All(id), "contents");
      EXPECT_TRUE(store_->Delete(id));
    }
  });
  auto read = [&] {
    for (uint64_t i = 0; i < 300;) {
      if (synced < (i + 1) * 8) continue;
      ASSERT_EQ(store_->Read({log, i * 8, 8}).value(), fmt::format("{:08}", i));
      ++i;
    }
  };
  std::thread reader(read);
  read();
  reader.join();
  appender.join();
  sealer.join();
}

}  // namespace
}  // namespace inferq::blob
