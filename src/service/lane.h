#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace inferq::service {

/// What stands before the lanes of a tenant's own kinds of work: "@ann/". No model has such a name
/// and no tenant's has a slash, so a kind is private to its tenant.
inline std::string KindPrefix(std::string_view tenant) { return fmt::format("@{}/", tenant); }
/// The lane of a kind of work for external workers.
inline std::string KindLane(std::string_view tenant, std::string_view kind) {
  return fmt::format("@{}/{}", tenant, kind);
}
/// The kind that a lane is for; "" when it is a model's.
inline std::string_view KindOf(std::string_view lane) {
  return lane.starts_with('@') ? lane.substr(lane.find('/') + 1) : std::string_view();
}

}  // namespace inferq::service
