#pragma once

#include <array>
#include <cstdint>

namespace inferq::http {

/// Which addresses may be connected to.
enum class Egress : uint8_t {
  kAny,
  kPublic,  ///< Those of the public internet alone: for addresses that others choose.
};

/// Whether an IPv4 address (in network order) belongs to one host of the public internet: not to
/// this machine, a private or link-local network, a shared or reserved range, or a group.
bool IsPublic(const std::array<uint8_t, 4>& v4);
/// The same of IPv6. An address that stands for an IPv4 one (mapped, translated, 6to4) is judged by
/// that.
bool IsPublic(const std::array<uint8_t, 16>& v6);

}  // namespace inferq::http
