#include "sqlite/database.h"

#include <sqlite3.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

namespace inferq::sqlite {

using base::Code;

namespace {

constexpr int64_t kMaxPageBytes = 65536;
constexpr int64_t kRewritePiece = 1 << 16;  // SQLite writes less than 128 KiB at once

Code CodeOf(int sqlite_code) {
  switch (sqlite_code & 0xFF) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return Code::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return Code::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kFailedPrecondition;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return Code::kPermissionDenied;
    default:
      return Code::kUnavailable;
  }
}

/// Why the log was not written; 0 when it was. (sqlite3_system_errno does not know it when a commit
/// fails.)
int ErrnoOfLog(sqlite3* db) {
  sqlite3_file* log = nullptr;
  int reason = 0;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&log));
  if (log != nullptr && log->pMethods != nullptr) {
    log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &reason);
  }
  return reason;
}

/// The reason when a write found no room in a way that SQLite does not know: it knows ENOSPC only.
/// 0 for all else. A failed sync is never of this kind: what it covered may be lost.
int NoRoom(sqlite3* db, int sqlite_code) {
  int reason = sqlite_code == SQLITE_IOERR_WRITE ? ErrnoOfLog(db) : 0;
  return reason == EDQUOT || reason == EFBIG ? reason : 0;
}

// Writes the first `most` bytes once more, and syncs them. @return SQLite's code.
int RewriteFile(sqlite3_file& file, int64_t most) {
  const sqlite3_io_methods& io = *file.pMethods;
  sqlite3_int64 size = 0;
  int code = io.xFileSize(&file, &size);
  std::string piece(kRewritePiece, '\0');
  int64_t end = std::min<int64_t>(size, most);
  for (int64_t at = 0; at < end && code == SQLITE_OK; at += kRewritePiece) {
    int length = static_cast<int>(std::min(end - at, kRewritePiece));
    code = io.xRead(&file, piece.data(), length, at);
    if (code == SQLITE_OK) code = io.xWrite(&file, piece.data(), length, at);
  }
  return code == SQLITE_OK ? io.xSync(&file, SQLITE_SYNC_NORMAL) : code;
}

// Makes the names durable that stand beside a file: the first sync of a new journal does that.
int SyncNamesBeside(sqlite3_vfs* vfs, const std::string& path) {
  std::string name = path + "-sync";
  std::vector<std::max_align_t> space(
      static_cast<size_t>(vfs->szOsFile) / sizeof(std::max_align_t) + 1);
  auto* file = reinterpret_cast<sqlite3_file*>(space.data());
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_JOURNAL;
  int code = vfs->xOpen(vfs, name.c_str(), file, flags, nullptr);
  if (code != SQLITE_OK) return code;
  code = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
  file->pMethods->xClose(file);
  int removed = vfs->xDelete(vfs, name.c_str(), 0);
  return code == SQLITE_OK ? removed : code;
}

}  // namespace

base::Result<> Database::Open(const std::string& path, const std::string& vfs, Access access) {
  path_ = path;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |=
      access == Access::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  int code = sqlite3_open_v2(path.c_str(), &db_, flags, vfs.empty() ? nullptr : vfs.c_str());
  if (code == SQLITE_OK) {
    if (access == Access::kRead) CheckpointOnClose(false);
    return {};
  }
  base::Error error = Failure("open");
  Close();
  return std::unexpected(std::move(error));
}

void Database::Close() {
  sqlite3_close_v2(db_);  // statements that are left keep it until they go
  db_ = nullptr;
  log_pages_ = copied_pages_ = 0;
  lock_.reset();
}

base::Error Database::Failure(std::string_view what) const {
  int code = db_ == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(db_);
  if ((code & 0xFF) == SQLITE_BUSY) {
    return base::Error(CodeOf(code),
                       fmt::format("{} {}: another process has it open; stop that or choose "
                                   "another directory",
                                   what, path_));
  }
  if (int reason = NoRoom(db_, code)) {
    return base::ErrnoError(reason, fmt::format("{} {}", what, path_));
  }
  return base::Error(CodeOf(code),
                     fmt::format("{} {}: {} (SQLite code {})", what, path_,
                                 db_ == nullptr ? "out of memory" : sqlite3_errmsg(db_), code));
}

