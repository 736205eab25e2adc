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
/// One process has the file as long as it is open: a second one gets kFailedPrecondition. Readers
/// beside the writer, of this process or another one, are never waited for. Its format has a number
/// (user_version): older files are brought to the newest, a file of a newer inferq is refused and
/// stays as it is. Each row carries a checksum; one that does not fit is kDataLoss.
std::unique_ptr<Journal> MakeSqliteJournal(SqliteJournalOptions options);

}  // namespace inferq::queue
