#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "wire/api_error.h"

namespace inferq::api {

/// Who holds which API key.
struct KeyRing {
  bool required = false;  ///< False: keys are not looked at, and the path names the tenant.
  /// The tenant of a key; nullopt: no such key. Any thread; compares without telling by its time
  /// how much of a key was right.
  std::function<std::optional<std::string>(std::string_view key)> tenant_of;
};

/// Whose a request is.
struct Asker {
  std::string tenant;
  bool named = false;  ///< By its key, path or header; false: "default", as nobody said.
};

/// The tenant that a request is for. With keys the key decides, and a tenant in the path or in the
/// header X-Inferq-Tenant must agree (403). Without, the path's is taken, else the header's, else
/// "default".
/// @return 401: no key or a wrong one. 400: the header names no tenant. Messages never hold the
/// key.
wire::ApiResult<Asker> Authenticate(const KeyRing& keys, const http::Headers& headers,
                                    const std::optional<std::string>& path_tenant);

/// The 403 for one who names another tenant than that of the key. @param where  "the path".
wire::ApiError OtherTenant(std::string_view tenant, std::string_view where);

}  // namespace inferq::api