base::Result<> Database::Exec(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return std::unexpected(Failure("write"));
}

base::Result<int64_t> Database::QueryInt(const char* sql) {
  Row row;
  INFERQ_TRY(row.Prepare(*this, sql));
  INFERQ_ASSIGN(bool found, row.Step());
  return found ? row.TakeInt() : 0;
}

// Commits, or takes back what was written so far.
base::Result<> Database::Commit(base::Result<> written) {
  if (written) written = Exec("COMMIT");
  if (!written && in_transaction()) {
    (void)Exec("ROLLBACK");  // the first failure is the one to tell
  }
  return written;
}

base::Result<> Database::Rewrite() {
  sqlite3_file* file = nullptr;
  sqlite3_file* log = nullptr;
  sqlite3_vfs* vfs = nullptr;
  sqlite3_file_control(db_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  sqlite3_file_control(db_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  sqlite3_file_control(db_, "main", SQLITE_FCNTL_VFS_POINTER, &vfs);
  sqlite3_int64 size = 0;
  if (log == nullptr || log->pMethods == nullptr) return {};
  int code = log->pMethods->xFileSize(log, &size);
  if (code == SQLITE_OK && size == 0) return {};                    // closed in order, or new
  if (code == SQLITE_OK) code = RewriteFile(*file, kMaxPageBytes);  // of a young file all there is
  if (code == SQLITE_OK) code = RewriteFile(*log, size);
  if (code == SQLITE_OK) code = SyncNamesBeside(vfs, sqlite3_db_filename(db_, "main"));
  if (code == SQLITE_OK) return {};
  return base::Fail(CodeOf(code), "sync {}: {} (SQLite code {})", path_, sqlite3_errstr(code),
                    code);
}

void Database::CheckpointOnClose(bool on) {
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on ? 0 : 1, nullptr);
}

int64_t Database::changes() const { return sqlite3_changes64(db_); }

void Database::BoundLog(int pages) {
  log_bound_ = pages;
  sqlite3_wal_hook(db_, &Database::OnCommit, this);
}

// `pages` are those in the log, also those that the file has already: once it has all of them the
// log begins anew.
int Database::OnCommit(void* self, sqlite3*, const char*, int pages) {
  auto& db = *static_cast<Database*>(self);
  if (pages <= db.log_pages_) db.copied_pages_ = 0;
  db.log_pages_ = pages;
  if (db.log_pages() < db.log_bound_) return SQLITE_OK;
  return db.Checkpoint() ? SQLITE_OK : sqlite3_extended_errcode(db.db_);
}

base::Result<> Database::Checkpoint() {
  int code = sqlite3_wal_checkpoint_v2(db_, "main", SQLITE_CHECKPOINT_PASSIVE, &log_pages_,
                                       &copied_pages_);
  if (code == SQLITE_OK) return {};
  return std::unexpected(Failure("write the log back into"));
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

base::Result<std::vector<std::string>> Database::FindDamage() {
  Row row;
  INFERQ_TRY(row.Prepare(*this, "PRAGMA integrity_check"));
  std::vector<std::string> found;
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) break;
    found.push_back(row.TakeText());
  }
  if (found.size() == 1 && found[0] == "ok") found.clear();
  return found;
}

base::Result<> Database::CopyTo(const std::string& path) {
  Database copy;
  INFERQ_TRY(copy.Open(path, ""));
  INFERQ_TRY(copy.Exec("PRAGMA synchronous=FULL"));
  sqlite3_backup* backup = sqlite3_backup_init(copy.db_, "main", db_, "main");
  if (backup == nullptr) return std::unexpected(copy.Failure("copy into"));
  int code = sqlite3_backup_step(backup, -1);
  (void)sqlite3_backup_finish(backup);
  if (code == SQLITE_DONE) return {};
  return std::unexpected(copy.Failure("copy into"));
}

