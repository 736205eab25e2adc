#include "queue/local/journal_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/file_system.h"
#include "queue/local/journal_stats.h"
#include "queue/local/journal_visit.h"
#include "queue/local/journal_words.h"
#include "queue/local/sqlite_journal.h"
#include "sqlite/database.h"

namespace inferq::queue {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class JournalCheckTest : public ::testing::Test {
 protected:
  JournalCheckTest() {
    directory_ =
        (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_check_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/queue.db";
  }
  ~JournalCheckTest() override {
    EXPECT_TRUE(base::RemoveTree(base::PosixFileSystem(), directory_));
  }

  // One of everything, all of it sound.
  void MakeStore() {
    journal_ = MakeSqliteJournal({.path = path_, .vfs = ""});
    ASSERT_TRUE(journal_->Open(Words().Visitor()));
    ASSERT_TRUE(journal_->Commit(Sample()));
  }
  void Tamper(const std::string& sql) {
    ASSERT_TRUE(journal_->Close());
    sqlite::Database db;
    ASSERT_TRUE(db.Open(path_, ""));
    auto done = db.Exec(sql.c_str());
    ASSERT_TRUE(done) << done.error().ToString();
  }
  JournalCheck Check(JournalCheckOptions options = {}) {
    options.path = path_;
    auto checked = CheckJournal(options);
    EXPECT_TRUE(checked) << checked.error().ToString();
    return checked.value_or(JournalCheck{});
  }

  std::string directory_;
  std::string path_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalCheckTest, ASoundStoreThatIsInUseHasNoProblems) {
  MakeStore();
  JournalCheck check = Check();
  EXPECT_EQ(check.problems, 0u) << (check.shown.empty() ? "" : check.shown[0]);
  EXPECT_EQ(check.rows, 8u + 8 + 1 + 1 + 2 + 1 + 2 + 1 + 5 + 1 + 2);
}

struct Damage {
  const char* sql;
  const char* found;
};

TEST_F(JournalCheckTest, EachKindOfDamageIsFound) {
  constexpr Damage kDamages[] = {
      // Checksums, of every table.
      {"UPDATE task SET cost = 99 WHERE id = 3", "0x3 of table task is damaged"},
      {"UPDATE state SET version = 99 WHERE id = 3", "0x3 of table state is damaged"},
      {"UPDATE checkpoint SET bytes = x'00'", "of table checkpoint is damaged"},
      {"UPDATE idempotency SET content_hash = 1", "of table idempotency is damaged"},
      {"UPDATE tenant_time SET virtual_time = 7", "of table tenant_time is damaged"},
      {"UPDATE meta SET incarnation = 7", "of table meta is damaged"},
      {"UPDATE batch SET pace = 7", "of table batch is damaged"},
      {"UPDATE garbage SET sum = 7", "of table garbage is damaged"},
      {"UPDATE line SET attempts = 7", "of table line is damaged"},
      {"UPDATE past SET message = ''", "of table past is damaged"},
      {"UPDATE pause SET kind = 2 WHERE name = '22'", "of table pause is damaged"},
      {"UPDATE line SET line = 8 WHERE line = 7", "the state of line 8 of"},
      // What tables say of each other.
      {"DELETE FROM meta", "no counters"},
      {"DELETE FROM state WHERE id = 2", "task 0x2 has no state"},
      {"DELETE FROM task WHERE id = 2", "state of task 0x2, but no such task"},
      {"DELETE FROM task WHERE id = 4", "checkpoint of task 0x4, but no such task"},
      {"UPDATE meta SET last_task = 2",
       "task_0000000000000001 waits for task_0000000000000003, which never was"},
      {"UPDATE state SET finish_sequence = 0 WHERE id = 6", "0x6 has ended without a number"},
      {"UPDATE state SET finish_sequence = 101 WHERE id = 6", "two endings have the number 101"},
      {"UPDATE state SET finish_sequence = 201 WHERE id = 6", "the number 201, which was not"},
      {"UPDATE meta SET last_task = 7", "task 0x8 has a number that was not given out"},
      {"UPDATE meta SET last_task = 1", "leads to task 0x2, which there never was"},
      {"UPDATE idempotency SET id = 4", "leads to task 0x4, which has another one"},
      {"UPDATE past SET generation = 1", "0x5 has an earlier generation that is not earlier"},
      {"UPDATE meta SET last_batch = 21", "batch 0x16 has a number that was not given out"},
      {"UPDATE meta SET last_task = 22001", "batch 0x16 has tasks that were not given out"},
      {"UPDATE batch SET first_line = 2000 WHERE id = 21", "batch 0x15 begins behind its end"},
      {"UPDATE batch SET first_task = 21001 WHERE id = 22", "batch 0x16 shares tasks"},
      {"UPDATE batch SET first_task = 7 WHERE id = 22", "task 0x7 lies among the lines"},
      {"UPDATE garbage SET batch = 22", "batch 0x16 is there, and is being removed"},
      {"DELETE FROM batch WHERE id = 21", "lines of batch 0x15, but no such batch"},
      {"UPDATE batch SET lines = 900 WHERE id = 21", "ending 105 is that of a line that"},
      {"UPDATE line SET line = 5 WHERE finish_sequence = 101", "batch 0x15 has ended twice"},
      {"UPDATE task SET batch = 21, line = 7 WHERE id = 2", "0x2 is unfinished, and its line"},
      // SQLite's own structure.
      {"PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE name = 'line_by_number'",
       "SQLite: "},
  };
  for (const Damage& damage : kDamages) {
    SCOPED_TRACE(damage.sql);
    MakeStore();
    Tamper(damage.sql);
    EXPECT_THAT(Check().shown, Contains(HasSubstr(damage.found)));
    ASSERT_TRUE(base::PosixFileSystem().Remove(path_));
  }
}

TEST_F(JournalCheckTest, AFileWithABrokenPageIsStillReadAsFarAsItGoes) {
  MakeStore();
  ASSERT_TRUE(journal_->Close());
  std::string bytes = base::ReadFile(base::PosixFileSystem(), path_).value();
  for (size_t page = 3; page * 4096 < bytes.size(); ++page) {
    std::string broken = bytes;
    broken.replace(page * 4096, 200, std::string(200, '\xA5'));
    ASSERT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), path_, broken));
    EXPECT_GT(Check().problems, 0u) << "page " << page;
  }
}

