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

/// Which part of a list is asked for.
struct PageQuery {
  std::string after;   ///< An id; "": from the begin.
  uint32_t limit = 0;  ///< Records of the page.
};
/// The parameters `after` and `limit`. @param most   of one page. @param usual  where no limit is
/// given.
wire::ApiResult<PageQuery> ReadPageQuery(std::string_view query, uint32_t most = 100,
                                         uint32_t usual = 20);

}  // namespace inferq::api