Row::~Row() { sqlite3_finalize(statement_); }

base::Result<> Row::Prepare(Database& db, const char* sql) {
  db_ = &db;
  int code = sqlite3_prepare_v3(db.db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
  if (code == SQLITE_OK) return {};
  return std::unexpected(db.Failure("read"));
}

// Multiply-and-rotate mixing: finds damage, not malice.
void Row::Mix(uint64_t value) {
  sum_ = std::rotl((sum_ ^ value) * 0x9e3779b97f4a7c15ULL, 29) + 0x632be59bd9b4e019ULL;
}

void Row::Mix(std::string_view bytes) {
  Mix(bytes.size());
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    Mix(word);
  }
  uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  Mix(rest);
}

void Row::Put(int64_t value) {
  Mix(static_cast<uint64_t>(value));
  sqlite3_bind_int64(statement_, ++column_, value);
}

void Row::Put(double value) {
  Mix(std::bit_cast<uint64_t>(value));
  sqlite3_bind_double(statement_, ++column_, value);
}

void Row::Put(const std::optional<int64_t>& value) {
  if (value) return Put(*value);
  Mix(uint64_t{0});
  sqlite3_bind_null(statement_, ++column_);
}

void Row::Put(std::string_view text) {
  Mix(text);
  const char* data = text.empty() ? "" : text.data();  // a null pointer would bind NULL
  sqlite3_bind_text(statement_, ++column_, data, static_cast<int>(text.size()), SQLITE_STATIC);
}

void Row::PutBlob(std::string_view bytes) {
  Mix(bytes);
  const char* data = bytes.empty() ? "" : bytes.data();
  sqlite3_bind_blob(statement_, ++column_, data, static_cast<int>(bytes.size()), SQLITE_STATIC);
}

void Row::PutCopy(const std::string& bytes) {
  Mix(bytes);
  sqlite3_bind_blob(statement_, ++column_, bytes.data(), static_cast<int>(bytes.size()),
                    SQLITE_TRANSIENT);
}

void Row::PutAbsent() { sqlite3_bind_null(statement_, ++column_); }

void Row::PutSum() { sqlite3_bind_int64(statement_, ++column_, static_cast<int64_t>(sum_)); }

void Row::Restart() {
  column_ = 0;
  sum_ = 0;
}

void Row::Reset() {
  sqlite3_reset(statement_);
  Restart();
}

base::Result<> Row::Run() {
  int code = sqlite3_step(statement_);
  base::Result<> result;
  if (code != SQLITE_DONE) result = std::unexpected(db_->Failure("write"));
  Reset();
  return result;
}

base::Result<bool> Row::Step() {
  Restart();
  int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return std::unexpected(db_->Failure("read"));
}

int64_t Row::TakeInt() {
  int64_t value = sqlite3_column_int64(statement_, column_++);
  Mix(static_cast<uint64_t>(value));
  return value;
}

double Row::TakeDouble() {
  double value = sqlite3_column_double(statement_, column_++);
  Mix(std::bit_cast<uint64_t>(value));
  return value;
}

std::optional<int64_t> Row::TakeOptional() {
  bool none = sqlite3_column_type(statement_, column_) == SQLITE_NULL;
  int64_t value = TakeInt();
  return none ? std::nullopt : std::optional(value);
}

std::string Row::TakeText() {
  const void* data = sqlite3_column_blob(statement_, column_);
  auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column_));
  ++column_;
  std::string text(static_cast<const char*>(data), data == nullptr ? 0 : size);
  Mix(text);
  return text;
}

bool Row::TakeAbsent() {
  if (sqlite3_column_type(statement_, column_) != SQLITE_NULL) return false;
  ++column_;
  return true;
}

bool Row::SumFits() {
  return static_cast<uint64_t>(sqlite3_column_int64(statement_, column_++)) == sum_;
}

}  // namespace inferq::sqlite
