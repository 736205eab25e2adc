#include "catalog/sqlite_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "sqlite/database.h"
#include "testing/sim_disk.h"
#include "testing/sim_runtime.h"
#include "testing/sim_vfs.h"

namespace inferq::catalog {
namespace {

using base::Code;
using model::BatchRecord;
using model::FileRecord;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

FileRecord File(uint64_t sequence, std::string tenant = "a") {
  return {.id = fmt::format("file-{}", sequence),
          .sequence = sequence,
          .tenant = std::move(tenant),
          .filename = "f",
          .purpose = sequence % 2 == 0 ? "batch" : "user_data"};
}

BatchRecord Batch(uint64_t sequence, std::string tenant = "a") {
  BatchRecord batch;
  batch.id = fmt::format("batch_{}", sequence);
  batch.sequence = sequence;
  batch.tenant = std::move(tenant);
  return batch;
}

class CatalogTest : public ::testing::Test {
 protected:
  CatalogTest() {
    EXPECT_TRUE(disk_.CreateDirectory("/c"));
    disk_.SyncAll();
    Reopen();
  }
  ~CatalogTest() override { Drop(); }

  base::Result<> TryOpen() {
    catalog_ = MakeSqliteCatalog(sim_, {.path = "/c/catalog.db", .vfs = vfs_.name()});
    return sim_.Run(catalog_->Open());
  }
  void Reopen() {
    if (catalog_) ASSERT_TRUE(sim_.Run(catalog_->Close()));
    auto opened = TryOpen();
    ASSERT_TRUE(opened) << opened.error().ToString();
  }
  void Drop() {
    sim_.RunUntilIdle();
    catalog_.reset();
  }
  base::Result<> Update(Catalog::Change change) {
    return sim_.Run(catalog_->Update(std::move(change)));
  }
  // A file with the next number.
  base::Result<> AddFile(std::string tenant = "a") {
    return Update([tenant](Transaction& t) -> base::Result<> {
      t.Put(File(t.NextSequence(), tenant));
      return {};
    });
  }
  static std::vector<uint64_t> Sequences(const auto& page) {
    std::vector<uint64_t> sequences;
    for (const auto& record : page.records) sequences.push_back(record.sequence);
    return sequences;
  }
  Page<FileRecord> Files(ListRequest request) {
    auto page = catalog_->ListFiles(request);
    EXPECT_TRUE(page) << page.error().ToString();
    return page.value_or(Page<FileRecord>{});
  }
  // Changes the file behind the catalog's back.
  void Tamper(const char* sql) {
    ASSERT_TRUE(sim_.Run(catalog_->Close()));
    sqlite::Database db;
    ASSERT_TRUE(db.Open("/c/catalog.db", vfs_.name()));
    ASSERT_TRUE(db.Exec("PRAGMA locking_mode=EXCLUSIVE"));
    auto done = db.Exec(sql);
    ASSERT_TRUE(done) << done.error().ToString();
  }

  testing::SimDisk disk_;
  testing::SimVfs vfs_{disk_, "catalog_test"};
  testing::SimRuntime sim_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, FindsWhatWasPutAndAfterReopening) {
  ASSERT_TRUE(Update([](Transaction& t) -> base::Result<> {
    t.Put(File(t.NextSequence()));
    BatchRecord batch = Batch(t.NextSequence());
    batch.metadata = {{"k", "v"}};
    t.Put(batch);
    return {};
  }));
  for (int pass = 0; pass < 2; ++pass) {
    ASSERT_NE(catalog_->FindFile("file-1"), nullptr);
    EXPECT_EQ(catalog_->FindFile("file-1")->purpose, "user_data");
    ASSERT_NE(catalog_->FindBatch("batch_2"), nullptr);
    EXPECT_EQ(catalog_->FindBatch("batch_2")->metadata[0].second, "v");
    EXPECT_EQ(catalog_->FindFile("batch_2"), nullptr);
    Reopen();
  }
}

TEST_F(CatalogTest, ReplacesAndRemoves) {
  ASSERT_TRUE(AddFile());
  ASSERT_TRUE(AddFile());
  ASSERT_TRUE(Update([](Transaction& t) -> base::Result<> {
    FileRecord file = *t.FindFile("file-1");
    file.filename = "new";
    t.Put(file);
    t.RemoveFile("file-2");
    t.RemoveFile("file-2");
    t.RemoveBatch("none");
    return {};
  }));
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_EQ(catalog_->FindFile("file-1")->filename, "new");
    EXPECT_EQ(catalog_->FindFile("file-2"), nullptr);
    EXPECT_THAT(Sequences(Files({.tenant = "a"})), ElementsAre(1));
    Reopen();
  }
}

TEST_F(CatalogTest, ListsATenantsOwnInOrder) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(AddFile(i == 2 ? "b" : "a"));
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_THAT(Sequences(Files({.tenant = "a"})), ElementsAre(5, 4, 2, 1));
    EXPECT_THAT(Sequences(Files({.tenant = "a", .order = ListOrder::kOldestFirst})),
                ElementsAre(1, 2, 4, 5));
    EXPECT_THAT(Sequences(Files({.tenant = "b"})), ElementsAre(3));
    EXPECT_THAT(Sequences(Files({.tenant = "a", .purpose = "batch"})), ElementsAre(4, 2));
    EXPECT_TRUE(Files({.tenant = "c"}).records.empty());
    Reopen();
  }
}

