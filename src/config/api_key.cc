#include "config/api_key.h"

#include <sodium.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace inferq::config {
namespace {

using base::Code;
using base::Fail;
using base::Result;

constexpr std::string_view kHashPrefix = "blake2b:";
constexpr size_t kSecretBytes = 32;
constexpr size_t kHashBytes = 32;
constexpr size_t kShortest = 20;
constexpr size_t kLongest = 512;

void StartSodium() {
  static const bool started = ::sodium_init() >= 0;
  INFERQ_CHECK(started);
}

bool IsHexDigit(char c) { return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f'); }

}  // namespace

std::string NewApiKey() {
  StartSodium();
  std::array<unsigned char, kSecretBytes> secret;
  ::randombytes_buf(secret.data(), secret.size());
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::array<char, sodium_base64_ENCODED_LEN(kSecretBytes, kVariant)> text;
  ::sodium_bin2base64(text.data(), text.size(), secret.data(), secret.size(), kVariant);
  return "iq-" + std::string(text.data());
}

std::string HashApiKey(std::string_view key) {
  StartSodium();
  std::array<unsigned char, kHashBytes> hash;
  ::crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(key.data()),
                       key.size(), nullptr, 0);
  std::array<char, 2 * kHashBytes + 1> hex;
  ::sodium_bin2hex(hex.data(), hex.size(), hash.data(), hash.size());
  return std::string(kHashPrefix) + hex.data();
}

Result<> CheckApiKey(std::string_view key) {
  if (key.size() < kShortest || key.size() > kLongest) {
    return Fail(Code::kInvalidArgument,
                "the key has {} characters; it must have {} to {}, because short ones can be "
                "guessed. `inferq key create` makes a good one",
                key.size(), kShortest, kLongest);
  }
  if (!std::ranges::all_of(key, [](char c) { return '!' <= c && c <= '~'; })) {
    return Fail(Code::kInvalidArgument,
                "the key has spaces or characters that are not ASCII, which do not fit into an "
                "Authorization header");
  }
  return {};
}

bool IsApiKeyHash(std::string_view text) {
  if (!text.starts_with(kHashPrefix)) return false;
  text.remove_prefix(kHashPrefix.size());
  return text.size() == 2 * kHashBytes && std::ranges::all_of(text, IsHexDigit);
}

const std::string* TenantKeys::Find(std::string_view presented_key) const {
  auto found = tenants_.find(HashApiKey(presented_key));
  return found == tenants_.end() ? nullptr : &found->second;
}

}  // namespace inferq::config
