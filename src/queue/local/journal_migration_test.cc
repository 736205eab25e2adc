// Stores of earlier versions, kept as SQL text in testdata/: each is brought to the version of
// today and shows what it showed when it was written. How to add one: src/queue/README.md.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "queue/local/journal_words.h"
#include "queue/local/sqlite_journal.h"
#include "sqlite/database.h"

namespace inferq::queue {
namespace {

constexpr int kSamples = 2;
constexpr const char* kTestData = "src/queue/local/testdata/";

std::string FileOf(const std::string& name) {
  return base::ReadFile(base::PosixFileSystem(), name).value_or("cannot read " + name);
}

class JournalMigrationTest : public ::testing::Test {
 protected:
  JournalMigrationTest() {
    directory_ =
        (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_migrate_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/queue.db";
  }
  ~JournalMigrationTest() override {
    EXPECT_TRUE(base::RemoveTree(base::PosixFileSystem(), directory_));
  }
  // What the store shows; the journal stays shut.
  std::string Open() {
    Words words;
    auto journal = MakeSqliteJournal({.path = path_, .vfs = ""});
    auto opened = journal->Open(words.Visitor());
    EXPECT_TRUE(opened) << opened.error().ToString();
    if (!opened) return "";
    auto reader = journal->NewReader();
    EXPECT_TRUE(reader && words.Read(**reader));
    return words.text();
  }

  std::string directory_;
  std::string path_;
};

// With INFERQ_SAMPLE=FILE it leaves the store there, to be kept as the sample of this version.
TEST_F(JournalMigrationTest, TheSampleOfTodayIsStored) {
  if (const char* kept = getenv("INFERQ_SAMPLE")) path_ = kept;
  auto journal = MakeSqliteJournal({.path = path_, .vfs = ""});
  ASSERT_TRUE(journal->Open(Words().Visitor()));
  ASSERT_TRUE(journal->Commit(Sample()));
  ASSERT_TRUE(journal->Close());
  std::string words = Open();
  EXPECT_THAT(words, ::testing::HasSubstr("half way"));
  if (getenv("INFERQ_SAMPLE") != nullptr) fmt::print("-- store\n{}-- end\n", words);
}

TEST_F(JournalMigrationTest, EveryEarlierVersionShowsWhatItStored) {
  for (int version = 1; version <= kSamples; ++version) {
    SCOPED_TRACE(version);
    std::string name = fmt::format("{}journal_v{}", kTestData, version);
    {
      sqlite::Database db;
      ASSERT_TRUE(db.Open(path_, ""));
      ASSERT_TRUE(db.Exec(FileOf(name + ".sql").c_str()));
    }
    EXPECT_EQ(Open(), FileOf(name + ".txt"));
    ASSERT_TRUE(base::PosixFileSystem().Remove(path_));
  }
}

}  // namespace
}  // namespace inferq::queue