TEST_F(CatalogTest, PagesAreCompleteAndSayWhetherThereIsMore) {
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(AddFile());
  for (ListOrder order : {ListOrder::kNewestFirst, ListOrder::kOldestFirst}) {
    auto first = Files({.tenant = "a", .limit = 4, .order = order});
    EXPECT_TRUE(first.has_more);
    ASSERT_EQ(first.records.size(), 4u);
    auto second =
        Files({.tenant = "a", .after = first.records.back().id, .limit = 2, .order = order});
    EXPECT_EQ(second.records.size(), 2u);
    EXPECT_FALSE(second.has_more);
    uint64_t last = second.records.back().sequence;
    EXPECT_EQ(last, order == ListOrder::kNewestFirst ? 1u : 6u);
    EXPECT_TRUE(Files({.tenant = "a", .after = fmt::format("file-{}", last), .order = order})
                    .records.empty());
  }
  auto even = Files({.tenant = "a", .limit = 3, .purpose = "batch"});
  EXPECT_THAT(Sequences(even), ElementsAre(6, 4, 2));
  EXPECT_FALSE(even.has_more) << "what has another purpose is not more";
}

TEST_F(CatalogTest, ACursorOfAnotherTenantIsUnknown) {
  ASSERT_TRUE(AddFile("b"));
  auto page = catalog_->ListFiles({.tenant = "a", .after = "file-1"});
  ASSERT_FALSE(page.has_value());
  EXPECT_EQ(page.error().code(), Code::kNotFound);
  EXPECT_THAT(page.error().message(), HasSubstr("file-1"));
  EXPECT_EQ(catalog_->ListBatches({.tenant = "b", .after = "file-1"}).error().code(),
            Code::kNotFound);
}

TEST_F(CatalogTest, BatchesAndFilesAreVisitedInOrder) {
  ASSERT_TRUE(Update([](Transaction& t) -> base::Result<> {
    uint64_t first = t.NextSequence();
    t.Put(Batch(t.NextSequence(), "b"));
    t.Put(Batch(first, "a"));
    t.Put(File(t.NextSequence()));
    return {};
  }));
  std::vector<uint64_t> seen;
  catalog_->ForEachBatch([&](const BatchRecord& batch) { seen.push_back(batch.sequence); });
  catalog_->ForEachFile([&](const FileRecord& file) { seen.push_back(file.sequence); });
  EXPECT_THAT(seen, ElementsAre(1, 2, 3));
}

TEST_F(CatalogTest, AFailingChangeLeavesNothing) {
  ASSERT_TRUE(AddFile());
  auto failed = Update([](Transaction& t) -> base::Result<> {
    t.Put(File(t.NextSequence()));
    t.RemoveFile("file-1");
    EXPECT_EQ(t.FindFile("file-1"), nullptr);
    EXPECT_NE(t.FindFile("file-2"), nullptr);
    return base::Fail(Code::kFailedPrecondition, "no");
  });
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().message(), "no");
  EXPECT_TRUE(catalog_->healthy());
  Reopen();
  EXPECT_NE(catalog_->FindFile("file-1"), nullptr);
  EXPECT_EQ(catalog_->FindFile("file-2"), nullptr);
}

