#pragma once

#include <cmath>
#include <cstdint>

#include "base/clock.h"

namespace inferq::queue {

/// How much happens in a second, the recent past counting most: an exponentially decayed sum.
class RateMeter {
 public:
  void Add(base::SteadyTime now, double amount) {
    sum_ = Decayed(now) + amount;
    last_ = now;
    if (begin_ == base::SteadyTime::max()) begin_ = now;
  }
  /// 0 when nothing is known.
  double PerSecond(base::SteadyTime now) const {
    if (begin_ == base::SteadyTime::max()) return 0;
    double age = std::chrono::duration<double>(now - begin_).count();
    // A young meter has not seen the whole of its memory.
    double seen = kMemory * (1 - std::exp(-age / kMemory));
    return Decayed(now) / std::max(seen, kShortest);
  }

 private:
  static constexpr double kMemory = 10;     // seconds
  static constexpr double kShortest = 0.1;  // seconds
  double Decayed(base::SteadyTime now) const {
    return sum_ * std::exp(-std::chrono::duration<double>(now - last_).count() / kMemory);
  }

  double sum_ = 0;
  base::SteadyTime last_{};
  base::SteadyTime begin_ = base::SteadyTime::max();
};

}  // namespace inferq::queue
