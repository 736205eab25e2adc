#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/api_error.h"

namespace inferq::api {

/// The value of a parameter of a query ("limit=2&after=x"), percent-decoded; nullopt where there is
/// none. Of several, the first. Unknown parameters are not looked at.
/// @return 400: the value is not valid percent-encoded UTF-8.
wire::ApiResult<std::optional<std::string>> FindParam(std::string_view query,
                                                      std::string_view name);
/// The same as an integer within bounds; `otherwise` where there is none.
wire::ApiResult<uint32_t> IntegerParam(std::string_view query, std::string_view name, uint32_t min,
                                       uint32_t max, uint32_t otherwise);

}  // namespace inferq::api
