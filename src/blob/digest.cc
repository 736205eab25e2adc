#include "blob/digest.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <array>

namespace inferq::blob {

std::string Sha256Hex(std::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> sum{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), sum.data());
  std::string hex;
  for (unsigned char byte : sum) hex += fmt::format("{:02x}", byte);
  return hex;
}

}  // namespace inferq::blob
