#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace inferq::base {

/// A 64-bit number that cannot be mixed up with another kind of number. `Tag` names the kind.
/// The default value 0 means "none".
template <class Tag>
struct StrongId {
  uint64_t value = 0;

  constexpr explicit operator bool() const { return value != 0; }
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
};

}  // namespace inferq::base

template <class Tag>
struct std::hash<inferq::base::StrongId<Tag>> {
  size_t operator()(inferq::base::StrongId<Tag> id) const noexcept {
    return std::hash<uint64_t>{}(id.value);
  }
};
