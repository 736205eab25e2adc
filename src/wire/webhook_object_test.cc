#include "wire/webhook_object.h"

#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using namespace std::chrono_literals;
using model::BatchStatus;

constexpr base::WallTime kEnd{1'700'000'000s};

TEST(WebhookEvent, IsOpenAIs) {
  model::BatchRecord batch;
  batch.id = "batch_1";
  batch.status = BatchStatus::kExpired;
  batch.expired = kEnd;
  EXPECT_EQ(
      EventJson(batch),
      R"({"id":"evt_1","object":"event","created_at":1700000000,"type":"batch.expired","data":{"id":"batch_1"}})");
  EXPECT_EQ(EventType(BatchStatus::kCompleted), "batch.completed");
  EXPECT_EQ(EventType(BatchStatus::kFailed), "batch.failed");
  EXPECT_EQ(EventType(BatchStatus::kCancelled), "batch.cancelled");
}

TEST(WebhookDelivery, HasEveryFieldAndNulls) {
  DeliveryObject object{.id = DeliveryId("batch_1", 2),
                        .batch_id = "batch_1",
                        .batch_status = BatchStatus::kCompleted,
                        .created = kEnd,
                        .delivery = {.url = "https://a.example/hook?token=x", .next = kEnd + 5s}};
  EXPECT_EQ(
      DeliveryJson(object),
      R"({"id":"evt_1-2","object":"webhook.delivery","event_id":"evt_1","type":"batch.completed",)"
      R"("batch_id":"batch_1","url":"https://a.example/hook","status":"pending","attempts":0,)"
      R"("created_at":1700000000,"next_attempt_at":1700000005,"last_attempt_at":null,)"
      R"("last_status_code":null,"last_error":null})");
  object.delivery.status = model::DeliveryStatus::kFailed;
  object.delivery.last = kEnd + 7s;
  object.delivery.last_status = 500;
  object.delivery.last_error = "no";
  EXPECT_TRUE(DeliveryJson(object).ends_with(
      R"("next_attempt_at":null,"last_attempt_at":1700000007,"last_status_code":500,"last_error":"no"})"));
}

TEST(WebhookDelivery, ItsIdLeadsToTheBatch) {
  EXPECT_EQ(BatchIdOf(DeliveryId("batch_0a", 11)), "batch_0a");
  for (const char* other : {"", "evt_1", "batch_1-0", "x"}) EXPECT_EQ(BatchIdOf(other), "");
}

}  // namespace
}  // namespace inferq::wire
