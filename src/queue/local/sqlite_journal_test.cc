#include "queue/local/sqlite_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "base/rng.h"
#include "queue/local/journal_words.h"
#include "queue/local/memory_journal.h"
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
        "UPDATE meta SET last_task = 9", "DELETE FROM state",
        "UPDATE state SET id = 9 WHERE id = 8", "UPDATE state SET lease_worker = 'w'",
        "UPDATE state SET lease = 1", "UPDATE checkpoint SET bytes = x'00'",
        "INSERT INTO checkpoint VALUES (77, x'', 0)", "UPDATE batch SET priority = 9",
        "UPDATE batch SET lanes = x'ff'", "UPDATE garbage SET batch = 99",
        "UPDATE pause SET name = 'other'", "UPDATE line SET line = 3 WHERE finish_sequence = 101",
        "UPDATE line SET state = state + 1 WHERE finish_sequence = 101"}) {
    SCOPED_TRACE(sql);
    MakeStore();
    auto journal = Make();
    ASSERT_TRUE(journal->Open(Visitor()));
    ASSERT_TRUE(journal->Commit(Sample()));
    ASSERT_TRUE(journal->Close());
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

TEST_F(SqliteJournalTest, ADamagedRowIsNotRead) {
  auto journal = Make();
  ASSERT_TRUE(journal->Open(Visitor()));
  ASSERT_TRUE(journal->Commit(Sample()));
  ASSERT_TRUE(journal->Close());
  Tamper("UPDATE line SET attempts = 7");
  ASSERT_TRUE(journal->Open(Visitor()));
  auto reader = journal->NewReader();
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->Lines(model::BatchId{21}, 0, 10).error().code(), Code::kDataLoss);
  EXPECT_EQ((*reader)->Line(model::BatchId{21}, 5).error().code(), Code::kDataLoss);
  reader->reset();
  ASSERT_TRUE(journal->Close());
  Tamper("UPDATE past SET message = 'other'");
  EXPECT_EQ(OpenError().code(), Code::kDataLoss);
}

// Changes at random, of which many meet the same rows; to batches 20, 21 and so on.
ChangeSet RandomChanges(base::Rng& rng, uint64_t batches) {
  ChangeSet changes;
  auto some = [&rng] { return rng.Below(3) == 0 ? rng.Below(4) : 0; };
  auto task = [&rng] { return model::TaskId{1 + rng.Below(6)}; };
  for (uint64_t n = some(); n > 0; --n) {
    AddTask(changes, task().value, static_cast<model::State>(rng.Below(8)));
    if (rng.Below(2) == 0) changes.states.back().lease_worker = "w";
    std::string bytes = rng.Below(2) == 0 ? "half" : "";
    changes.checkpoints.push_back({changes.specs.back().id, bytes});
  }
  for (uint64_t n = some(); n > 0; --n) changes.removed_tasks.push_back(task());
  for (uint64_t n = some(); n > 0; --n) {
    model::Generation generation = static_cast<uint32_t>(rng.Below(3));
    changes.past.push_back({task(), generation, {Code::kAborted, std::to_string(n), {}}});
  }
  for (uint64_t n = some(); n > 0; --n) {
    uint64_t finish = 1 + rng.Below(20);  // a line of its own each, as in a queue
    uint64_t batch = 20 + finish % batches;
    if (rng.Below(3) == 0) {
      changes.removed_lines.emplace_back(model::BatchId{batch}, finish);
    } else {
      changes.lines.push_back(SomeLine(batch, 100 - finish, finish));
      changes.lines.back().state = static_cast<model::State>(4 + rng.Below(4));
    }
  }
  for (uint64_t n = some(); n > 0; --n) {
    changes.batches.push_back(SomeBatch(20 + rng.Below(batches), 100));
    changes.batches.back().plan.priority = static_cast<int>(rng.Below(100));
  }
  for (uint64_t n = some(); n > 0; --n) {
    PauseRow row{static_cast<uint8_t>(rng.Below(2)), std::to_string(rng.Below(2))};
    (rng.Below(2) == 0 ? changes.pauses : changes.removed_pauses).push_back(row);
    auto key = static_cast<int64_t>(rng.Below(4));
    changes.keys.push_back({"t", std::to_string(key), task(), 1, At(key)});
    changes.removed_keys.emplace_back("t", std::to_string(rng.Below(4)));
  }
  return changes;
}

TEST_F(SqliteJournalTest, HoldsWhatTheReferenceHolds) {
  base::Rng rng(7);
  auto memory = std::make_shared<MemoryStore>();
  auto reference = MakeMemoryJournal(memory);
  uint64_t batches = 3;
  for (int round = 0; round < 60; ++round) {
    Words shown, expected;
    auto journal = Make();
    ASSERT_TRUE(journal->Open(shown.Visitor()));
    ASSERT_TRUE(reference->Open(expected.Visitor()));
    auto read = [](Journal& of, Words& words) {
      auto reader = of.NewReader();
      return reader && words.Read(**reader);
    };
    ASSERT_TRUE(read(*journal, shown) && read(*reference, expected));
    ASSERT_EQ(shown.text(), expected.text()) << "round " << round;
    for (int i = 0; i < 3; ++i) {
      ChangeSet changes = RandomChanges(rng, batches);
      if (round == 0) changes.batches = {SomeBatch(20, 1), SomeBatch(21, 1), SomeBatch(22, 1)};
      if (round == 30 && i == 0) {
        batches = 2;
        changes.batches = {SomeBatch(22, 1)};
        changes.batches[0].forgotten = true;
      }
      ASSERT_TRUE(journal->Commit(changes));
      ASSERT_TRUE(reference->Commit(changes));
      if (rng.Below(3) == 0) ASSERT_TRUE(journal->Maintain());
    }
  }
}

