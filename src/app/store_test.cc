#include "catalog/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "app/store_backup.h"
#include "app/store_check.h"
#include "app/store_export.h"
#include "app/store_stats.h"
#include "base/file_system.h"
#include "blob/dir_blob_store.h"
#include "queue/local/sqlite_journal.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A store with a queued task, an ended line, a file, and a log of results; its journal and its
// catalog stay open, as in a server.
class StoreToolsTest : public ::testing::Test {
 protected:
  StoreToolsTest() {
    root_ = (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_store_XXXXXX";
    EXPECT_NE(mkdtemp(root_.data()), nullptr);
    directory_ = root_ + "/data";
    EXPECT_TRUE(fs_.CreateDirectory(directory_));
    blobs_ = blob::DirBlobStore::Open(fs_, directory_ + "/blobs").value();
    uint64_t file = NewBlob("0123456789");
    log_ = blobs_->OpenLog("results").value();
    EXPECT_TRUE(blobs_->Append(log_, "a result") && blobs_->Sync(log_));
    journal_ = queue::MakeSqliteJournal({.path = directory_ + "/journal.db", .vfs = ""});
    EXPECT_TRUE(journal_->Open({.on_task = {}, .on_key = {}, .on_tenant_time = {}, .on_meta = {}}));
    EXPECT_TRUE(journal_->Commit(Rows(file)));
    catalog_ = std::make_unique<catalog::Store>(directory_ + "/catalog.db", "");
    EXPECT_TRUE(catalog_->Open(CatalogVisitor()));
    catalog::ChangeSet records;
    model::FileRecord record;
    record.id = "file-1";
    record.sequence = 1;
    record.bytes = 10;
    record.blob = file;
    records.files.Put(record);
    records.last_sequence = 1;
    EXPECT_TRUE(catalog_->Commit(records));
  }
  ~StoreToolsTest() override {
    EXPECT_TRUE(journal_->Close());
    catalog_->Close();
    std::string command = "rm -r " + root_;
    EXPECT_EQ(std::system(command.c_str()), 0);  // NOLINT(concurrency-mt-unsafe)
  }

  uint64_t NewBlob(std::string_view bytes) {
    uint64_t blob = blobs_->Create().value();
    EXPECT_TRUE(blobs_->Append(blob, bytes) && blobs_->Seal(blob));
    return blob;
  }
  static catalog::Visitor CatalogVisitor() {
    return {.on_file = [](model::FileRecord) { return base::Result<>(); },
            .on_batch = [](model::BatchRecord) { return base::Result<>(); },
            .on_last_sequence = [](uint64_t) {}};
  }
  queue::ChangeSet Rows(uint64_t input) const {
    queue::ChangeSet rows;
    queue::SpecRow& spec = rows.specs.emplace_back();
    spec.id = model::TaskId{1};
    spec.spec.tenant = "acme";
    spec.spec.lane = "glm \"4\"";
    spec.spec.parents = {model::TaskId{1001}};
    spec.spec.payload = {input, 0, 10};
    rows.states.emplace_back().id = model::TaskId{1};
    queue::BatchRow& batch = rows.batches.emplace_back();
    batch.plan.batch = model::BatchId{5};
    batch.plan.lanes = {"m"};
    batch.plan.lines = 2;
    batch.first = model::TaskId{1001};
    batch.cut = model::State::kCancelled;
    queue::LineRow& line = rows.lines.emplace_back();
    line.batch = model::BatchId{5};
    line.line = 1;
    line.finish_sequence = 3;
    line.attempts = 1;
    line.outcome.result = {log_, 0, 8};
    rows.meta = queue::Meta{.incarnation = 1, .last_task = 1002, .last_batch = 5, .last_finish = 3};
    return rows;
  }
  std::vector<std::string> Problems(const std::string& directory) {
    auto report = CheckStore(directory);
    EXPECT_TRUE(report) << report.error().ToString();
    return report ? report->shown : std::vector<std::string>{"unreadable"};
  }

  base::FileSystem& fs_ = base::PosixFileSystem();
  std::string root_;
  std::string directory_;
  std::unique_ptr<blob::BlobStore> blobs_;
  uint64_t log_ = 0;
  std::unique_ptr<queue::Journal> journal_;
  std::unique_ptr<catalog::Store> catalog_;
};

TEST_F(StoreToolsTest, AStoreInUseIsSound) {
  auto report = CheckStore(directory_);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_THAT(report->shown, ElementsAre());
  EXPECT_EQ(ReportText(*report, "here"), "here is sound: 6 records\n");
  EXPECT_EQ(ReportJson(*report), "{\"sound\":true,\"records\":6,\"problems\":0,\"shown\":[]}\n");
}

TEST_F(StoreToolsTest, WhatIsMissingOrTooShortIsFound) {
  std::string blob = directory_ + "/blobs/0000000000000001.blob";
  {
    auto file = fs_.Open(blob, base::OpenMode::kReadWrite);
    ASSERT_TRUE((*file)->Truncate(4));
  }
  EXPECT_THAT(Problems(directory_),
              ElementsAre("journal.db: task_0000000000000001 needs 10 bytes at 0 of blob 0x1, "
                          "which has 4",
                          "catalog.db: file-1 has 10 bytes in blob 0x1, which has 4"));
  ASSERT_TRUE(fs_.Remove(blob));
  EXPECT_THAT(Problems(directory_), ::testing::Each(HasSubstr("which is not there")));
}

TEST_F(StoreToolsTest, ADamagedCatalogIsFound) {
  catalog_->Close();
  sqlite::Database db;
  ASSERT_TRUE(db.Open(directory_ + "/catalog.db", ""));
  ASSERT_TRUE(db.Exec("UPDATE file SET record = x'00'"));
  EXPECT_THAT(Problems(directory_), ElementsAre(HasSubstr("catalog.db: the row 1 of table file")));
}

TEST_F(StoreToolsTest, ABackupIsTheStoreOfOneMoment) {
  std::string copy = root_ + "/copy";
  auto done = BackUpStore(directory_, copy);
  ASSERT_TRUE(done) << done.error().ToString();
  EXPECT_EQ(done->files, 5u);  // journal, catalog, blob, log, numbers of blobs
  EXPECT_THAT(Problems(copy), ElementsAre());
  EXPECT_FALSE(fs_.Exists(copy + ".part").value());
  auto restored = blob::DirBlobStore::Open(fs_, copy + "/blobs");
  ASSERT_TRUE(restored) << restored.error().ToString();
  EXPECT_EQ((*restored)->Read({log_, 0, 8}).value(), "a result");
  EXPECT_TRUE(catalog::Store(copy + "/catalog.db", "").Read(CatalogVisitor()));
  auto journal = queue::MakeSqliteJournal({.path = copy + "/journal.db", .vfs = ""});
  int tasks = 0;
  ASSERT_TRUE(journal->Open({.on_task = [&](auto, auto, auto) { ++tasks; },
                             .on_key = {},
                             .on_tenant_time = {},
                             .on_meta = {}}));
  EXPECT_EQ(tasks, 1);
}

TEST_F(StoreToolsTest, ABackupOverwritesNothingAndLeavesNothingHalf) {
  EXPECT_EQ(BackUpStore(directory_, root_).error().code(), Code::kAlreadyExists);
  catalog_->Close();
  ASSERT_TRUE(base::WriteFileAtomically(fs_, directory_ + "/catalog.db", "no database"));
  EXPECT_FALSE(BackUpStore(directory_, root_ + "/copy").has_value());
  EXPECT_FALSE(fs_.Exists(root_ + "/copy").value());
  EXPECT_FALSE(fs_.Exists(root_ + "/copy.part").value());
}

TEST_F(StoreToolsTest, ExportPrintsTasksThenLines) {
  std::string text;
  ASSERT_TRUE(ExportStore(directory_, [&text](std::string_view piece) {
    text += piece;
    return base::Result<>();
  }));
  EXPECT_EQ(
      text,
      "{\"id\":\"task_0000000000000001\",\"tenant\":\"acme\",\"lane\":\"glm \\\"4\\\"\","
      "\"state\":\"queued\",\"version\":1,\"generation\":0,\"attempts\":0,\"max_attempts\":3,"
      "\"priority\":0,\"cost\":1,\"submitted_at\":0,\"parents\":[\"task_00000000000003e9\"],"
      "\"request\":{\"blob\":1,\"offset\":0,\"length\":10}}\n"
      "{\"batch\":\"batch_0000000000000005\",\"line\":1,\"state\":\"succeeded\",\"version\":1,"
      "\"generation\":0,\"attempts\":1,\"finish_sequence\":3,"
      "\"result\":{\"blob\":2,\"offset\":0,\"length\":8}}\n");
}

TEST_F(StoreToolsTest, StatsAreTablesOrJson) {
  auto stats = CountStore(directory_);
  ASSERT_TRUE(stats) << stats.error().ToString();
  EXPECT_THAT(StatsText(*stats), HasSubstr("batch_0000000000000005  default"));
  std::string text = StatsJson(*stats);
  auto json = wire::ParseJson(text);
  ASSERT_TRUE(json) << json.error().ToString() << text;
  auto batch = json->Find("batches")->Elements()[0];
  EXPECT_EQ(batch.Find("untouched")->AsInteger(), 1);
  EXPECT_EQ(batch.Find("ended")->Find("succeeded")->AsInteger(), 1);
}

TEST_F(StoreToolsTest, WhereNoStoreIsTheAnswerSaysWhatToName) {
  EXPECT_TRUE(RequireStore(directory_));
  EXPECT_THAT(RequireStore(root_).error().message(), HasSubstr("data directory of `inferq serve`"));
}

}  // namespace
}  // namespace inferq::app
