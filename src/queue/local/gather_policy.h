#pragma once

#include <algorithm>
#include <cstddef>

#include "base/clock.h"

namespace inferq::queue {

/// How long a group gathers before its commit begins, when the journal has nothing else to do.
///
/// Those who were just answered tend to come back with their next request. If the next commit
/// begins before they do, clients fall apart into two halves that wait for each other's commits. So
/// a group waits for as many as the last one had, at most for half of the time that its commit
/// took; those who come with requests of their own accord, one after the other, are not worth it,
/// which shows after one wait in vain. Pure; see bench/results/journal.md for what it gains.
class GatherPolicy {
 public:
  /// A commit of `members` requests ended, and `gathered` came meanwhile.
  void Ended(base::SteadyTime now, base::Micros took, size_t members, size_t gathered) {
    gathered_ = gathered;
    expected_ = gathered + members;
    hopeful_ = skip_ == 0;
    if (!hopeful_) --skip_;
    until_ = now + (hopeful_ ? std::min(took / 2, kLongest) : base::Micros(0));
  }
  bool Waits(base::SteadyTime now, size_t gathered) const {
    return gathered < expected_ && now < until_;
  }
  base::SteadyTime until() const { return until_; }
  /// The next commit begins, with so many.
  void Begins(size_t members) {
    size_t came = members - std::min(members, gathered_);
    if (hopeful_ && came * 2 < expected_ - gathered_) skip_ = kSkipped;
  }

 private:
  static constexpr base::Micros kLongest{2'000};
  static constexpr int kSkipped = 10;

  base::SteadyTime until_;
  size_t gathered_ = 0;
  size_t expected_ = 0;
  bool hopeful_ = false;
  int skip_ = 0;
};

}  // namespace inferq::queue
