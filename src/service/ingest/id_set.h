#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "wire/locality.h"

namespace inferq::ingest {

/// Which custom_ids occurred, and where first. 24 bytes per slot, at most three quarters full; ids
/// are known by a 128-bit hash, so a false report is out of the question unless somebody constructs
/// it for his own file.
class IdSet {
 public:
  /// @return the line that had it before; nullopt: it is new, and `line` is kept.
  std::optional<uint64_t> Insert(std::string_view id, uint64_t line);

 private:
  struct Slot {
    wire::Hash128 hash;
    uint64_t line = 0;  ///< 0: free.
  };
  /// The slot that holds the hash, or the free one where it belongs.
  static Slot& Find(std::vector<Slot>& slots, const wire::Hash128& hash);
  void Grow();

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

}  // namespace inferq::ingest
