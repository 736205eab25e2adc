#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace inferq::http {

/// Signs deliveries of webhooks as the Standard Webhooks have it, and OpenAI: HMAC-SHA256 over
/// "id.timestamp.payload". Any thread.
class WebhookSigner {
 public:
  /// @param secret  "whsec_" and base64 of 16 to 128 bytes. kInvalidArgument: another form; the
  /// message does not show it.
  static base::Result<WebhookSigner> Make(std::string_view secret);

  /// The value of webhook-signature: "v1,…".
  std::string Sign(std::string_view id, base::WallTime timestamp, std::string_view payload) const;

 private:
  explicit WebhookSigner(std::string key) : key_(std::move(key)) {}
  std::string key_;
};

/// The value of webhook-timestamp: Unix seconds.
std::string WebhookTimestamp(base::WallTime timestamp);

}  // namespace inferq::http
