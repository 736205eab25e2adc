#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/rng.h"
#include "catalog/catalog.h"
#include "runtime/event.h"
#include "runtime/runtime.h"
#include "service/caller.h"
#include "service/observer.h"
#include "service/webhook_types.h"
#include "wire/webhook_object.h"

namespace inferq::service {

/// Tells endpoints that batches have ended: at least once, in no order, with one id for an event.
///
/// What is to be delivered stands in the batch's record, since the commit that ended the batch
/// (Record); here is only a list of what waits, made anew at each start. An attempt that is not
/// recorded, because the process died, is made again. On the strand.
/// Order: Resume -> calls -> Stop.
class Webhooks {
 public:
  Webhooks(runtime::Runtime& runtime, catalog::Catalog& catalog, const WebhookOptions& options,
           PostWebhook post, Observer& observer, uint64_t seed);
  ~Webhooks();

  /// Begins to deliver what waits.
  void Resume();
  /// Cuts attempts under way; what is not recorded is done again after the next start.
  Awaitable<void> Stop();

  /// Part of the update that ends the batch: adds what is to be delivered.
  void Record(model::BatchRecord& batch) const;
  /// That update is durable.
  void Added(const model::BatchRecord& batch);

  /// Newest batches first. kNotFound: `after` is no delivery of the tenant.
  base::Result<catalog::Page<wire::DeliveryObject>> List(const Caller& caller,
                                                         const std::string& after,
                                                         uint32_t limit) const;

 private:
  struct Lane;
  using Due = std::pair<base::WallTime, std::string>;  // when, and which batch

  Lane& LaneOf(const std::string& url);
  size_t Waiting(const std::string& url) const;
  const WebhookEndpoint* Find(const std::string& url, const model::BatchRecord& batch) const;
  Awaitable<void> Work(Lane* lane);
  Awaitable<void> Deliver(Lane* lane, std::string batch_id);
  Awaitable<base::Result<int>> Attempt(const model::BatchRecord& batch, const std::string& url);
  void NoteAttempt(const model::BatchRecord& batch, model::WebhookDelivery& delivery,
                   const base::Result<int>& answer);
  base::Micros PauseAfter(uint64_t attempts);

  runtime::Runtime& runtime_;
  catalog::Catalog& catalog_;
  const WebhookOptions& options_;
  PostWebhook post_;
  Observer& observer_;
  base::Rng rng_;
  std::map<std::string, std::unique_ptr<Lane>> lanes_;  // by URL
  // Batches with deliveries: by tenant and in order.
  std::map<std::string, std::map<uint64_t, std::string>> logged_;
  std::shared_ptr<runtime::Cancellation> cut_ = std::make_shared<runtime::Cancellation>();
  bool stopping_ = false;
  runtime::Scope workers_;
};

}  // namespace inferq::service