TEST_F(CatalogTest, GroupedUpdatesSeeEachOtherAndShareACommit) {
  ASSERT_TRUE(AddFile());
  uint64_t before = disk_.operations();
  ASSERT_TRUE(AddFile());
  uint64_t single = disk_.operations() - before;
  std::vector<base::Result<>> results;
  auto update = [](Catalog* catalog, Catalog::Change change,
                   std::vector<base::Result<>>* out) -> Awaitable<void> {
    auto result = co_await catalog->Update(std::move(change));
    out->push_back(std::move(result));
  };
  auto rename = [](Transaction& t) -> base::Result<> {
    FileRecord file = *t.FindFile("file-1");
    file.filename += "f";
    t.Put(file);
    return {};
  };
  auto fail = [](Transaction& t) -> base::Result<> {
    t.RemoveFile("file-1");
    return base::Fail(Code::kAborted, "no");
  };
  before = disk_.operations();
  for (int i = 0; i < 10; ++i) {
    sim_.SpawnDetached(update(catalog_.get(), rename, &results));
    sim_.SpawnDetached(update(catalog_.get(), fail, &results));
  }
  EXPECT_EQ(catalog_->FindFile("file-1")->filename, "f");
  sim_.RunUntilIdle();
  ASSERT_EQ(results.size(), 20u);
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].has_value(), i % 2 == 0);
  EXPECT_EQ(catalog_->FindFile("file-1")->filename, std::string(11, 'f'));
  EXPECT_LE(disk_.operations() - before, single) << "one commit serves all";
}

TEST_F(CatalogTest, WhatIsNotDurableIsNotShown) {
  bool done = false;
  auto update = [](Catalog* catalog, bool* out) -> Awaitable<void> {
    Catalog::Change change = [](Transaction& t) -> base::Result<> {
      t.Put(File(t.NextSequence()));
      return {};
    };
    auto result = co_await catalog->Update(std::move(change));
    *out = result.has_value();
  };
  sim_.SpawnDetached(update(catalog_.get(), &done));
  disk_.FailOperation(disk_.operations() + 1, testing::DiskFault::kSyncError);
  sim_.RunUntilIdle();
  EXPECT_TRUE(disk_.fault_struck());
  EXPECT_FALSE(done);
  EXPECT_EQ(catalog_->FindFile("file-1"), nullptr);
  EXPECT_FALSE(catalog_->healthy());
}

TEST_F(CatalogTest, NumbersRiseAlsoOverARestart) {
  ASSERT_TRUE(AddFile());
  ASSERT_TRUE(AddFile());
  ASSERT_TRUE(Update([](Transaction& t) -> base::Result<> {
    t.RemoveFile("file-2");
    return {};
  }));
  Reopen();
  uint64_t next = 0;
  ASSERT_TRUE(Update([&next](Transaction& t) -> base::Result<> {
    next = t.NextSequence();
    return {};
  }));
  EXPECT_EQ(next, 3u);
  Reopen();
  ASSERT_TRUE(AddFile());
  EXPECT_NE(catalog_->FindFile("file-4"), nullptr) << "3 was given out";
}

