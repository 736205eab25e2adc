#pragma once

#include <memory>
#include <string>

#include "catalog/catalog.h"
#include "runtime/runtime.h"

namespace inferq::catalog {

struct SqliteCatalogOptions {
  std::string path;  ///< The file; made when missing, in a directory that exists.
  std::string vfs;   ///< Name of a registered sqlite3_vfs; "": the machine's files.
};

/// The catalog in an SQLite file, one process at a time, and all of it in memory: a kilobyte or so
/// for each file or batch, more for a batch with many problems or much metadata.
///
/// Writes on the lane runtime::kCatalogLane. Destroy it on the strand, after Close, or to simulate
/// a crash when no call is under way.
std::unique_ptr<Catalog> MakeSqliteCatalog(runtime::Runtime& runtime, SqliteCatalogOptions options);

}  // namespace inferq::catalog
