#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace inferq::service {

/// Bounds how many batches a tenant makes in an hour, whichever. On the strand.
class CreationRate {
 public:
  static constexpr base::Micros kPeriod = std::chrono::hours(1);

  /// @param most  0: any number; then nothing is remembered.
  explicit CreationRate(uint64_t most) : most_(most) {}

  /// kResourceExhausted: one more is too many, with the time until it is not.
  base::Result<> Check(const std::string& tenant, base::WallTime now);
  /// In order of creation.
  void Add(const std::string& tenant, base::WallTime created);

 private:
  uint64_t most_;
  std::map<std::string, std::deque<base::WallTime>> made_;  // at most `most_` of each tenant
};

}  // namespace inferq::service