TEST_F(JournalCheckTest, BlobsThatUnfinishedWorkNeedsAreThereAndLongEnough) {
  MakeStore();
  JournalCheckOptions options;
  options.blob_size = [](uint64_t) { return std::optional<uint64_t>(1 << 20); };
  EXPECT_EQ(Check(options).problems, 0u);
  options.blob_size = [](uint64_t blob) {
    return blob == 3 ? std::optional<uint64_t>(450) : std::nullopt;
  };
  EXPECT_THAT(Check(options).shown,
              ::testing::UnorderedElementsAre(
                  "task_0000000000000004 needs 100 bytes at 400 of blob 0x3, which has 450",
                  "batch_0000000000000016 needs blob 0xb, which is not there",
                  "batch_0000000000000016 needs blob 0xc, which is not there"));
}

TEST_F(JournalCheckTest, StatsCountWhatIsThere) {
  MakeStore();
  auto stats = CountJournal(path_);
  ASSERT_TRUE(stats) << stats.error().ToString();
  ASSERT_EQ(stats->groups.size(), 2u);
  EXPECT_EQ(stats->groups[0].tenant, "acme");
  EXPECT_EQ(stats->groups[1].lane, "glm-4");
  EXPECT_EQ(stats->groups[1].by_state[static_cast<int>(model::State::kBlocked)], 1u);
  ASSERT_EQ(stats->batches.size(), 2u);
  EXPECT_EQ(stats->batches[0].lines, 996u);
  EXPECT_EQ(stats->batches[0].ended[static_cast<int>(model::State::kSucceeded)], 2u);
  EXPECT_EQ(stats->batches[0].ended[static_cast<int>(model::State::kFailed)], 1u);
  EXPECT_EQ(stats->garbage_lines, 1u);
  EXPECT_EQ(stats->idempotency_keys, 1u);
  EXPECT_EQ(stats->page_bytes, 4096u);
}

TEST_F(JournalCheckTest, EverythingIsReadBesideTheWriter) {
  MakeStore();
  int tasks = 0, lines = 0;
  auto read = ReadJournal(
      path_, [&](SpecRow, StateRow, std::string) { return ++tasks, base::Result<>(); },
      [&](LineRow) { return ++lines, base::Result<>(); });
  EXPECT_TRUE(read);
  EXPECT_EQ(tasks, 8);
  EXPECT_EQ(lines, 4) << "without that of the forgotten batch";
  read = ReadJournal(
      path_,
      [&](SpecRow, StateRow, std::string) { return base::Fail(base::Code::kCancelled, "enough"); },
      {});
  EXPECT_EQ(read.error().code(), base::Code::kCancelled);
}

}  // namespace
}  // namespace inferq::queue
