#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "sqlite/database.h"

namespace inferq::sqlite {

/// One moment of several files, while others write them; for backups. Writers do not wait for it,
/// but the log of a file cannot be written back beyond that moment as long as it lives.
class Snapshot {
 public:
  /// @param paths  Files in write-ahead mode, those that change often last.
  /// @return kAborted: all but the last of them change all the time, try again; else see
  ///         Database::Failure.
  static base::Result<std::unique_ptr<Snapshot>> Take(const std::vector<std::string>& paths);

  /// Writes file number `index` of them to `path`, which must not exist; durable but for its name.
  base::Result<> CopyTo(size_t index, const std::string& path);

 private:
  struct Source {
    Database db;     // in a transaction that reads
    Database watch;  // sees later changes
    int64_t version = 0;
  };
  base::Result<> Open(const std::vector<std::string>& paths);
  base::Result<bool> Fix();

  std::vector<std::unique_ptr<Source>> sources_;
};

}  // namespace inferq::sqlite
