#pragma once

#include <string>
#include <string_view>

#include "model/batch.h"

namespace inferq::wire {

/// The id of the event that a batch has ended, "evt_…". The same for every delivery of it, so that
/// whoever gets it twice can tell.
std::string EventId(std::string_view batch_id);
/// "batch.completed", "batch.failed", "batch.expired", "batch.cancelled".
std::string EventType(model::BatchStatus status);
/// The payload of that event, OpenAI's. The batch has ended.
std::string EventJson(const model::BatchRecord& batch);

/// One delivery as clients see it: the event and where it is sent.
struct DeliveryObject {
  std::string id;  ///< DeliveryId of the batch.
  std::string batch_id;
  model::BatchStatus batch_status = model::BatchStatus::kCompleted;
  base::WallTime created{};  ///< Of the event.
  model::WebhookDelivery delivery{};
};
/// "evt_…-0": the event, and the number of the address.
std::string DeliveryId(std::string_view batch_id, size_t index);
/// The batch of such an id; "" when it is none.
std::string BatchIdOf(std::string_view delivery_id);
/// The object "webhook.delivery". Of the URL without its query, which may hold a secret.
std::string DeliveryJson(const DeliveryObject& object);

}  // namespace inferq::wire
