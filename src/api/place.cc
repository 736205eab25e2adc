#include "api/place.h"

#include <algorithm>

namespace inferq::api {

namespace {

constexpr size_t kMaxTenantName = 64;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

/// Takes "/name" off the front, where it is a whole segment.
bool TakeSegment(std::string_view& path, std::string_view segment) {
  if (!path.starts_with(segment)) return false;
  std::string_view rest = path.substr(segment.size());
  if (!rest.empty() && rest.front() != '/') return false;
  path = rest;
  return true;
}

}  // namespace

bool IsTenantName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxTenantName &&
         std::ranges::all_of(name, IsNameCharacter);
}

wire::ApiResult<Place> ParsePlace(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  Place place;
  if (TakeSegment(path, "/t")) {
    path.remove_prefix(std::min<size_t>(path.size(), 1));
    std::string_view name = path.substr(0, path.find('/'));
    if (!IsTenantName(name)) {
      return std::unexpected(wire::BadRequest(
          "The path does not name a tenant behind /t/: 1 to 64 letters, digits, '.', '_' or '-'.",
          "tenant", "invalid_value"));
    }
    place.tenant = name;
    path.remove_prefix(name.size());
  }
  TakeSegment(path, "/v1");
  place.path = path.empty() ? "/" : path;
  return place;
}

}  // namespace inferq::api
