#include "api/auth.h"

#include <algorithm>

namespace inferq::api {

using base::Code;
using base::Error;

namespace {

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

/// What stands behind "Bearer"; nullopt when nothing does.
std::optional<std::string_view> BearerKey(const http::Headers& headers) {
  constexpr std::string_view kScheme = "Bearer ";
  auto value = http::FindHeader(headers, "authorization");
  if (!value || value->size() < kScheme.size()) return std::nullopt;
  if (!EqualsIgnoringCase(value->substr(0, kScheme.size()), kScheme)) return std::nullopt;
  std::string_view key = value->substr(kScheme.size());
  key.remove_prefix(std::min(key.find_first_not_of(' '), key.size()));
  if (key.empty()) return std::nullopt;
  return key;
}

wire::ApiResult<std::string> TenantOfKey(const KeyRing& keys, const http::Headers& headers) {
  auto key = BearerKey(headers);
  if (!key) {
    return std::unexpected(
        Error(Code::kUnauthenticated,
              "You didn't provide an API key. You need to provide your API key in an Authorization "
              "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."));
  }
  auto tenant = keys.tenant_of ? keys.tenant_of(*key) : std::nullopt;
  if (!tenant) {
    return std::unexpected(
        Error(Code::kUnauthenticated,
              "Incorrect API key provided. Ask whoever runs this server for a valid one."));
  }
  return *std::move(tenant);
}

}  // namespace

wire::ApiResult<std::string> Authenticate(const KeyRing& keys, const http::Headers& headers,
                                          const std::optional<std::string>& path_tenant) {
  if (!keys.required) return path_tenant.value_or("default");
  INFERQ_ASSIGN(std::string tenant, TenantOfKey(keys, headers));
  if (path_tenant && *path_tenant != tenant) {
    return std::unexpected(
        Error(Code::kPermissionDenied,
              fmt::format("The API key is not one of tenant '{}', which the path names; use that "
                          "tenant's key, or leave /t/{} out of the address.",
                          *path_tenant, *path_tenant)));
  }
  return tenant;
}

}  // namespace inferq::api
