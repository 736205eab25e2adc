#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/rng.h"

namespace inferq::service {

/// Names for files and batches: a prefix and 24 random hex digits, so that none tells how many
/// there are.
class IdMaker {
 public:
  explicit IdMaker(uint64_t seed) : rng_(seed) {}
  std::string Make(std::string_view prefix) {
    return fmt::format("{}{:016x}{:08x}", prefix, rng_.Next(), rng_.Next() >> 32);
  }

 private:
  base::Rng rng_;
};

}  // namespace inferq::service
