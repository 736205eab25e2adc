#pragma once

#include <cstdint>

#include "base/check.h"
#include "model/ids.h"

namespace inferq::queue {

/// Gives out rising fences: incarnation * 2^32 + n. Half-way through the numbers of one incarnation
/// it reserves the next, which must be stored long before the numbers run out, so that fences rise
/// across restarts.
class FenceSource {
 public:
  explicit FenceSource(uint32_t incarnation = 0, uint32_t last = 0)
      : incarnation_(incarnation),
        reserved_(last < UINT32_MAX / 2 ? incarnation : incarnation + 1),
        last_(last) {}

  model::Fence Next() {
    if (last_ == UINT32_MAX) {
      INFERQ_CHECK(reserved_ > incarnation_);
      incarnation_ = reserved_;
      last_ = 0;
    }
    if (++last_ == UINT32_MAX / 2) ++reserved_;
    return model::MakeFence(incarnation_, last_);
  }
  /// The highest incarnation in use; an opening store starts above the one it finds.
  uint32_t reserved() const { return reserved_; }

 private:
  uint32_t incarnation_;
  uint32_t reserved_;
  uint32_t last_;
};

}  // namespace inferq::queue
