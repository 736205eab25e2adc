#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "blob/blob_store.h"
#include "model/task.h"

namespace inferq::service {

/// The bytes of several extents, in their order; what lies close together is read at once. One that
/// cannot be read does not harm the others. Blocks.
std::vector<base::Result<std::string>> ReadExtents(blob::BlobStore& blobs,
                                                   const std::vector<model::Extent>& extents);

}  // namespace inferq::service
