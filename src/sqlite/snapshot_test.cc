#include "sqlite/snapshot.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file_system.h"
#include "sqlite/store.h"

namespace inferq::sqlite {
namespace {

constexpr const char* kVersions[] = {"CREATE TABLE number (n INTEGER) STRICT;"};
constexpr Format kFormat{
    .name = "numbers", .application_id = 5, .versions = kVersions, .read_beside = true};

class SnapshotTest : public ::testing::Test {
 protected:
  SnapshotTest() {
    directory_ =
        (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_snapshot_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    EXPECT_TRUE(OpenStore(few_, Path("few"), "", kFormat));
    EXPECT_TRUE(OpenStore(many_, Path("many"), "", kFormat));
  }
  ~SnapshotTest() override {
    few_.Close();
    many_.Close();
    EXPECT_TRUE(base::RemoveTree(base::PosixFileSystem(), directory_));
  }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  static void Add(Database& db) { ASSERT_TRUE(db.Exec("INSERT INTO number VALUES (1)")); }
  int64_t NumbersIn(const std::string& name) const {
    Database db;
    EXPECT_TRUE(OpenReader(db, Path(name), "", kFormat));
    return db.QueryInt("SELECT count(*) FROM number").value_or(-1);
  }

  std::string directory_;
  Database few_;
  Database many_;
};

TEST_F(SnapshotTest, CopiesOneMomentOfFilesThatAreWritten) {
  Add(few_);
  Add(many_);
  auto snapshot = Snapshot::Take({Path("few"), Path("many")});
  ASSERT_TRUE(snapshot) << snapshot.error().ToString();
  Add(many_);
  ASSERT_TRUE((*snapshot)->CopyTo(0, Path("few.copy")));
  Add(few_);
  ASSERT_TRUE((*snapshot)->CopyTo(1, Path("many.copy")));
  EXPECT_EQ(NumbersIn("few.copy"), 1);
  EXPECT_EQ(NumbersIn("many.copy"), 1);
}

TEST_F(SnapshotTest, AMissingFileIsAnError) {
  EXPECT_FALSE(Snapshot::Take({Path("few"), Path("none")}).has_value());
}

}  // namespace
}  // namespace inferq::sqlite
