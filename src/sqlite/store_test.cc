#include "sqlite/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>

#include "base/file_system.h"

namespace inferq::sqlite {
namespace {

using base::Code;
using ::testing::HasSubstr;

constexpr const char* kVersions[] = {
    "CREATE TABLE book (id INTEGER PRIMARY KEY, name TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;",
    "CREATE TABLE author (id INTEGER PRIMARY KEY) STRICT;"};
constexpr Format kFormat{.name = "shelf", .application_id = 77, .versions = kVersions};

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    directory_ =
        (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_store_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/shelf.db";
  }
  ~StoreTest() override { EXPECT_TRUE(base::RemoveTree(base::PosixFileSystem(), directory_)); }

  base::Result<> Open(Database& db) { return OpenStore(db, path_, "", kFormat); }
  // Puts a book, then does what `then` says.
  static base::Result<> Put(Database& db, int64_t id, base::Result<> then = {}) {
    return db.Transact([&]() -> base::Result<> {
      Row row;
      INFERQ_TRY(row.Prepare(db, "INSERT INTO book VALUES (?,?,?)"));
      row.Put(id);
      row.Put(std::string_view("Emma"));
      row.PutSum();
      INFERQ_TRY(row.Run());
      return then;
    });
  }
  static int64_t Books(Database& db) { return db.QueryInt("SELECT count(*) FROM book").value(); }

  std::string directory_;
  std::string path_;
};

TEST_F(StoreTest, KeepsWhatWasCommitted) {
  {
    Database db;
    ASSERT_TRUE(Open(db));
    ASSERT_TRUE(Put(db, 1));
  }
  Database db;
  ASSERT_TRUE(Open(db));
  EXPECT_EQ(Books(db), 1);
}

TEST_F(StoreTest, CommitsAreDurableOneByOne) {
  Database db;
  ASSERT_TRUE(Open(db));
  EXPECT_EQ(db.QueryInt("PRAGMA synchronous").value(), 2);  // FULL
}

TEST_F(StoreTest, ATransactionThatFailsLeavesNothing) {
  Database db;
  ASSERT_TRUE(Open(db));
  ASSERT_TRUE(Put(db, 1));
  auto failed = Put(db, 2, base::Fail(Code::kAborted, "changed my mind"));
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), Code::kAborted);
  EXPECT_EQ(Put(db, 1).error().code(), Code::kDataLoss);  // the key exists
  EXPECT_EQ(Books(db), 1);
  EXPECT_TRUE(Put(db, 3));
}

TEST_F(StoreTest, ADamagedRowDoesNotFitItsSum) {
  Database db;
  ASSERT_TRUE(Open(db));
  ASSERT_TRUE(Put(db, 1));
  auto fits = [&db] {
    Row row;
    EXPECT_TRUE(row.Prepare(db, "SELECT * FROM book"));
    EXPECT_TRUE(row.Step().value());
    (void)row.TakeInt();
    (void)row.TakeText();
    return row.SumFits();
  };
  EXPECT_TRUE(fits());
  ASSERT_TRUE(db.Exec("UPDATE book SET name = 'Emmb'"));
  EXPECT_FALSE(fits());
}

TEST_F(StoreTest, RefusesWhatIsHeldNewerOrForeign) {
  Database first;
  ASSERT_TRUE(Open(first));
  Database second;
  EXPECT_THAT(Open(second).error().message(), HasSubstr("another process"));
  EXPECT_FALSE(second.is_open());
  ASSERT_TRUE(first.Exec("PRAGMA user_version=3"));
  first.Close();
  auto newer = Open(second);
  EXPECT_EQ(newer.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(newer.error().message(), HasSubstr("format 3, this inferq knows up to 2"));
  Format other = kFormat;
  other.application_id = 78;
  other.name = "cellar";
  EXPECT_THAT(OpenStore(second, path_, "", other).error().message(),
              HasSubstr("not a cellar of inferq"));
}

/// How long files of this process may become, while it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, SIG_DFL);
  }

 private:
  rlimit before_{};
};

