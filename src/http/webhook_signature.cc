#include "http/webhook_signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <chrono>

#include "base/check.h"

namespace inferq::http {
namespace {

using base::Code;
using base::Fail;
using base::Result;

constexpr std::string_view kPrefix = "whsec_";
constexpr size_t kShortestKey = 16;
constexpr size_t kLongestKey = 128;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string Base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // with the NUL that it writes
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), Bytes(bytes),
                             static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

Result<std::string> FromBase64(std::string_view text) {
  std::string out(text.size() / 4 * 3, '\0');
  int size = text.size() % 4 != 0 ? -1
                                  : EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                                    Bytes(text), static_cast<int>(text.size()));
  if (size < 0) return Fail(Code::kInvalidArgument, "is not base64 behind {}", kPrefix);
  // What the padding stands for is counted.
  for (size_t i = text.size(); i > 0 && text[i - 1] == '='; --i) --size;
  out.resize(static_cast<size_t>(size));
  return out;
}

}  // namespace

Result<WebhookSigner> WebhookSigner::Make(std::string_view secret) {
  constexpr size_t kLongest = kPrefix.size() + (kLongestKey + 2) / 3 * 4;
  if (!secret.starts_with(kPrefix) || secret.size() > kLongest) {
    return Fail(Code::kInvalidArgument, "must be {} and base64 of {} to {} bytes", kPrefix,
                kShortestKey, kLongestKey);
  }
  INFERQ_ASSIGN(std::string key, FromBase64(secret.substr(kPrefix.size())));
  if (key.size() >= kShortestKey && key.size() <= kLongestKey) return WebhookSigner(std::move(key));
  return Fail(Code::kInvalidArgument, "has {} bytes behind {}; it must have {} to {}", key.size(),
              kPrefix, kShortestKey, kLongestKey);
}

std::string WebhookSigner::Sign(std::string_view id, base::WallTime timestamp,
                                std::string_view payload) const {
  const std::string text = fmt::format("{}.{}.{}", id, WebhookTimestamp(timestamp), payload);
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned size = 0;
  INFERQ_CHECK(HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), Bytes(text),
                    text.size(), sum.data(), &size) != nullptr);
  return "v1," + Base64({reinterpret_cast<const char*>(sum.data()), size});
}

std::string WebhookTimestamp(base::WallTime timestamp) {
  return fmt::to_string(
      std::chrono::duration_cast<std::chrono::seconds>(timestamp.time_since_epoch()).count());
}

}  // namespace inferq::http
