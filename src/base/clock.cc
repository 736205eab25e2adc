#include "base/clock.h"

namespace inferq::base {
namespace {

class SystemClockImpl final : public Clock {
 public:
  WallTime Wall() const override {
    return std::chrono::time_point_cast<Micros>(std::chrono::system_clock::now());
  }
  SteadyTime Steady() const override {
    auto since = std::chrono::steady_clock::now().time_since_epoch();
    return SteadyTime(std::chrono::duration_cast<Micros>(since));
  }
};

}  // namespace

const Clock& SystemClock() {
  static const SystemClockImpl clock;
  return clock;
}

}  // namespace inferq::base
