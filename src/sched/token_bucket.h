#pragma once

#include <cstdint>

#include "base/clock.h"
#include "model/task.h"

namespace inferq::sched {

/// Time as picks tell it: it never goes back. A `now` earlier than the one before adds nothing.
class PickClock {
 public:
  /// Microseconds of forward steps so far.
  int64_t elapsed() const { return elapsed_; }
  /// What it would be after Advance(now).
  int64_t At(base::WallTime now) const;
  void Advance(base::WallTime now);

 private:
  int64_t elapsed_ = 0;
  bool started_ = false;
  base::WallTime last_;
};

/// Holds one minute's worth of tokens. Kept as the time that what was taken takes to come back, so
/// that refilling it costs nothing and never rounds.
class TokenBucket {
 public:
  static constexpr int64_t kNever = INT64_MAX;

  /// What it holds now stays the same part of what it can hold.
  void SetRate(uint64_t tokens_per_minute) { per_minute_ = tokens_per_minute; }
  /// Takes `tokens` out; negative ones go back, as far as there is room.
  void Take(double tokens, int64_t elapsed);
  /// The elapsed time from which on there is something in it.
  int64_t FilledAt() const;

 private:
  uint64_t per_minute_ = UINT64_MAX;
  double full_at_ = 0;  ///< Elapsed time; once that is past, it is full.
};

}  // namespace inferq::sched
