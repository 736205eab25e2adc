#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "sqlite/database.h"

namespace inferq::sqlite {

/// What a file of ours says of itself.
struct Format {
  const char* name;        ///< "queue", for messages.
  int64_t application_id;  ///< Of the file's header.
  /// Statements. The first makes the tables of version 1, each other one brings the version before
  /// it to its own. Only ever appended to.
  std::span<const char* const> versions;
  /// Others may read while one writes. Space that becomes free in a file made so can be given back.
  bool read_beside = false;
  /// Unwritten pages of the log at which a commit writes it back, if nobody did so before.
  int log_bound = 4000;

  int64_t version() const { return static_cast<int64_t>(versions.size()); }
};

/// Opens or makes a file of that format: write-ahead log, synchronous=FULL (a commit is one fsync
/// of the log). An older version is brought to the newest, step by step, each in one transaction;
/// a newer one is refused.
///
/// One process has the file, until `db` is closed. Without `read_beside` SQLite's own lock sees to
/// that (locking_mode=EXCLUSIVE, so there is no shared memory either). With it a lock on PATH-lock
/// does, and readers share the log's index with the writer. Their log is written back by
/// Database::Checkpoint, on the connection that writes: SQLite 3.40 can damage a file when two
/// connections write or write back at the same instant.
/// @param vfs  name of a registered sqlite3_vfs; "": the machine's files. Others are of one
/// process,
///             and get no PATH-lock.
/// @return kFailedPrecondition: held by another process, or a file of something else or of a newer
///         inferq, which stays as it is; else see Database::Failure. `db` is closed again then.
base::Result<> OpenStore(Database& db, const std::string& path, const std::string& vfs,
                         const Format& format);

/// Opens a file of the newest version for reading, also beside a connection of this or another
/// process that writes it; that one never waits for readers.
/// @return as OpenStore; kFailedPrecondition also: of an older version; kUnavailable: there is
/// none.
base::Result<> OpenReader(Database& db, const std::string& path, const std::string& vfs,
                          const Format& format);

}  // namespace inferq::sqlite
