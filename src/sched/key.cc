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

base::Micros BatchPace(model::TokenCount cost_per_line, double tenant_tokens_per_second,
                       base::Micros cap) {
  INFERQ_CHECK(cap.count() >= 0);
  double pace = std::ceil(static_cast<double>(cost_per_line) * 1e6 / tenant_tokens_per_second);
  bool known = tenant_tokens_per_second > 0 && pace < static_cast<double>(cap.count());
  return known ? base::Micros(static_cast<int64_t>(pace)) : cap;
}

base::Micros WaitBound(const OrderPolicy& policy, base::Micros service_time) {
  INFERQ_CHECK(policy.aging_per_second > 0);
  double points = model::kMaxPriority - model::kMinPriority + std::max(0, policy.boost_cap);
  double bound = std::ceil(points * 1e6 / policy.aging_per_second) +
                 static_cast<double>(policy.prefix_window.count()) +
                 static_cast<double>(service_time.count());
  if (!(bound < static_cast<double>(base::Micros::max().count()))) return base::Micros::max();
  return base::Micros(static_cast<int64_t>(bound));
}

}  // namespace inferq::sched
