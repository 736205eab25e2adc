#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace inferq::queue {

// Checks of the fields of what is submitted. Each failure is kInvalidArgument and names its field.

base::Error WrongField(std::string_view field, std::string_view message);
base::Result<> CheckTenantName(std::string_view tenant);
base::Result<> CheckLaneName(std::string_view lane);
base::Result<> CheckIdempotencyKey(std::string_view key);
base::Result<> CheckTraceparent(std::string_view traceparent);
base::Result<> CheckPriority(int priority);
/// A time must be after `after` and before the year 2200.
base::Result<> CheckTime(std::string_view field, std::optional<base::WallTime> time,
                         base::WallTime after);

}  // namespace inferq::queue
