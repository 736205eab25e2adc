#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace inferq::app {

/// How long calls took. Keeps every one, so percentiles are exact: 8 bytes a call.
class Latencies {
 public:
  /// A time below 0 counts as 0: a claim may arrive before the acknowledgement of its task.
  void Add(base::Micros took) {
    micros_.push_back(std::max<int64_t>(took.count(), 0));
    sorted_ = false;
  }
  size_t count() const { return micros_.size(); }
  /// In milliseconds: the smallest that at least `part` of all do not exceed; 0 of none.
  /// @param part  (0, 1]; 1 is the longest.
  double Percentile(double part) const;

 private:
  mutable std::vector<int64_t> micros_;
  mutable bool sorted_ = true;
};

/// When each request is meant to be sent. With a rate that does not depend on answers: whoever is
/// late sends at once, and is charged from the intended time, so a stalled server cannot hide the
/// requests that a stalled client did not send. Without a rate: now. The first is meant for when it
/// is asked for.
class Pace {
 public:
  /// @param rate  a second; 0: as fast as answers come.
  explicit Pace(double rate) : rate_(rate) {}
  base::SteadyTime Next(base::SteadyTime now);

 private:
  double rate_;
  base::SteadyTime begin_{};
  uint64_t sent_ = 0;
};

}  // namespace inferq::app
