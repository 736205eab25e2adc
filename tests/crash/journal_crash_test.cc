// The journal on a disk that loses what was not synced: the power goes at every operation in turn
// while an older store is brought to the version of today, and while forgotten batches are removed.

#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"
#include "queue/local/journal_words.h"
#include "queue/local/sqlite_journal.h"
#include "sqlite/database.h"
#include "testing/sim_disk.h"
#include "testing/sim_vfs.h"

namespace inferq::queue {
namespace {

using testing::CrashMode;

class World {
 public:
  World() : vfs_(disk_, "journal_crash_test") {
    EXPECT_TRUE(disk_.CreateDirectory("/q"));
    disk_.SyncAll();
  }

  testing::SimDisk& disk() { return disk_; }
  std::unique_ptr<Journal> Make() {
    return MakeSqliteJournal({.path = "/q/queue.db", .vfs = vfs_.name()});
  }
  base::Result<> Load(const std::string& sql) {
    sqlite::Database db;
    INFERQ_TRY(db.Open("/q/queue.db", vfs_.name()));
    return db.Exec(sql.c_str());
  }
  base::Result<int64_t> Ask(const char* sql) {
    sqlite::Database db;
    INFERQ_TRY(db.Open("/q/queue.db", vfs_.name()));
    return db.QueryInt(sql);
  }
  base::Result<std::string> Show() {
    Words words;
    auto journal = Make();
    INFERQ_TRY(journal->Open(words.Visitor()));
    return words.text();
  }

 private:
  testing::SimDisk disk_;
  testing::SimVfs vfs_;
};

std::string FileOf(const std::string& name) {
  std::string path = "src/queue/local/testdata/" + name;
  return base::ReadFile(base::PosixFileSystem(), path).value_or("cannot read " + path);
}

class JournalCrashTest : public ::testing::TestWithParam<CrashMode> {};

// @return false when the migration ended before operation `n`.
bool CrashAMigrationAt(uint64_t n, CrashMode mode, base::Rng& rng) {
  World world;
  EXPECT_TRUE(world.Load(FileOf("journal_v1.sql")));
  world.disk().SyncAll();
  world.disk().CrashAtOperation(world.disk().operations() + n);
  (void)world.Show();
  if (!world.disk().crashed()) return false;
  world.disk().Crash(rng, mode);
  auto version = world.Ask("PRAGMA user_version");
  EXPECT_TRUE(version) << version.error().ToString();
  // Tables of version 2 are all there or none is.
  auto tables = world.Ask("SELECT count(*) FROM sqlite_schema WHERE name IN ('batch', 'pause')");
  EXPECT_EQ(tables.value_or(-1), version.value_or(-1) == 1 ? 0 : 2);
  auto shown = world.Show();
  EXPECT_TRUE(shown) << shown.error().ToString();
  EXPECT_EQ(shown.value_or(""), FileOf("journal_v1.txt"));
  return true;
}

TEST_P(JournalCrashTest, AMigrationIsDoneOrNotBegun) {
  base::Rng rng(1);
  uint64_t n = 1;
  for (; CrashAMigrationAt(n, GetParam(), rng) && !HasFailure(); ++n) {
  }
  EXPECT_GT(n, 10u);
}

constexpr uint64_t kLines = 2500;

base::Result<> ForgetABatch(Journal& journal) {
  ChangeSet changes;
  changes.batches = {SomeBatch(21, kLines), SomeBatch(22, 1)};
  for (uint64_t i = 0; i < kLines; ++i) changes.lines.push_back(SomeLine(21, i, i + 1));
  changes.lines.push_back(SomeLine(22, 0, kLines + 1));
  INFERQ_TRY(journal.Commit(changes));
  ChangeSet forget;
  forget.batches = {SomeBatch(21, kLines)};
  forget.batches[0].forgotten = true;
  return journal.Commit(forget);
}

base::Result<> MaintainAll(Journal& journal) {
  while (true) {
    INFERQ_ASSIGN(bool more, journal.Maintain());
    if (!more) return {};
  }
}

bool CrashARemovalAt(uint64_t n, CrashMode mode, base::Rng& rng) {
  World world;
  {
    auto journal = world.Make();
    EXPECT_TRUE(journal->Open(Words().Visitor()));
    EXPECT_TRUE(ForgetABatch(*journal));
    world.disk().CrashAtOperation(world.disk().operations() + n);
    (void)MaintainAll(*journal);
  }
  if (!world.disk().crashed()) return false;
  world.disk().Crash(rng, mode);
  Words words;
  auto journal = world.Make();
  EXPECT_TRUE(journal->Open(words.Visitor()));
  EXPECT_EQ(words.text().find("batch_0000000000000015"), std::string::npos);
  EXPECT_TRUE(MaintainAll(*journal));
  EXPECT_TRUE(journal->Close());
  EXPECT_EQ(world.Ask("SELECT count(*) FROM line").value_or(-1), 1) << "found again and removed";
  EXPECT_EQ(world.Ask("SELECT count(*) FROM garbage").value_or(-1), 0);
  return true;
}

TEST_P(JournalCrashTest, ForgottenLinesAreRemovedInTheEnd) {
  base::Rng rng(2);
  uint64_t n = 1;
  for (; CrashARemovalAt(n, GetParam(), rng) && !HasFailure(); ++n) {
  }
  EXPECT_GT(n, 10u);
}

INSTANTIATE_TEST_SUITE_P(Modes, JournalCrashTest,
                         ::testing::Values(CrashMode::kStrict, CrashMode::kRandom),
                         [](const auto& mode) {
                           return mode.param == CrashMode::kStrict ? "Strict" : "Random";
                         });

}  // namespace
}  // namespace inferq::queue
