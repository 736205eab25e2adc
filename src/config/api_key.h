#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace inferq::config {

/// A new secret from the operating system's randomness: "iq-" and 43 characters of base64url, 256
/// bits.
std::string NewApiKey();
/// "blake2b:" and 64 hexadecimal digits. Fast on purpose: a key of 256 random bits cannot be
/// guessed, however fast guesses are.
std::string HashApiKey(std::string_view key);
/// A key that somebody chose. kInvalidArgument: shorter than 20 or longer than 512 characters, or
/// with characters that do not fit into a header; the message does not repeat it.
base::Result<> CheckApiKey(std::string_view key);
/// Whether the text has the form that HashApiKey gives.
bool IsApiKeyHash(std::string_view text);

/// Which tenant a key belongs to. Holds hashes only. Immutable: any thread may ask.
class TenantKeys {
 public:
  TenantKeys() = default;
  /// @param tenants_by_hash  keys are what HashApiKey gives.
  explicit TenantKeys(std::map<std::string, std::string, std::less<>> tenants_by_hash)
      : tenants_(std::move(tenants_by_hash)) {}

  /// nullptr: nobody's key. The time it takes tells nothing about the keys: what is compared are
  /// hashes.
  const std::string* Find(std::string_view presented_key) const;
  bool empty() const { return tenants_.empty(); }

 private:
  std::map<std::string, std::string, std::less<>> tenants_;
};

}  // namespace inferq::config
