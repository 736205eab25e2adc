#include "sqlite/store.h"

namespace inferq::sqlite {

using base::Code;

namespace {

// Looks without touching: a file that is not ours keeps its bytes, and its log its contents.
base::Result<> CheckFormat(Database& db, const std::string& path, const Format& format) {
  db.CheckpointOnClose(false);
  INFERQ_TRY(db.Exec("PRAGMA locking_mode=EXCLUSIVE"));
  INFERQ_ASSIGN(int64_t tables, db.QueryInt("SELECT count(*) FROM sqlite_schema"));
  INFERQ_ASSIGN(int64_t application, db.QueryInt("PRAGMA application_id"));
  INFERQ_ASSIGN(int64_t version, db.QueryInt("PRAGMA user_version"));
  if (tables == 0) return {};
  if (application != format.application_id) {
    return base::Fail(Code::kFailedPrecondition, "{} is not a {} of inferq", path, format.name);
  }
  if (version > format.version) {
    return base::Fail(
        Code::kFailedPrecondition,
        "{} has format {}, this inferq knows up to {}; run the newer one that wrote it", path,
        version, format.version);
  }
  return {};
}

base::Result<> Lock(Database& db) {
  db.CheckpointOnClose(true);
  INFERQ_TRY(db.Exec("PRAGMA journal_mode=WAL"));
  INFERQ_TRY(db.Exec("PRAGMA synchronous=FULL"));
  INFERQ_TRY(db.Exec("PRAGMA wal_autocheckpoint=4000"));
  INFERQ_TRY(db.Exec("PRAGMA cache_size=-65536"));
  return db.Exec("BEGIN IMMEDIATE; COMMIT");  // takes the lock, which exclusive mode keeps
}

base::Result<> Create(Database& db, const Format& format) {
  INFERQ_ASSIGN(int64_t tables, db.QueryInt("SELECT count(*) FROM sqlite_schema"));
  if (tables > 0) return {};
  std::string sql =
      fmt::format("BEGIN; {} PRAGMA application_id={}; PRAGMA user_version={}; COMMIT",
                  format.schema, format.application_id, format.version);
  return db.Exec(sql.c_str());
}

}  // namespace

base::Result<> OpenStore(Database& db, const std::string& path, const std::string& vfs,
                         const Format& format) {
  INFERQ_TRY(db.Open(path, vfs));
  base::Result<> opened = CheckFormat(db, path, format);
  if (opened) opened = Lock(db);
  if (opened) opened = db.Rewrite();
  if (opened) opened = Create(db, format);
  if (!opened) db.Close();
  return opened;
}

}  // namespace inferq::sqlite
