#include "service/creation_rate.h"

namespace inferq::service {

base::Result<> CreationRate::Check(const std::string& tenant, base::WallTime now) {
  auto found = made_.find(tenant);
  if (found == made_.end()) return {};
  std::deque<base::WallTime>& made = found->second;
  while (!made.empty() && now - made.front() >= kPeriod) made.pop_front();
  if (made.size() < most_) return {};
  auto wait = std::chrono::ceil<std::chrono::milliseconds>(made.front() + kPeriod - now);
  return std::unexpected(
      base::Error(base::Code::kResourceExhausted,
                  fmt::format("Rate limit reached for batch creations: {} an hour. Please try "
                              "again in {}s.",
                              most_, std::chrono::ceil<std::chrono::seconds>(wait).count()))
          .WithRetryAfter(wait));
}

void CreationRate::Add(const std::string& tenant, base::WallTime created) {
  if (most_ == 0) return;
  std::deque<base::WallTime>& made = made_[tenant];
  made.push_back(created);
  if (made.size() > most_) made.pop_front();
}

}  // namespace inferq::service
