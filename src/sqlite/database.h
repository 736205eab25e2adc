#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file_lock.h"

struct sqlite3;
struct sqlite3_stmt;

namespace inferq::sqlite {

enum class Access : uint8_t {
  kWrite,  ///< The file is made when missing.
  kRead,   ///< Nothing is changed, and the log is left alone at the end.
};

/// An SQLite connection. One thread at a time.
class Database {
 public:
  Database() = default;
  ~Database() { Close(); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Opens a file. `vfs` empty: the machine's files.
  base::Result<> Open(const std::string& path, const std::string& vfs,
                      Access access = Access::kWrite);
  /// Given back by Close.
  void Hold(std::unique_ptr<base::FileLock> lock) { lock_ = std::move(lock); }
  void Close();
  bool is_open() const { return db_ != nullptr; }

  /// Runs statements that return nothing of interest.
  base::Result<> Exec(const char* sql);
  /// The first column of the first row.
  base::Result<int64_t> QueryInt(const char* sql);
  /// Runs `write` inside a transaction, durable when it returns OK. If anything fails, nothing of
  /// it is done.
  template <class Write>
  base::Result<> Transact(Write write);
  /// Rows that the last statement changed.
  int64_t changes() const;

  /// From now on it is Checkpoint that writes the log back into the file. A commit does it only if
  /// it leaves `pages` or more in the log.
  void BoundLog(int pages);
  /// Pages of the log that are not in the file yet. 0 before the first commit after BoundLog.
  int log_pages() const { return log_pages_ - copied_pages_; }
  /// Writes the log back, as far as no reader needs the older pages. Only the connection that
  /// writes may do so.
  base::Result<> Checkpoint();

  /// Makes durable what is read, whatever syncs of an earlier process failed: writes its log and
  /// the first page of the file once more, as they are, and syncs them and their names. A system
  /// that failed to write a page may drop it from the pages to be written, yet go on showing it:
  /// what is appended behind such a hole is lost with it at a power cut. Only while the file is
  /// locked and no transaction is under way. Does nothing when the log is empty.
  base::Result<> Rewrite();
  bool in_transaction() const;
  /// What is wrong with the structure of the file, in SQLite's words; empty: nothing. Reads all.
  base::Result<std::vector<std::string>> FindDamage();
  /// Writes what it sees now into a new file, durable but for its name.
  base::Result<> CopyTo(const std::string& path);

  /// Whether closing the last connection writes the log back into the file.
  void CheckpointOnClose(bool on);
  /// What the last failure means to our callers: kResourceExhausted disk, quota or file size
  /// limit full, kDataLoss damaged, kFailedPrecondition held by another process, kPermissionDenied,
  /// kUnavailable anything else.
  base::Error Failure(std::string_view what) const;

 private:
  friend class Row;
  base::Result<> Commit(base::Result<> written);
  static int OnCommit(void* self, sqlite3* db, const char* name, int pages);

  sqlite3* db_ = nullptr;
  std::string path_;
  std::unique_ptr<base::FileLock> lock_;
  int log_bound_ = 0;
  int log_pages_ = 0;
  int copied_pages_ = 0;  // of them
};

/// A prepared statement over a row that ends in a checksum: values are bound or read in the order
/// of the columns, and mixed into the sum on the way.
class Row {
 public:
  Row() = default;
  ~Row();
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;

  base::Result<> Prepare(Database& db, const char* sql);

  // Writing: Put... each, PutSum, then Run.
  void Put(int64_t value);
  void Put(uint64_t value) { Put(static_cast<int64_t>(value)); }
  void Put(uint32_t value) { Put(static_cast<int64_t>(value)); }
  void Put(int value) { Put(static_cast<int64_t>(value)); }
  void Put(double value);
  void Put(const std::optional<int64_t>& value);
  /// Must stay valid until Run.
  void Put(std::string_view text);
  void PutBlob(std::string_view bytes);
  /// A blob that need not stay.
  void PutCopy(const std::string& bytes);
  /// NULL, and no part of the sum.
  void PutAbsent();
  void PutSum();
  /// Executes, and makes ready for the next row.
  base::Result<> Run();

  // Reading: Step, then Take... each, then SumFits.
  /// False: no more rows.
  base::Result<bool> Step();
  int64_t TakeInt();
  uint64_t TakeUint() { return static_cast<uint64_t>(TakeInt()); }
  double TakeDouble();
  std::optional<int64_t> TakeOptional();
  std::string TakeText();
  /// True: the column is NULL, and passed over; no part of the sum.
  bool TakeAbsent();
  /// Whether the sum in the next column is that of what was taken.
  bool SumFits();
  /// Ends reading before the last row, or makes ready for other values. A statement that is under
  /// way keeps the log from being written back.
  void Reset();

 private:
  void Mix(uint64_t value);
  void Mix(std::string_view bytes);
  void Restart();

  Database* db_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  int column_ = 0;
  uint64_t sum_ = 0;
};

// Readers may stop here.

template <class Write>
base::Result<> Database::Transact(Write write) {
  INFERQ_TRY(Exec("BEGIN IMMEDIATE"));
  return Commit(write());
}

}  // namespace inferq::sqlite
