#include "app/bench_stats.h"

#include <cmath>

namespace inferq::app {

double Latencies::Percentile(double part) const {
  if (micros_.empty()) return 0;
  if (!sorted_) std::ranges::sort(micros_);
  sorted_ = true;
  auto rank = static_cast<size_t>(std::ceil(part * static_cast<double>(micros_.size())));
  return static_cast<double>(micros_[std::clamp<size_t>(rank, 1, micros_.size()) - 1]) / 1000;
}

base::SteadyTime Pace::Next(base::SteadyTime now) {
  if (rate_ <= 0) return now;
  if (sent_ == 0) begin_ = now;
  double micros = static_cast<double>(sent_++) * 1e6 / rate_;
  return begin_ + base::Micros(std::llround(micros));
}

}  // namespace inferq::app
