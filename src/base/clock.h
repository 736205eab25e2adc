#pragma once

#include <chrono>

namespace inferq::base {

using Micros = std::chrono::microseconds;

/// A point in civil time, microseconds since 1970 UTC. Durable: keys, deadlines and ages are kept
/// in it.
using WallTime = std::chrono::sys_time<Micros>;

/// A point on a clock that never jumps. Meaningless after a restart: leases and timers only.
struct SteadyClock {
  using duration = Micros;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<SteadyClock>;
  static constexpr bool is_steady = true;
};
using SteadyTime = SteadyClock::time_point;

/// The seam between code and time; simulation puts a virtual clock behind it. Any thread may call.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime Wall() const = 0;
  virtual SteadyTime Steady() const = 0;
};

/// The machine's clocks. Lives as long as the process.
const Clock& SystemClock();

}  // namespace inferq::base