TEST_F(CatalogTest, AFullDiskStopsUpdatesAndIsOverAfterReopening) {
  ASSERT_TRUE(AddFile());
  disk_.SetCapacity(disk_.used());
  base::Result<> last;
  int added = 1;
  while ((last = AddFile()) && added < 1000) ++added;
  ASSERT_FALSE(last.has_value());
  EXPECT_EQ(last.error().code(), Code::kResourceExhausted);
  EXPECT_FALSE(catalog_->healthy());
  EXPECT_EQ(Files({.tenant = "a", .limit = 10'000}).records.size(), static_cast<size_t>(added));
  disk_.SetCapacity(UINT64_MAX);
  EXPECT_EQ(AddFile().error().code(), Code::kResourceExhausted) << "until it is opened anew";
  EXPECT_FALSE(sim_.Run(catalog_->Close()));
  ASSERT_TRUE(TryOpen());
  EXPECT_EQ(Files({.tenant = "a", .limit = 10'000}).records.size(), static_cast<size_t>(added));
  EXPECT_TRUE(AddFile());
}

TEST_F(CatalogTest, AfterCloseNothingIsTaken) {
  ASSERT_TRUE(sim_.Run(catalog_->Close()));
  EXPECT_TRUE(sim_.Run(catalog_->Close()));
  EXPECT_EQ(AddFile().error().code(), Code::kUnavailable);
  EXPECT_FALSE(catalog_->healthy());
  EXPECT_EQ(sim_.Run(catalog_->Open()).error().code(), Code::kFailedPrecondition);
}

TEST_F(CatalogTest, CloseWaitsForWhatIsUnderWay) {
  base::Result<> result = base::Fail(Code::kInternal, "not done");
  auto update = [](Catalog* catalog, base::Result<>* out) -> Awaitable<void> {
    Catalog::Change change = [](Transaction& t) -> base::Result<> {
      t.Put(File(t.NextSequence()));
      return {};
    };
    *out = co_await catalog->Update(std::move(change));
  };
  sim_.SpawnDetached(update(catalog_.get(), &result));
  EXPECT_TRUE(sim_.Run(catalog_->Close()));
  sim_.RunUntilIdle();
  EXPECT_TRUE(result.has_value());
  ASSERT_TRUE(TryOpen());
  EXPECT_NE(catalog_->FindFile("file-1"), nullptr);
}

TEST_F(CatalogTest, DamageIsNamed) {
  for (const char* sql : {"UPDATE file SET record = zeroblob(9)", "UPDATE file SET sequence = 2",
                          "UPDATE batch SET sum = sum + 1", "UPDATE meta SET last_sequence = 9",
                          "DELETE FROM meta"}) {
    SCOPED_TRACE(sql);
    ASSERT_TRUE(Update([](Transaction& t) -> base::Result<> {
      t.Put(File(t.NextSequence()));
      t.Put(Batch(t.NextSequence()));
      return {};
    }));
    Tamper(sql);
    auto opened = TryOpen();
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code(), Code::kDataLoss) << opened.error().ToString();
    catalog_.reset();
    ASSERT_TRUE(disk_.Remove("/c/catalog.db"));
    ASSERT_TRUE(TryOpen());
  }
}

TEST_F(CatalogTest, UploadsAreKeptToo) {
  ASSERT_TRUE(Update([](Transaction& t) -> base::Result<> {
    for (const char* id : {"upload_1", "upload_2"}) {
      model::UploadRecord upload;
      upload.id = id;
      upload.sequence = t.NextSequence();
      upload.tenant = "a";
      upload.parts = {{.id = "part_1", .blob = 7, .bytes = 3}};
      t.Put(upload);
    }
    EXPECT_NE(t.FindUpload("upload_2"), nullptr);
    return {};
  }));
  ASSERT_TRUE(Update([](Transaction& t) -> base::Result<> {
    t.RemoveUpload("upload_1");
    return {};
  }));
  Reopen();
  EXPECT_EQ(catalog_->FindUpload("upload_1"), nullptr);
  ASSERT_NE(catalog_->FindUpload("upload_2"), nullptr);
  EXPECT_EQ(catalog_->FindUpload("upload_2")->parts.at(0).blob, 7u);
  int uploads = 0;
  catalog_->ForEachUpload([&uploads](const model::UploadRecord&) { ++uploads; });
  EXPECT_EQ(uploads, 1);
}

TEST_F(CatalogTest, WhatIsRemovedOrExpiredIsNotListedButAPlaceInTheList) {
  ASSERT_TRUE(Update([](Transaction& t) -> base::Result<> {
    for (int i = 1; i <= 4; ++i) {
      FileRecord file = File(t.NextSequence());
      if (i == 2) file.removed = true;
      if (i == 3) file.expires = base::WallTime(base::Micros(1000));
      t.Put(file);
    }
    return {};
  }));
  base::WallTime now(base::Micros(1000));
  EXPECT_THAT(Sequences(Files({.tenant = "a", .now = now})), ElementsAre(4, 1));
  EXPECT_THAT(Sequences(Files({.tenant = "a", .now = now - base::Micros(1)})),
              ElementsAre(4, 3, 1));
  EXPECT_THAT(Sequences(Files({.tenant = "a", .after = "file-2", .now = now})), ElementsAre(1));
}

TEST_F(CatalogTest, AFileOfTheFirstFormatIsBroughtToTheNewest) {
  ASSERT_TRUE(AddFile());
  Tamper("DROP TABLE upload");
  {
    sqlite::Database db;
    ASSERT_TRUE(db.Open("/c/catalog.db", vfs_.name()));
    ASSERT_TRUE(db.Exec("PRAGMA locking_mode=EXCLUSIVE"));
    ASSERT_TRUE(db.Exec("PRAGMA user_version=1"));
  }
  ASSERT_TRUE(TryOpen());
  EXPECT_NE(catalog_->FindFile("file-1"), nullptr);
  EXPECT_TRUE(Update([](Transaction& t) -> base::Result<> {
    model::UploadRecord upload;
    upload.id = "upload_1";
    upload.sequence = t.NextSequence();
    t.Put(upload);
    return {};
  }));
}

TEST_F(CatalogTest, ANewerFileIsRefused) {
  Tamper("PRAGMA user_version=99");
  auto opened = TryOpen();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(opened.error().message(), HasSubstr("format 99"));
}

}  // namespace
}  // namespace inferq::catalog
