#include "wire/webhook_object.h"

#include "wire/file_object.h"
#include "wire/json.h"

namespace inferq::wire {

namespace {

constexpr std::string_view kBatchPrefix = "batch_";
constexpr std::string_view kEventPrefix = "evt_";

std::string SecondsOrNull(const std::optional<base::WallTime>& time) {
  return time ? std::to_string(UnixSeconds(*time)) : "null";
}

std::string TextOrNull(std::string_view text) { return text.empty() ? "null" : JsonString(text); }

}  // namespace

std::string EventId(std::string_view batch_id) {
  if (batch_id.starts_with(kBatchPrefix)) batch_id.remove_prefix(kBatchPrefix.size());
  return fmt::format("{}{}", kEventPrefix, batch_id);
}

std::string EventType(model::BatchStatus status) {
  return fmt::format("batch.{}", model::BatchStatusName(status));
}

std::string EventJson(const model::BatchRecord& batch) {
  return fmt::format(R"({{"id":{},"object":"event","created_at":{},"type":{},"data":{{"id":{}}}}})",
                     JsonString(EventId(batch.id)), SecondsOrNull(EndedAt(batch)),
                     JsonString(EventType(batch.status)), JsonString(batch.id));
}

std::string DeliveryId(std::string_view batch_id, size_t index) {
  return fmt::format("{}-{}", EventId(batch_id), index);
}

std::string BatchIdOf(std::string_view delivery_id) {
  size_t end = delivery_id.rfind('-');
  if (!delivery_id.starts_with(kEventPrefix) || end == delivery_id.npos) return "";
  std::string_view name = delivery_id.substr(0, end);
  return fmt::format("{}{}", kBatchPrefix, name.substr(kEventPrefix.size()));
}

std::string DeliveryJson(const DeliveryObject& object) {
  const model::WebhookDelivery& delivery = object.delivery;
  bool pending = delivery.status == model::DeliveryStatus::kPending;
  std::optional<base::WallTime> next = pending ? std::optional(delivery.next) : std::nullopt;
  return fmt::format(
      R"({{"id":{},"object":"webhook.delivery","event_id":{},"type":{},"batch_id":{},"url":{},)"
      R"("status":"{}","attempts":{},"created_at":{},"next_attempt_at":{},"last_attempt_at":{},)"
      R"("last_status_code":{},"last_error":{}}})",
      JsonString(object.id), JsonString(EventId(object.batch_id)),
      JsonString(EventType(object.batch_status)), JsonString(object.batch_id),
      JsonString(std::string_view(delivery.url).substr(0, delivery.url.find('?'))),
      model::DeliveryStatusName(delivery.status), delivery.attempts, UnixSeconds(object.created),
      SecondsOrNull(next), SecondsOrNull(delivery.last),
      delivery.last_status == 0 ? "null" : std::to_string(delivery.last_status),
      TextOrNull(delivery.last_error));
}

}  // namespace inferq::wire
