#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace inferq::app {

/// "+2h" and "+90m" from now, "1800000000" in Unix seconds; "none" is nullopt. kInvalidArgument
/// says what is taken.
base::Result<std::optional<base::WallTime>> ParsePointInTime(const std::string& text,
                                                             base::WallTime now);

}  // namespace inferq::app
