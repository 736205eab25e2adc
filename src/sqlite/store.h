#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "sqlite/database.h"

namespace inferq::sqlite {

/// What a file of ours says of itself.
struct Format {
  const char* name;        ///< "queue", for messages.
  int64_t application_id;  ///< Of the file's header.
  int64_t version;         ///< Raised when the schema changes; newer files are refused.
  const char* schema;      ///< Statements that make the tables of a new file.
};

/// Opens or makes a file of that format: write-ahead log, synchronous=FULL (a commit is one fsync
/// of the log). The file is locked for this connection until it is closed (locking_mode=EXCLUSIVE,
/// so there is no shared memory either).
/// @param vfs  name of a registered sqlite3_vfs; "": the machine's files.
/// @return kFailedPrecondition: held by another process, or a file of something else or of a newer
///         inferq, which stays as it is; else see Database::Failure. `db` is closed again then.
base::Result<> OpenStore(Database& db, const std::string& path, const std::string& vfs,
                         const Format& format);

}  // namespace inferq::sqlite
