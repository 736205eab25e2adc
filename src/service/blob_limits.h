#pragma once

#include <cstdint>

namespace inferq::service {

/// Images that a tenant may keep (image_blobs.h); more is kResourceExhausted.
struct BlobLimits {
  uint64_t count = 10'000;
  uint64_t bytes = 8ull << 30;
};

}  // namespace inferq::service
