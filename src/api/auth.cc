#include "api/auth.h"

#include <algorithm>

#include "api/place.h"

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

wire::ApiResult<std::optional<std::string>> HeaderTenant(const http::Headers& headers) {
  auto name = http::FindHeader(headers, "x-inferq-tenant");
  if (!name) return std::nullopt;
  if (IsTenantName(*name)) return std::string(*name);
  return std::unexpected(
      wire::BadRequest("The header X-Inferq-Tenant must have 1 to 64 letters, digits, '.', '_' or "
                       "'-'.",
                       "X-Inferq-Tenant", "invalid_value"));
}

}  // namespace

wire::ApiError OtherTenant(std::string_view tenant, std::string_view where) {
  return Error(Code::kPermissionDenied,
               fmt::format("The API key is not one of tenant '{}', which {} names; use that "
                           "tenant's key, or leave the name out.",
                           tenant, where));
}

wire::ApiResult<Asker> Authenticate(const KeyRing& keys, const http::Headers& headers,
                                    const std::optional<std::string>& path_tenant) {
  INFERQ_ASSIGN(std::optional<std::string> said, HeaderTenant(headers));
  if (!keys.required) {
    const auto& named = path_tenant ? path_tenant : said;
    return Asker{.tenant = named.value_or("default"), .named = named.has_value()};
  }
  INFERQ_ASSIGN(std::string tenant, TenantOfKey(keys, headers));
  if (path_tenant && *path_tenant != tenant) {
    return std::unexpected(OtherTenant(*path_tenant, "the path"));
  }
  if (said && *said != tenant) {
    return std::unexpected(OtherTenant(*said, "the header X-Inferq-Tenant"));
  }
  return Asker{.tenant = std::move(tenant), .named = true};
}

}  // namespace inferq::api
