#pragma once

#include <memory>
#include <string>

#include "queue/local/journal.h"

namespace inferq::queue {

struct SqliteJournalOptions {
  std::string path;  ///< The file; made when missing, in a directory that exists.
  std::string vfs;   ///< Name of a registered sqlite3_vfs; "": the machine's files.
};

/// The queue's rows in an SQLite file: write-ahead log, synchronous=FULL (a commit is one fsync of
/// the log).
///
/// The file is locked for one process as long as it is open (locking_mode=EXCLUSIVE, so there is no
/// shared memory either): a second one gets kFailedPrecondition. Its format has a number
/// (user_version); a file of a newer inferq is refused and stays as it is. Each row carries a
/// checksum; one that does not fit is kDataLoss.
std::unique_ptr<Journal> MakeSqliteJournal(SqliteJournalOptions options);

}  // namespace inferq::queue
