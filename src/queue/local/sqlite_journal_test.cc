#include "queue/local/sqlite_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "sqlite/database.h"

namespace inferq::queue {
namespace {

using base::Code;
using ::testing::HasSubstr;

class SqliteJournalTest : public ::testing::Test {
 protected:
  SqliteJournalTest() {
    directory_ =
        (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_journal_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/queue.db";
  }
  ~SqliteJournalTest() override {
    EXPECT_TRUE(base::RemoveTree(base::PosixFileSystem(), directory_));
  }

  std::unique_ptr<Journal> Make() { return MakeSqliteJournal({.path = path_, .vfs = ""}); }
  RecoveryVisitor Visitor() {
    return {.on_task = [this](SpecRow spec, StateRow,
                              std::string) { tasks_.push_back(std::move(spec)); },
            .on_key = [this](KeyRow row) { keys_.push_back(std::move(row)); },
            .on_tenant_time = [this](TenantTime row) { times_.push_back(std::move(row)); },
            .on_meta = [this](Meta meta) { meta_ = meta; }};
  }
  // A store with one task.
  void MakeStore() {
    auto journal = Make();
    ASSERT_TRUE(journal->Open(Visitor()));
    ChangeSet changes;
    SpecRow& row = changes.specs.emplace_back();
    row.id = model::TaskId{1};
    row.spec.lane = "m";
    changes.states.emplace_back().id = model::TaskId{1};
    changes.keys.push_back({"t", "k", model::TaskId{1}, 5, base::WallTime(base::Micros(7))});
    changes.tenant_times.push_back({"t", 0.1});
    changes.meta = Meta{.incarnation = 4, .last_task = 1, .last_batch = 2, .last_finish = 3};
    ASSERT_TRUE(journal->Commit(changes));
    ASSERT_TRUE(journal->Close());
  }
  // Changes the file behind the journal's back.
  void Tamper(const char* sql) {
    sqlite::Database db;
    ASSERT_TRUE(db.Open(path_, ""));
    auto done = db.Exec(sql);
    ASSERT_TRUE(done) << done.error().ToString();
  }
  base::Error OpenError() {
    auto opened = Make()->Open(Visitor());
    EXPECT_FALSE(opened.has_value());
    return opened ? base::Error(Code::kInternal, "opened") : opened.error();
  }
  std::string Bytes() {
    return base::ReadFile(base::PosixFileSystem(), path_).value_or("unreadable");
  }

  std::string directory_;
  std::string path_;
  std::vector<SpecRow> tasks_;
  std::vector<KeyRow> keys_;
  std::vector<TenantTime> times_;
  Meta meta_;
};

TEST_F(SqliteJournalTest, ShowsWhatWasCommitted) {
  MakeStore();
  ASSERT_TRUE(Make()->Open(Visitor()));
  ASSERT_EQ(tasks_.size(), 1u);
  EXPECT_EQ(tasks_[0].spec.lane, "m");
  ASSERT_EQ(keys_.size(), 1u);
  EXPECT_EQ(keys_[0].content_hash, 5u);
  ASSERT_EQ(times_.size(), 1u);
  EXPECT_EQ(times_[0].virtual_time, 0.1);
  EXPECT_EQ(meta_, (Meta{.incarnation = 4, .last_task = 1, .last_batch = 2, .last_finish = 3}));
}

TEST_F(SqliteJournalTest, ASecondOpenerIsToldAndDoesNotDisturbTheFirst) {
  MakeStore();
  auto first = Make();
  ASSERT_TRUE(first->Open(Visitor()));
  base::Error error = OpenError();
  EXPECT_EQ(error.code(), Code::kFailedPrecondition);
  EXPECT_THAT(error.message(), HasSubstr("another process"));
  ChangeSet changes;
  changes.tenant_times.push_back({"u", 1});
  EXPECT_TRUE(first->Commit(changes));
  EXPECT_TRUE(first->Close());
  EXPECT_TRUE(Make()->Open(Visitor()));
}

TEST_F(SqliteJournalTest, ANewerFileIsRefusedUntouched) {
  MakeStore();
  Tamper("PRAGMA user_version=99");
  std::string before = Bytes();
  base::Error error = OpenError();
  EXPECT_EQ(error.code(), Code::kFailedPrecondition);
  EXPECT_THAT(error.message(), HasSubstr("format 99"));
  EXPECT_EQ(Bytes(), before);
}

TEST_F(SqliteJournalTest, AForeignDatabaseIsRefusedUntouched) {
  Tamper("CREATE TABLE shopping (item TEXT)");
  std::string before = Bytes();
  EXPECT_THAT(OpenError().message(), HasSubstr("not a queue"));
  EXPECT_EQ(Bytes(), before);
}

TEST_F(SqliteJournalTest, AFileThatIsNoDatabaseIsDataLoss) {
  ASSERT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), path_, std::string(5000, 'x')));
  EXPECT_EQ(OpenError().code(), Code::kDataLoss);
}

TEST_F(SqliteJournalTest, ADamagedRowIsNamed) {
  for (const char* sql :
       {"UPDATE task SET cost = cost + 1", "UPDATE state SET attempts = 9",
        "UPDATE idempotency SET id = 2", "UPDATE tenant_time SET virtual_time = 0.2",
        "UPDATE meta SET last_task = 9", "DELETE FROM state", "UPDATE state SET id = 2"}) {
    SCOPED_TRACE(sql);
    MakeStore();
    Tamper(sql);
    base::Error error = OpenError();
    EXPECT_EQ(error.code(), Code::kDataLoss);
    EXPECT_THAT(error.message(), HasSubstr("damaged"));
    ASSERT_TRUE(base::PosixFileSystem().Remove(path_));
  }
}

TEST_F(SqliteJournalTest, ACommitIsAllOrNothing) {
  MakeStore();
  auto journal = Make();
  ASSERT_TRUE(journal->Open(Visitor()));
  ChangeSet changes;
  changes.tenant_times.push_back({"new", 1});
  changes.states.emplace_back().id = model::TaskId{2};
  changes.states.back().state = static_cast<model::State>(99);  // the schema refuses it
  EXPECT_FALSE(journal->Commit(changes));
  ASSERT_TRUE(journal->Close());
  times_.clear();
  ASSERT_TRUE(Make()->Open(Visitor()));
  EXPECT_EQ(times_.size(), 1u);
}

TEST_F(SqliteJournalTest, AMissingDirectoryIsAnError) {
  EXPECT_FALSE(
      MakeSqliteJournal({.path = directory_ + "/none/queue.db", .vfs = ""})->Open(Visitor()));
}

}  // namespace
}  // namespace inferq::queue
