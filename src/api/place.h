#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "wire/api_error.h"

namespace inferq::api {

/// Where a request's path leads, and whose it says it is.
struct Place {
  std::optional<std::string> tenant;  ///< Of "/t/<tenant>/…".
  std::string path;  ///< Without tenant, "/v1" and slashes at the end: "/files/file-1".
};

/// 1..64 letters, digits, '.', '_', '-'.
bool IsTenantName(std::string_view name);

/// 400: what stands behind "/t/" is no tenant's name.
wire::ApiResult<Place> ParsePlace(std::string_view path);

}  // namespace inferq::api
