#include "sched/token_bucket.h"

#include <algorithm>
#include <cmath>

namespace inferq::sched {

namespace {
constexpr double kMinute = 60e6;
constexpr double kLongestDebt = 1e15;  // 31 years; keeps the arithmetic exact
}  // namespace

int64_t PickClock::At(base::WallTime now) const {
  return started_ ? elapsed_ + std::max<int64_t>(0, (now - last_).count()) : elapsed_;
}

void PickClock::Advance(base::WallTime now) {
  elapsed_ = At(now);
  last_ = now;
  started_ = true;
}

void TokenBucket::Take(double tokens, int64_t elapsed) {
  if (per_minute_ == 0 || per_minute_ == UINT64_MAX) return;
  double time = tokens * kMinute / static_cast<double>(per_minute_);
  auto now = static_cast<double>(elapsed);
  full_at_ = std::clamp(std::max(full_at_, now) + time, now, now + kLongestDebt);
}

int64_t TokenBucket::FilledAt() const {
  if (per_minute_ == 0) return kNever;
  if (per_minute_ == UINT64_MAX) return 0;
  return static_cast<int64_t>(std::floor(full_at_ - kMinute)) + 1;
}

}  // namespace inferq::sched
