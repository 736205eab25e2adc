#pragma once

#include <string>
#include <string_view>

namespace inferq::blob {

/// SHA-256 of the bytes, 64 lower-case hexadecimal digits: a name for them that nobody can make
/// other bytes to.
std::string Sha256Hex(std::string_view bytes);

}  // namespace inferq::blob
