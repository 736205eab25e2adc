#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file_system.h"

namespace inferq::base {
namespace {

class PosixFileSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/inferq_fs_XXXXXX";
    root_ = mkdtemp(pattern);
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(fs_, root_)); }

  std::string root_;
  FileSystem& fs_ = PosixFileSystem();
};

TEST_F(PosixFileSystemTest, ReadsBackWhatWasWritten) {
  auto file = fs_.Open(root_ + "/a", OpenMode::kCreateNew).value();
  ASSERT_TRUE(file->WriteAt(3, "xyz"));
  ASSERT_TRUE(file->Sync());
  EXPECT_EQ(ReadFile(fs_, root_ + "/a").value(), std::string("\0\0\0xyz", 6));
  ASSERT_TRUE(file->Truncate(4));
  EXPECT_EQ(file->Size().value(), 4u);
}

TEST_F(PosixFileSystemTest, NamesTheMissingFile) {
  auto file = fs_.Open(root_ + "/none", OpenMode::kRead);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), Code::kNotFound);
  EXPECT_THAT(file.error().message(), testing::HasSubstr("/none: No such file"));
}

TEST_F(PosixFileSystemTest, CreateNewRefusesAnExistingFile) {
  ASSERT_TRUE(fs_.Open(root_ + "/a", OpenMode::kCreateNew));
  EXPECT_EQ(fs_.Open(root_ + "/a", OpenMode::kCreateNew).error().code(), Code::kAlreadyExists);
}

TEST_F(PosixFileSystemTest, AtomicWriteReplacesAndLeavesNoTemporary) {
  ASSERT_TRUE(WriteFileAtomically(fs_, root_ + "/a", "old"));
  ASSERT_TRUE(WriteFileAtomically(fs_, root_ + "/a", "new"));
  EXPECT_EQ(ReadFile(fs_, root_ + "/a").value(), "new");
  EXPECT_THAT(fs_.List(root_).value(), testing::ElementsAre("a"));
}

TEST(DirectoryOf, CutsTheLastPart) {
  EXPECT_EQ(DirectoryOf("a/b/c"), "a/b");
  EXPECT_EQ(DirectoryOf("c"), ".");
  EXPECT_EQ(DirectoryOf("/c"), "/");
}

}  // namespace
}  // namespace inferq::base
