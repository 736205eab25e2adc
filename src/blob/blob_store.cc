#include "blob/blob_store.h"

namespace inferq::blob {

std::vector<base::Result<std::string>> ReadAll(BlobStore& blobs,
                                               std::span<const model::Extent> extents) {
  std::vector<base::Result<std::string>> all;
  all.reserve(extents.size());
  for (const model::Extent& extent : extents) all.push_back(blobs.Read(extent));
  return all;
}

}  // namespace inferq::blob
