#include "service/verified_file.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace inferq::service {
namespace {

class VerifiedFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/inferq_verified_XXXXXX";
    root_ = mkdtemp(pattern);
  }
  void TearDown() override { EXPECT_TRUE(base::RemoveTree(fs_, root_)); }

  void Existing(std::string_view contents) {
    ASSERT_TRUE(base::WriteFileAtomically(fs_, path(), contents));
  }
  // Puts three lines and returns how many bytes of the file were replaced.
  uint64_t PutAll() {
    auto file = VerifiedFile::Open(fs_, path()).value();
    for (const char* line : {"one\n", "two\n", "three\n"}) EXPECT_TRUE(file->Put(line));
    EXPECT_TRUE(file->Flush());
    EXPECT_EQ(file->size(), 14u);
    return file->repaired();
  }
  std::string Contents() { return base::ReadFile(fs_, path()).value(); }
  std::string path() const { return root_ + "/out"; }

  std::string root_;
  base::FileSystem& fs_ = base::PosixFileSystem();
};

constexpr std::string_view kWhole = "one\ntwo\nthree\n";

TEST_F(VerifiedFileTest, WritesANewFile) {
  EXPECT_EQ(PutAll(), 0u);
  EXPECT_EQ(Contents(), kWhole);
}

TEST_F(VerifiedFileTest, KeepsWhatAgrees) {
  Existing("one\ntwo\n");
  EXPECT_EQ(PutAll(), 0u);
  EXPECT_EQ(Contents(), kWhole);
}

TEST_F(VerifiedFileTest, RepairsATornLastLine) {
  Existing("one\ntwo\nth");
  EXPECT_EQ(PutAll(), 2u);
  EXPECT_EQ(Contents(), kWhole);
}

TEST_F(VerifiedFileTest, RewritesFromTheFirstDifference) {
  Existing(std::string("one\n\0\0\0\0three\n", 14));
  EXPECT_EQ(PutAll(), 10u);
  EXPECT_EQ(Contents(), kWhole);
}

TEST_F(VerifiedFileTest, CutsWhatLiesBehind) {
  Existing("one\ntwo\nthree\nfour\n");
  EXPECT_EQ(PutAll(), 5u);
  EXPECT_EQ(Contents(), kWhole);
}

TEST_F(VerifiedFileTest, FlushBetweenLinesKeepsWhatIsPut) {
  auto file = VerifiedFile::Open(fs_, path()).value();
  ASSERT_TRUE(file->Put("one\n"));
  ASSERT_TRUE(file->Flush());
  ASSERT_TRUE(file->Put("two\n"));
  ASSERT_TRUE(file->Sync());
  EXPECT_EQ(Contents(), "one\ntwo\n");
}

}  // namespace
}  // namespace inferq::service
