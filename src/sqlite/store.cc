#include "sqlite/store.h"

namespace inferq::sqlite {

using base::Code;

namespace {

struct Found {
  bool empty = false;
  int64_t version = 0;  // of an empty file 0
};

// Looks without touching: a file that is not ours keeps its bytes, and its log its contents.
base::Result<Found> CheckFormat(Database& db, const std::string& path, const Format& format) {
  INFERQ_ASSIGN(int64_t tables, db.QueryInt("SELECT count(*) FROM sqlite_schema"));
  INFERQ_ASSIGN(int64_t application, db.QueryInt("PRAGMA application_id"));
  INFERQ_ASSIGN(int64_t version, db.QueryInt("PRAGMA user_version"));
  if (tables == 0) return Found{.empty = true};
  if (application != format.application_id) {
    return base::Fail(Code::kFailedPrecondition, "{} is not a {} of inferq", path, format.name);
  }
  if (version > format.version()) {
    return base::Fail(
        Code::kFailedPrecondition,
        "{} has format {}, this inferq knows up to {}; run the newer one that wrote it", path,
        version, format.version());
  }
  return Found{.version = version};
}

base::Result<> KeepOthersOut(Database& db, const std::string& path, const std::string& vfs,
                             const Format& format) {
  if (!format.read_beside || !vfs.empty()) return {};
  INFERQ_ASSIGN(auto lock, base::FileLock::Acquire(path + "-lock"));
  db.Hold(std::move(lock));
  return {};
}

base::Result<> SetUp(Database& db, const Format& format, const Found& found) {
  db.CheckpointOnClose(true);
  if (found.empty && format.read_beside) {
    INFERQ_TRY(db.Exec("PRAGMA auto_vacuum=INCREMENTAL"));  // only before the first table
  }
  INFERQ_TRY(db.Exec("PRAGMA journal_mode=WAL"));
  INFERQ_TRY(db.Exec("PRAGMA synchronous=FULL"));
  INFERQ_TRY(db.Exec("PRAGMA cache_size=-65536"));
  if (!format.read_beside) {
    INFERQ_TRY(db.Exec(fmt::format("PRAGMA wal_autocheckpoint={}", format.log_bound).c_str()));
    return db.Exec("BEGIN IMMEDIATE; COMMIT");  // takes the lock, which exclusive mode keeps
  }
  db.BoundLog(format.log_bound);
  return {};
}

base::Result<> Migrate(Database& db, const Format& format, int64_t version) {
  for (; version < format.version(); ++version) {
    std::string sql = fmt::format(
        "BEGIN IMMEDIATE; {} PRAGMA application_id={}; PRAGMA user_version={}; COMMIT",
        format.versions[static_cast<size_t>(version)], format.application_id, version + 1);
    INFERQ_TRY(db.Exec(sql.c_str()));
  }
  return {};
}

base::Result<> OpenForWriting(Database& db, const std::string& path, const std::string& vfs,
                              const Format& format) {
  INFERQ_TRY(KeepOthersOut(db, path, vfs, format));
  INFERQ_TRY(db.Open(path, vfs));
  db.CheckpointOnClose(false);
  if (!format.read_beside) INFERQ_TRY(db.Exec("PRAGMA locking_mode=EXCLUSIVE"));
  INFERQ_ASSIGN(Found found, CheckFormat(db, path, format));
  INFERQ_TRY(SetUp(db, format, found));
  INFERQ_TRY(db.Rewrite());
  return Migrate(db, format, found.version);
}

base::Result<> OpenForReading(Database& db, const std::string& path, const std::string& vfs,
                              const Format& format) {
  INFERQ_TRY(db.Open(path, vfs, Access::kRead));
  INFERQ_ASSIGN(Found found, CheckFormat(db, path, format));
  if (found.version == format.version()) return {};
  return base::Fail(Code::kFailedPrecondition,
                    "{} has format {}, this inferq reads {}; opening it for work, as serve does, "
                    "brings it there",
                    path, found.version, format.version());
}

}  // namespace

base::Result<> OpenStore(Database& db, const std::string& path, const std::string& vfs,
                         const Format& format) {
  base::Result<> opened = OpenForWriting(db, path, vfs, format);
  if (!opened) db.Close();
  return opened;
}

base::Result<> OpenReader(Database& db, const std::string& path, const std::string& vfs,
                          const Format& format) {
  base::Result<> opened = OpenForReading(db, path, vfs, format);
  if (!opened) db.Close();
  return opened;
}

}  // namespace inferq::sqlite
