#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace inferq::model {

/// A file that a client gave or gets: a sealed blob with a name.
struct FileRecord {
  std::string id;         ///< "file-…", opaque outside.
  uint64_t sequence = 0;  ///< Order of creation over all files and batches, from 1.
  std::string tenant;
  std::string filename;
  std::string purpose;  ///< "batch", "batch_output", "user_data", …
  uint64_t bytes = 0;
  uint64_t blob = 0;  ///< Number in the blob store.
  base::WallTime created{};
  std::optional<base::WallTime> expires{};  ///< Then it is deleted.
  /// It is deleted, and `blob` is 0: only its place is kept until `expires`, for lists that go on
  /// behind it.
  bool removed = false;

  /// Whether its tenant can still see it.
  bool IsThere(base::WallTime now) const { return !removed && (!expires || now < *expires); }
};

}  // namespace inferq::model
