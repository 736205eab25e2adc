#include "testing/sim_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace inferq::testing {
namespace {

using base::Code;
using base::OpenMode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SimDiskTest : public ::testing::Test {
 protected:
  /// A file that has `contents` for good.
  std::unique_ptr<base::File> Durable(const std::string& path, std::string_view contents) {
    auto file = disk_.Open(path, OpenMode::kReadWrite).value();
    EXPECT_TRUE(file->WriteAt(0, contents));
    disk_.SyncAll();
    return file;
  }
  std::string Contents(const std::string& path) { return base::ReadFile(disk_, path).value(); }

  SimDisk disk_;
  base::Rng rng_{1};
};

TEST_F(SimDiskTest, BehavesAsAFileSystem) {
  ASSERT_TRUE(disk_.CreateDirectory("/d"));
  auto file = disk_.Open("/d/b", OpenMode::kCreateNew).value();
  ASSERT_TRUE(file->WriteAt(3, "xyz"));
  EXPECT_EQ(Contents("/d/b"), std::string("\0\0\0xyz", 6));
  ASSERT_TRUE(file->Truncate(4));
  EXPECT_EQ(file->Size().value(), 4u);
  EXPECT_EQ(disk_.Open("/d/b", OpenMode::kCreateNew).error().code(), Code::kAlreadyExists);
  EXPECT_EQ(disk_.Open("/d/c", OpenMode::kRead).error().code(), Code::kNotFound);
  EXPECT_EQ(disk_.Remove("/d/c").error().code(), Code::kNotFound);
  EXPECT_FALSE(disk_.Remove("/d"));
  ASSERT_TRUE(disk_.Rename("/d/b", "d/a"));
  EXPECT_THAT(disk_.List("/d").value(), ElementsAre("a"));
  ASSERT_TRUE(base::WriteFileAtomically(disk_, "/d/a", "new"));
  EXPECT_EQ(Contents("/d/a"), "new");
  EXPECT_FALSE(disk_.Open("/d/a", OpenMode::kRead).value()->WriteAt(0, "x"));
  ASSERT_TRUE(base::RemoveTree(disk_, "/d"));
  EXPECT_FALSE(disk_.Exists("/d").value());
}

TEST_F(SimDiskTest, StrictCrashKeepsExactlyWhatWasSynced) {
  auto file = Durable("/a", "durable");
  ASSERT_TRUE(file->WriteAt(0, "synced!"));
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(file->WriteAt(0, "lost"));
  ASSERT_TRUE(file->Truncate(2));
  disk_.Crash(rng_, CrashMode::kStrict);
  EXPECT_EQ(Contents("/a"), "synced!");
  EXPECT_EQ(file->Size().error().code(), Code::kUnavailable);
  EXPECT_EQ(file->WriteAt(0, "x").error().code(), Code::kUnavailable);
}

TEST_F(SimDiskTest, ANameIsDurableOnlyAfterSyncDirectory) {
  Durable("/kept", "k");
  Durable("/old", "o");
  auto file = disk_.Open("/new", OpenMode::kReadWrite).value();
  ASSERT_TRUE(file->WriteAt(0, "n"));
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(disk_.Rename("/old", "/renamed"));
  ASSERT_TRUE(disk_.Remove("/kept"));
  disk_.Crash(rng_, CrashMode::kStrict);
  EXPECT_THAT(disk_.List("/").value(), ElementsAre("kept", "old"));

  ASSERT_TRUE(disk_.Rename("/old", "/renamed"));
  ASSERT_TRUE(disk_.Remove("/kept"));
  ASSERT_TRUE(disk_.SyncDirectory("/"));
  disk_.Crash(rng_, CrashMode::kStrict);
  EXPECT_THAT(disk_.List("/").value(), ElementsAre("renamed"));
  EXPECT_EQ(Contents("/renamed"), "o");
}

TEST_F(SimDiskTest, RandomCrashKeepsLosesAndTearsSectors) {
  std::set<std::string> kinds;
  for (int i = 0; i < 200; ++i) {
    auto file = Durable("/a", std::string(1024, 'o'));
    ASSERT_TRUE(file->WriteAt(0, std::string(1024, 'n')));
    disk_.Crash(rng_);
    std::string image = Contents("/a");
    ASSERT_EQ(image.size(), 1024u);
    std::string kind;
    for (std::string_view half :
         {std::string_view(image).substr(0, 512), std::string_view(image).substr(512)}) {
      size_t kept = std::min(half.find('o'), half.size());
      EXPECT_EQ(half.find('n', kept), std::string_view::npos) << "a tear keeps the front";
      kind += kept == 0 ? 'o' : kept == 512 ? 'n' : 't';
    }
    kinds.insert(kind);
  }
  EXPECT_EQ(kinds.size(), 9u) << "every combination of kept, lost and torn";
}

TEST_F(SimDiskTest, RandomCrashKeepsAPrefixOfNameChanges) {
  std::set<std::vector<std::string>> outcomes;
  for (int i = 0; i < 100; ++i) {
    SimDisk disk;
    disk.Open("/a", OpenMode::kReadWrite).value();
    disk.SyncAll();
    ASSERT_TRUE(disk.Rename("/a", "/b"));
    disk.Open("/c", OpenMode::kReadWrite).value();
    ASSERT_TRUE(disk.Remove("/b"));
    disk.Crash(rng_);
    outcomes.insert(disk.List("/").value());
  }
  EXPECT_THAT(outcomes, ::testing::UnorderedElementsAre(ElementsAre("a"), ElementsAre("b"),
                                                        ElementsAre("b", "c"), ElementsAre("c")));
}

TEST_F(SimDiskTest, TheSameSeedGivesTheSameBytes) {
  auto run = [] {
    SimDisk disk;
    base::Rng rng(7);
    auto file = disk.Open("/a", OpenMode::kReadWrite).value();
    for (uint64_t i = 0; i < 20; ++i) EXPECT_TRUE(file->WriteAt(i * 300, std::string(700, 'x')));
    disk.SyncDirectory("/").value();
    disk.Crash(rng);
    return base::ReadFile(disk, "/a").value();
  };
  EXPECT_EQ(run(), run());
}

TEST_F(SimDiskTest, CountdownTurnsThePowerOffUntilCrash) {
  auto file = Durable("/a", "a");
  disk_.CrashAtOperation(disk_.operations() + 2);
  ASSERT_TRUE(file->WriteAt(0, "b"));
  EXPECT_FALSE(disk_.crashed());
  EXPECT_THAT(file->Sync().error().message(), HasSubstr("(sync)"));
  EXPECT_TRUE(disk_.crashed());
  char byte;
  EXPECT_EQ(file->ReadAt(0, &byte, 1).error().code(), Code::kUnavailable);
  EXPECT_EQ(disk_.Exists("/a").error().code(), Code::kUnavailable);
  disk_.Crash(rng_, CrashMode::kStrict);
  EXPECT_EQ(Contents("/a"), "a");
}

TEST_F(SimDiskTest, FaultsStrikeOnceTheOperationTheyFit) {
  auto file = Durable("/a", "");
  disk_.FailOperation(disk_.operations() + 1, DiskFault::kNoSpace);
  ASSERT_TRUE(file->Sync());
  EXPECT_FALSE(disk_.fault_struck());
  EXPECT_EQ(file->WriteAt(0, "abcd").error().code(), Code::kResourceExhausted);
  EXPECT_TRUE(disk_.fault_struck());
  EXPECT_EQ(Contents("/a"), "ab");
  disk_.FailOperation(0, DiskFault::kWriteError);
  EXPECT_EQ(file->WriteAt(0, "abcd").error().code(), Code::kUnavailable);
  EXPECT_TRUE(file->WriteAt(0, "abcd"));
}

TEST_F(SimDiskTest, WhatAFailedSyncCoveredIsLostEvenIfALaterOneSucceeds) {
  auto file = Durable("/a", "....");
  ASSERT_TRUE(file->WriteAt(0, "xx"));
  disk_.FailOperation(0, DiskFault::kSyncError);
  EXPECT_EQ(file->Sync().error().code(), Code::kUnavailable);
  ASSERT_TRUE(file->WriteAt(2, "yy"));
  ASSERT_TRUE(file->Sync());
  EXPECT_EQ(Contents("/a"), "xxyy");
  disk_.Crash(rng_);
  EXPECT_EQ(Contents("/a"), "..yy");
}

TEST_F(SimDiskTest, AFailedSyncOfNamesLeavesThemToTheNextOne) {
  Durable("/a", "a");
  ASSERT_TRUE(disk_.Rename("/a", "/b"));
  disk_.FailOperation(0, DiskFault::kSyncError);
  EXPECT_FALSE(disk_.SyncDirectory("/"));
  ASSERT_TRUE(disk_.SyncDirectory("/"));
  disk_.Crash(rng_, CrashMode::kStrict);
  EXPECT_EQ(Contents("/b"), "a");
}

TEST_F(SimDiskTest, ADeadProcessLosesItsHandlesAndLeavesTheRestToTheSystem) {
  auto file = Durable("/a", "...");
  ASSERT_TRUE(file->WriteAt(0, "new"));
  disk_.Crash(rng_, CrashMode::kProcess);
  EXPECT_EQ(file->WriteAt(0, "x").error().code(), Code::kUnavailable);
  EXPECT_EQ(Contents("/a"), "new");
  disk_.Crash(rng_, CrashMode::kStrict);
  EXPECT_EQ(Contents("/a"), "...");
}

TEST_F(SimDiskTest, AFullDiskTakesWhatFits) {
  auto file = Durable("/a", "1234");
  disk_.SetCapacity(6);
  EXPECT_EQ(file->WriteAt(2, "abcdef").error().code(), Code::kResourceExhausted);
  EXPECT_EQ(Contents("/a"), "12abcd");
  EXPECT_EQ(disk_.used(), 6u);
  EXPECT_TRUE(file->WriteAt(0, "xxxxxx")) << "overwriting needs no room";
  disk_.SetCapacity(UINT64_MAX);
  EXPECT_TRUE(file->WriteAt(6, "more"));
}

TEST_F(SimDiskTest, ARemovedFileLivesWhileItIsOpenAndMayComeBack) {
  auto file = Durable("/a", "a");
  ASSERT_TRUE(disk_.Remove("/a"));
  ASSERT_TRUE(file->WriteAt(1, "b"));
  EXPECT_EQ(file->Size().value(), 2u);
  disk_.Crash(rng_, CrashMode::kStrict);
  EXPECT_EQ(Contents("/a"), "a");
}

}  // namespace
}  // namespace inferq::testing
