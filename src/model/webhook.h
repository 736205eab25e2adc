#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace inferq::model {

/// Where the delivery of an event is: kPending, until it is taken or given up.
enum class DeliveryStatus : uint8_t { kPending, kDelivered, kFailed };
inline constexpr size_t kDeliveryStatusCount = 3;
/// "pending", "delivered", "failed".
std::string_view DeliveryStatusName(DeliveryStatus status);

/// The word of a batch's end on its way to one address, as it is stored with the batch.
struct WebhookDelivery {
  std::string url;  ///< As configured.
  DeliveryStatus status = DeliveryStatus::kPending;
  uint64_t attempts = 0;
  base::WallTime next{};                 ///< Of the next attempt, while it is pending.
  std::optional<base::WallTime> last{};  ///< End of the last attempt.
  uint64_t last_status = 0;              ///< HTTP status of its answer; 0: there was none.
  std::string last_error{};              ///< Why it was not taken; "" is none.
};

}  // namespace inferq::model