TEST_F(SqliteJournalTest, AReaderIsBesideTheWriter) {
  auto journal = Make();
  ASSERT_TRUE(journal->Open(Visitor()));
  ASSERT_TRUE(journal->Commit(Sample()));
  auto reader = journal->NewReader();
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->Lines(model::BatchId{21}, 101, 1).value()[0].finish_sequence, 102u);
  EXPECT_EQ((*reader)->Line(model::BatchId{21}, 5).value()->finish_sequence, 102u);
  EXPECT_EQ((*reader)->Line(model::BatchId{21}, 6).value(), std::nullopt);
  ChangeSet more;
  more.lines = {SomeLine(21, 6, 106)};
  ASSERT_TRUE(journal->Commit(more));
  EXPECT_EQ((*reader)->Line(model::BatchId{21}, 6).value()->finish_sequence, 106u);
  EXPECT_TRUE((*reader)->Lines(model::BatchId{23}, 0, 10).value().empty()) << "is forgotten";
}

TEST_F(SqliteJournalTest, AReaderOfAnotherThreadSeesWholeCommits) {
  auto journal = Make();
  ASSERT_TRUE(journal->Open(Visitor()));
  auto reader = journal->NewReader();
  ASSERT_TRUE(reader);
  std::atomic<bool> done = false;
  std::atomic<int> torn = 0, failed = 0;
  std::thread reading([&] {
    while (!done) {
      auto lines = (*reader)->Lines(model::BatchId{21}, 0, 10'000);
      if (!lines) ++failed;
      if (lines && lines->size() % 10 != 0) ++torn;
    }
  });
  for (uint64_t finish = 1; finish < 2000;) {
    ChangeSet changes;
    for (int i = 0; i < 10; ++i, ++finish) changes.lines.push_back(SomeLine(21, finish, finish));
    EXPECT_TRUE(journal->Commit(changes));
    EXPECT_TRUE(journal->Maintain());
  }
  done = true;
  reading.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(failed, 0);
}

TEST_F(SqliteJournalTest, AForgottenBatchIsRemovedSliceBySlice) {
  auto journal = Make();
  ASSERT_TRUE(journal->Open(Visitor()));
  ChangeSet changes;
  for (uint64_t i = 0; i < 2500; ++i) changes.lines.push_back(SomeLine(21, i, i + 1));
  changes.batches = {SomeBatch(21, 2500)};
  changes.batches[0].forgotten = true;
  ASSERT_TRUE(journal->Commit(changes));
  auto left = [this] {
    sqlite::Database db;
    EXPECT_TRUE(db.Open(path_, "", sqlite::Access::kRead));
    return db.QueryInt("SELECT count(*) FROM line").value_or(-1);
  };
  EXPECT_TRUE(journal->Maintain().value());
  EXPECT_EQ(left(), 1500);
  EXPECT_TRUE(journal->Maintain().value());
  EXPECT_EQ(left(), 500);
  while (journal->Maintain().value()) {
  }
  EXPECT_EQ(left(), 0);
}

// A commit of about `megabytes`.
ChangeSet Large(size_t megabytes) {
  ChangeSet changes;
  for (uint64_t i = 1; i <= megabytes * 16; ++i) {
    AddTask(changes, i, model::State::kQueued);
    changes.checkpoints.push_back({model::TaskId{i}, std::string(65'536, 'x')});
  }
  return changes;
}

TEST_F(SqliteJournalTest, MaintenanceWritesTheLogBack) {
  auto journal = Make();
  ASSERT_TRUE(journal->Open(Visitor()));
  ASSERT_TRUE(journal->Commit(Large(8)));
  EXPECT_LT(Bytes().size(), 1u << 20) << "no commit waits for that";
  while (journal->Maintain().value()) {
  }
  EXPECT_GT(Bytes().size(), 8u << 20);
}

TEST_F(SqliteJournalTest, ALogThatNobodyWritesBackIsBounded) {
  auto journal = Make();
  ASSERT_TRUE(journal->Open(Visitor()));
  ChangeSet changes = Large(8);
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(journal->Commit(changes));  // 96 MB
  auto log = base::ReadFile(base::PosixFileSystem(), path_ + "-wal");
  ASSERT_TRUE(log);
  EXPECT_LT(log->size(), 80u << 20);
  EXPECT_GT(Bytes().size(), 8u << 20);
}

TEST_F(SqliteJournalTest, SpaceIsGivenBack) {
  auto journal = Make();
  ASSERT_TRUE(journal->Open(Visitor()));
  ASSERT_TRUE(journal->Commit(Large(8)));
  ChangeSet removed;
  for (uint64_t i = 1; i <= 128; ++i) removed.removed_tasks.push_back(model::TaskId{i});
  ASSERT_TRUE(journal->Commit(removed));
  while (journal->Maintain().value()) {
  }
  ASSERT_TRUE(journal->Close());
  EXPECT_LT(Bytes().size(), 3u << 20);
}

TEST_F(SqliteJournalTest, AMissingDirectoryIsAnError) {
  EXPECT_FALSE(
      MakeSqliteJournal({.path = directory_ + "/none/queue.db", .vfs = ""})->Open(Visitor()));
}

}  // namespace
}  // namespace inferq::queue
