#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "blob/blob_store.h"
#include "wire/locality.h"

namespace inferq::service {

/// Finds ids that occur twice among any number of them, in constant memory: their hashes (128 bits,
/// so a false report is out of the question unless somebody constructs it for his own file) are
/// sorted into parts by their bits, the parts go to a blob while they grow, and each is looked
/// through in the end. Blocks; one thread at a time.
class RepeatedIds {
 public:
  explicit RepeatedIds(blob::BlobStore& blobs) : blobs_(blobs) {}

  base::Result<> Add(std::string_view id, uint64_t line);

  /// An id of `line` that `first` had before.
  struct Repeat {
    uint64_t line = 0;
    uint64_t first = 0;
  };
  /// All of them: the first `limit` by line, and how many there are. Removes the blob.
  struct Found {
    std::vector<Repeat> repeats;
    uint64_t count = 0;
  };
  base::Result<Found> Finish(size_t limit);
  /// Removes the blob of one that is not finished.
  base::Result<> Discard();

 private:
  static constexpr size_t kParts = 256;
  struct Entry {
    wire::Hash128 hash;
    uint64_t line = 0;
  };
  struct Part {
    std::vector<Entry> newest;  ///< Not in the blob yet.
    std::vector<model::Extent> written;
  };

  base::Result<> Flush(Part& part);
  base::Result<std::vector<Entry>> Load(Part& part);

  blob::BlobStore& blobs_;
  blob::BlobId blob_ = 0;
  std::array<Part, kParts> parts_;
};

}  // namespace inferq::service
