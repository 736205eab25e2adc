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

/// The tenant that a request is for. With keys the key decides, and a tenant in the path must agree
/// (403). Without, the path's is taken, else "default".
/// @return 401: no key or a wrong one. Messages never hold the key.
wire::ApiResult<std::string> Authenticate(const KeyRing& keys, const http::Headers& headers,
                                          const std::optional<std::string>& path_tenant);

}  // namespace inferq::api
