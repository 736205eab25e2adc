#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "sched/scheduler.h"

namespace inferq::sched {

namespace {
constexpr double kKeyLimit = 9007199254740991.0;  // 2^53 - 1
}

Key MakeKey(base::WallTime eligible, int priority, int boost, const OrderPolicy& policy) {
  INFERQ_CHECK(policy.aging_per_second > 0);
  double points = priority + std::clamp(boost, 0, std::max(0, policy.boost_cap));
  double lead = std::floor(points * 1e6 / policy.aging_per_second + 0.5);
  double key = static_cast<double>(eligible.time_since_epoch().count()) - lead;
  return static_cast<Key>(std::clamp(key, -kKeyLimit, kKeyLimit));
}

}  // namespace inferq::sched
