#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/batch.h"
#include "runtime/awaitable.h"
#include "runtime/cancellation.h"

namespace inferq::service {

/// Who is told when a batch has ended.
struct WebhookEndpoint {
  std::string url;     ///< http or https.
  std::string tenant;  ///< Whose batches; "": everybody's.
  std::vector<model::BatchStatus> events;
  std::string secret;  ///< "whsec_…". Never shown, never stored.
};

/// How. A delivery is repeated with growing pauses until it is answered with 2xx, or is too old.
struct WebhookOptions {
  std::vector<WebhookEndpoint> endpoints;
  base::Micros retry_for{72 * 3'600'000'000};  ///< From the end of the batch; then it has failed.
  base::Micros first_pause{1'000'000};         ///< Doubles with each attempt …
  base::Micros longest_pause{3'600'000'000};   ///< … up to this.
  base::Micros timeout{15'000'000};            ///< Of an attempt.
  uint32_t at_once = 4;                        ///< Attempts under way to one address.
  size_t waiting_max = 10'000;  ///< Deliveries that wait for one address; one more has failed.
};

/// One attempt.
struct WebhookCall {
  std::string url;
  std::string secret;
  std::string id;         ///< Of the event: webhook-id.
  base::WallTime time{};  ///< Now: webhook-timestamp.
  std::string payload;
  base::SteadyTime deadline;
  std::shared_ptr<runtime::Cancellation> cancel;
};
/// Signs and posts; redirects are not followed. @return the status of the answer. Its failures'
/// messages are for the delivery's log.
using PostWebhook = std::function<runtime::Awaitable<base::Result<int>>(WebhookCall)>;

}  // namespace inferq::service