TEST_F(StoreTest, AFileThatMayNotGrowIsAFullDiskAndPasses) {
  Database db;
  ASSERT_TRUE(Open(db));
  ASSERT_TRUE(Put(db, 1));
  int64_t id = 1;
  base::Result<> put;
  {
    FileSizeLimit limit(100'000);
    while (put && id < 1'000) put = Put(db, ++id);
  }
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code(), Code::kResourceExhausted) << put.error().message();
  EXPECT_EQ(Books(db), id - 1) << "what failed left nothing";
  EXPECT_TRUE(Put(db, id));
  db.Close();
  ASSERT_TRUE(Open(db));
  EXPECT_EQ(Books(db), id);
}

/// The machine's files, of which writes, and syncs of write-ahead logs, fail on request.
class FaultyVfs {
 public:
  FaultyVfs() : vfs_(*sqlite3_vfs_find(nullptr)) {
    vfs_.zName = "faulty";
    vfs_.xOpen = Open;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultyVfs() {
    FailWrites(0);
    sync_fails_ = false;
    sqlite3_vfs_unregister(&vfs_);
  }

  /// 0: they do not.
  void FailWrites(int reason) {
    write_errno_ = reason;
    auto call = reinterpret_cast<sqlite3_syscall_ptr>(&Write);
    for (const char* name : {"pwrite", "pwrite64"}) {
      vfs_.xSetSystemCall(&vfs_, name, reason == 0 ? nullptr : call);
    }
  }
  void FailSyncs() { sync_fails_ = true; }

 private:
  static ssize_t Write(int, const void*, size_t, off_t) {
    errno = write_errno_;
    return -1;
  }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    int code = sqlite3_vfs_find(nullptr)->xOpen(vfs, name, file, flags, out);
    if (code != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0) return code;
    real_ = file->pMethods;
    methods_ = *real_;
    methods_.xSync = [](sqlite3_file* f, int how) {
      return sync_fails_ ? SQLITE_IOERR_FSYNC : real_->xSync(f, how);
    };
    file->pMethods = &methods_;
    return SQLITE_OK;
  }

  static inline int write_errno_ = 0;
  static inline bool sync_fails_ = false;
  static inline const sqlite3_io_methods* real_ = nullptr;
  static inline sqlite3_io_methods methods_{};
  sqlite3_vfs vfs_;
};

TEST_F(StoreTest, AFullQuotaIsAFullDiskAndAnErrorOfTheDiskIsNot) {
  FaultyVfs vfs;
  Database db;
  ASSERT_TRUE(OpenStore(db, path_, "faulty", kFormat));
  ASSERT_TRUE(Put(db, 1));
  vfs.FailWrites(EDQUOT);
  auto put = Put(db, 2);
  EXPECT_EQ(put.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(put.error().message(), HasSubstr("quota"));
  for (int reason : {EIO, EINVAL}) {
    vfs.FailWrites(reason);
    EXPECT_EQ(Put(db, 2).error().code(), Code::kUnavailable) << reason;
  }
  vfs.FailWrites(0);
  EXPECT_TRUE(Put(db, 2));
  EXPECT_EQ(Books(db), 2);
}

TEST_F(StoreTest, AFailedSyncIsNeverAFullDisk) {
  FaultyVfs vfs;
  Database db;
  ASSERT_TRUE(OpenStore(db, path_, "faulty", kFormat));
  vfs.FailWrites(EDQUOT);
  ASSERT_EQ(Put(db, 1).error().code(), Code::kResourceExhausted);
  vfs.FailWrites(0);
  vfs.FailSyncs();
  EXPECT_EQ(Put(db, 1).error().code(), Code::kUnavailable) << "whatever the last write met";
}

constexpr Format kShared{.name = "shelf",
                         .application_id = 77,
                         .versions = kVersions,
                         .read_beside = true,
                         .log_bound = 50};

TEST_F(StoreTest, AReaderIsNotInTheWayOfTheWriter) {
  Database db;
  ASSERT_TRUE(OpenStore(db, path_, "", kShared));
  ASSERT_TRUE(Put(db, 1));
  Database reader;
  ASSERT_TRUE(OpenReader(reader, path_, "", kShared));
  ASSERT_TRUE(reader.Exec("BEGIN"));
  EXPECT_EQ(Books(reader), 1);
  ASSERT_TRUE(Put(db, 2));
  EXPECT_EQ(Books(reader), 1);
  ASSERT_TRUE(reader.Exec("COMMIT"));
  EXPECT_EQ(Books(reader), 2);
  EXPECT_EQ(reader.Exec("DELETE FROM book").error().code(), Code::kPermissionDenied);
  db.Close();
  Database again;
  EXPECT_TRUE(OpenStore(again, path_, "", kShared)) << "only who writes holds the store";
}

TEST_F(StoreTest, ASecondWriterOfASharedFileIsRefused) {
  Database first;
  ASSERT_TRUE(OpenStore(first, path_, "", kShared));
  Database second;
  auto refused = OpenStore(second, path_, "", kShared);
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(refused.error().message(), HasSubstr("another process"));
}

TEST_F(StoreTest, AnInferqThatKnowsNoReadersAndThisOneKeepEachOtherOut) {
  auto old = std::make_unique<Database>();
  ASSERT_TRUE(Open(*old));
  Database db;
  auto refused = OpenStore(db, path_, "", kShared);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  old.reset();
  ASSERT_TRUE(OpenStore(db, path_, "", kShared));
  old = std::make_unique<Database>();
  EXPECT_FALSE(Open(*old).has_value());
  EXPECT_TRUE(Put(db, 1));
}

TEST_F(StoreTest, AReaderRefusesOtherVersions) {
  Format older = kShared;
  older.versions = std::span(kVersions).first(1);
  Database db;
  ASSERT_TRUE(OpenStore(db, path_, "", older));
  db.Close();
  Database reader;
  auto refused = OpenReader(reader, path_, "", kShared);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message(), HasSubstr("has format 1"));
  ASSERT_TRUE(OpenStore(db, path_, "", kShared));
  EXPECT_TRUE(OpenReader(reader, path_, "", kShared));
  reader.Close();
  EXPECT_THAT(OpenReader(reader, path_, "", older).error().message(), HasSubstr("has format 2"));
}

TEST_F(StoreTest, CommitsLeaveTheLogAloneUpToItsBound) {
  Database db;
  ASSERT_TRUE(OpenStore(db, path_, "", kShared));
  int64_t id = 1;
  while (db.log_pages() < 40) ASSERT_TRUE(Put(db, id++));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(Put(db, id++));
    EXPECT_LT(db.log_pages(), 55);
  }
  ASSERT_TRUE(db.Checkpoint());
  EXPECT_EQ(db.log_pages(), 0);
  ASSERT_TRUE(Put(db, id++));
  EXPECT_LT(db.log_pages(), 5) << "the log begins anew";
}

TEST_F(StoreTest, AStatementUnderWayKeepsTheLog) {
  Database db;
  ASSERT_TRUE(OpenStore(db, path_, "", kShared));
  ASSERT_TRUE(Put(db, 1));
  Database reader;
  ASSERT_TRUE(OpenReader(reader, path_, "", kShared));
  Row row;
  ASSERT_TRUE(row.Prepare(reader, "SELECT * FROM book"));
  ASSERT_TRUE(row.Step().value());
  ASSERT_TRUE(Put(db, 2));
  ASSERT_TRUE(db.Checkpoint());
  EXPECT_GT(db.log_pages(), 0);
  row.Reset();
  ASSERT_TRUE(db.Checkpoint());
  EXPECT_EQ(db.log_pages(), 0);
}

}  // namespace
}  // namespace inferq::sqlite
