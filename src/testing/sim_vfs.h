#pragma once

#include <memory>
#include <string>

#include "base/file_system.h"

namespace inferq::testing {

/// Puts SQLite's files onto a base::FileSystem, so that a database can live on a SimDisk and be
/// crashed.
///
/// Registers a sqlite3_vfs called `name` (unique among the living ones) from construction to
/// destruction; open databases with it by sqlite3_open_v2(path, &db, flags, vfs.name()). Close them
/// before destruction. `fs` outlives it.
///
/// Several connections to a file share its locks and the memory of its log's index (WAL), as those
/// of one process do; there is no other process. A power cut ends both. As SQLite's own unix VFS
/// does, it makes the directory entry of a new journal durable with the first sync of it. Clock and
/// randomness are deterministic: sleeping moves the clock.
class SimVfs {
 public:
  SimVfs(base::FileSystem& fs, std::string name);
  ~SimVfs();
  SimVfs(const SimVfs&) = delete;
  SimVfs& operator=(const SimVfs&) = delete;

  const char* name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace inferq::testing
