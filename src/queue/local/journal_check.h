#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace inferq::queue {

struct JournalCheck {
  uint64_t rows = 0;               ///< Whose checksums were looked at.
  uint64_t problems = 0;           ///< All of them.
  std::vector<std::string> shown;  ///< The first kProblemsShown, a sentence each.
  static constexpr size_t kProblemsShown = 100;
};

struct JournalCheckOptions {
  std::string path;
  std::string vfs;
  /// Size of a blob, nullopt: there is none. Unset: blobs are not looked at.
  std::function<std::optional<uint64_t>(uint64_t blob)> blob_size;
};

/// Looks at everything in a journal: SQLite's own structure, the checksum of every row, and what
/// tables say of each other. Changes nothing, and sees one moment of a journal that is being
/// written; until it is done, the log cannot be written back beyond that moment, so it grows.
/// Blocks for as long as it takes to read the file. Fails as sqlite::OpenReader where there is
/// nothing that could be checked.
base::Result<JournalCheck> CheckJournal(const JournalCheckOptions& options);

}  // namespace inferq::queue
