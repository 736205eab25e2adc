#include "service/webhooks.h"

#include <algorithm>
#include <utility>

namespace inferq::service {

using base::Code;
using base::Result;
using model::BatchRecord;
using model::DeliveryStatus;
using model::WebhookDelivery;

namespace {

constexpr size_t kLongestError = 300;      // that is kept, in bytes
constexpr base::Micros kLook{60'000'000};  // bounds what a jump of civil time costs

bool IsTaken(const Result<int>& answer) { return answer && *answer >= 200 && *answer < 300; }

std::string ErrorOf(const Result<int>& answer) {
  if (!answer) return answer.error().message().substr(0, kLongestError);
  if (IsTaken(answer)) return "";
  bool redirect = *answer >= 300 && *answer < 400;
  return fmt::format("answered {}{}", *answer, redirect ? "; redirects are not followed" : "");
}

WebhookDelivery* FindPending(BatchRecord& batch, const std::string& url) {
  auto found = std::ranges::find_if(batch.deliveries, [&](const WebhookDelivery& delivery) {
    return delivery.url == url && delivery.status == DeliveryStatus::kPending;
  });
  return found == batch.deliveries.end() ? nullptr : &*found;
}

bool Concerns(const WebhookEndpoint& endpoint, const BatchRecord& batch) {
  return (endpoint.tenant.empty() || endpoint.tenant == batch.tenant) &&
         std::ranges::find(endpoint.events, batch.status) != endpoint.events.end();
}

// Deliveries of a batch behind the one with the id `after` ("": from the first), newest batch
// first.
// @return false when the page is full and there is another.
bool Take(const BatchRecord& batch, const std::string& after, uint32_t limit,
          catalog::Page<wire::DeliveryObject>& page) {
  bool behind = after.empty();
  for (size_t i = 0; i < batch.deliveries.size(); ++i) {
    std::string id = wire::DeliveryId(batch.id, i);
    if (!std::exchange(behind, behind || id == after)) continue;
    page.has_more = page.records.size() == limit;
    if (page.has_more) return false;
    page.records.push_back({.id = std::move(id),
                            .batch_id = batch.id,
                            .batch_status = batch.status,
                            .created = EndedAt(batch).value_or(base::WallTime{}),
                            .delivery = batch.deliveries[i]});
  }
  return true;
}

}  // namespace

/// What waits for one address.
struct Webhooks::Lane {
  Lane(runtime::Runtime& runtime, std::string address)
      : url(std::move(address)), changed(runtime) {}

  const std::string url;
  std::set<Due> due;
  size_t under_way = 0;
  runtime::Event changed;

  base::Micros UntilNext(base::WallTime now) const {
    return due.empty() ? kLook : std::min(kLook, due.begin()->first - now);
  }
};

Webhooks::Webhooks(runtime::Runtime& runtime, catalog::Catalog& catalog,
                   const WebhookOptions& options, PostWebhook post, Observer& observer,
                   uint64_t seed)
    : runtime_(runtime),
      catalog_(catalog),
      options_(options),
      post_(std::move(post)),
      observer_(observer),
      rng_(seed),
      workers_(runtime) {}

Webhooks::~Webhooks() = default;

void Webhooks::Resume() {
  catalog_.ForEachBatch([this](const BatchRecord& batch) { Added(batch); });
}

Awaitable<void> Webhooks::Stop() {
  stopping_ = true;
  cut_->Cancel();
  for (auto& [url, lane] : lanes_) lane->changed.NotifyAll();
  co_await workers_.Join();
}

void Webhooks::Record(BatchRecord& batch) const {
  for (const WebhookEndpoint& endpoint : options_.endpoints) {
    if (!Concerns(endpoint, batch) || FindPending(batch, endpoint.url) != nullptr) continue;
    WebhookDelivery delivery{.url = endpoint.url, .next = *EndedAt(batch)};
    if (Waiting(endpoint.url) >= options_.waiting_max) {
      delivery.status = DeliveryStatus::kFailed;
      delivery.last_error =
          fmt::format("{} deliveries wait for this address already", options_.waiting_max);
    }
    batch.deliveries.push_back(std::move(delivery));
  }
}

void Webhooks::Added(const BatchRecord& batch) {
  if (batch.deliveries.empty()) return;
  logged_[batch.tenant][batch.sequence] = batch.id;
  for (const WebhookDelivery& delivery : batch.deliveries) {
    if (delivery.status != DeliveryStatus::kPending || stopping_) continue;
    Lane& lane = LaneOf(delivery.url);
    lane.due.emplace(delivery.next, batch.id);
    lane.changed.NotifyAll();
  }
}

Webhooks::Lane& Webhooks::LaneOf(const std::string& url) {
  std::unique_ptr<Lane>& lane = lanes_[url];
  if (!lane) {
    lane = std::make_unique<Lane>(runtime_, url);
    for (uint32_t i = 0; i < options_.at_once; ++i) workers_.Spawn(Work(lane.get()));
  }
  return *lane;
}

size_t Webhooks::Waiting(const std::string& url) const {
  auto found = lanes_.find(url);
  return found == lanes_.end() ? 0 : found->second->due.size() + found->second->under_way;
}

const WebhookEndpoint* Webhooks::Find(const std::string& url, const BatchRecord& batch) const {
  auto found = std::ranges::find_if(options_.endpoints, [&](const WebhookEndpoint& endpoint) {
    return endpoint.url == url && Concerns(endpoint, batch);
  });
  return found == options_.endpoints.end() ? nullptr : &*found;
}

Awaitable<void> Webhooks::Work(Lane* lane) {
  while (!stopping_) {
    const base::WallTime now = runtime_.clock().Wall();
    if (lane->due.empty() || lane->due.begin()->first > now) {
      co_await lane->changed.WaitUntil(runtime_.clock().Steady() + lane->UntilNext(now));
      continue;
    }
    std::string batch_id = lane->due.begin()->second;
    lane->due.erase(lane->due.begin());
    ++lane->under_way;
    co_await Deliver(lane, std::move(batch_id));
    --lane->under_way;
  }
}

Awaitable<void> Webhooks::Deliver(Lane* lane, std::string batch_id) {
  const BatchRecord* found = catalog_.FindBatch(batch_id);
  if (found == nullptr) co_return;
  const Result<int> answer = co_await Attempt(*found, lane->url);
  if (!answer && answer.error().code() == Code::kCancelled) co_return;  // by Stop
  std::optional<WebhookDelivery> noted;
  auto note = [&](catalog::Transaction& transaction) -> Result<> {
    const BatchRecord* current = transaction.FindBatch(batch_id);
    if (current == nullptr) return {};
    BatchRecord batch = *current;
    WebhookDelivery* delivery = FindPending(batch, lane->url);
    if (delivery == nullptr) return {};
    NoteAttempt(batch, *delivery, answer);
    noted = *delivery;
    transaction.Put(std::move(batch));
    return {};
  };
  auto recorded = co_await catalog_.Update(std::move(note));
  if (!recorded || !noted) co_return;  // the store fails: the next start delivers it again
  observer_.WebhookAttempted(batch_id, *noted);
  if (noted->status != DeliveryStatus::kPending) co_return;
  lane->due.emplace(noted->next, std::move(batch_id));
  lane->changed.NotifyAll();
}

Awaitable<Result<int>> Webhooks::Attempt(const BatchRecord& batch, const std::string& url) {
  const WebhookEndpoint* endpoint = Find(url, batch);
  if (endpoint == nullptr) {
    base::Error gone(Code::kNotFound, "this address is not configured any more");
    auto fail = [](base::Error error) -> Awaitable<Result<int>> {
      co_return std::unexpected(std::move(error));
    };
    return fail(std::move(gone));
  }
  WebhookCall call{.url = url,
                   .secret = endpoint->secret,
                   .id = wire::EventId(batch.id),
                   .time = runtime_.clock().Wall(),
                   .payload = wire::EventJson(batch),
                   .deadline = runtime_.clock().Steady() + options_.timeout,
                   .cancel = cut_};
  return post_(std::move(call));
}

void Webhooks::NoteAttempt(const BatchRecord& batch, WebhookDelivery& delivery,
                           const Result<int>& answer) {
  const base::WallTime now = runtime_.clock().Wall();
  ++delivery.attempts;
  delivery.last = now;
  delivery.last_status = answer ? static_cast<uint64_t>(*answer) : 0;
  delivery.last_error = ErrorOf(answer);
  delivery.next = now + PauseAfter(delivery.attempts);
  bool hopeless = !answer && answer.error().code() == Code::kNotFound;
  bool too_late = delivery.next > *EndedAt(batch) + options_.retry_for;
  if (hopeless || too_late) delivery.status = DeliveryStatus::kFailed;
  if (IsTaken(answer)) delivery.status = DeliveryStatus::kDelivered;
}

// Longer each time, and not the same for all that failed together.
base::Micros Webhooks::PauseAfter(uint64_t attempts) {
  constexpr uint64_t kDoublings = 30;
  auto factor = uint64_t{1} << std::min(attempts - 1, kDoublings);
  auto most = static_cast<uint64_t>(options_.longest_pause.count());
  uint64_t pause = std::min(most, factor * static_cast<uint64_t>(options_.first_pause.count()));
  return base::Micros(static_cast<int64_t>(pause + rng_.Below(pause / 4 + 1)));
}

Result<catalog::Page<wire::DeliveryObject>> Webhooks::List(const Caller& caller,
                                                           const std::string& after,
                                                           uint32_t limit) const {
  catalog::Page<wire::DeliveryObject> page;
  const BatchRecord* cursor = nullptr;
  if (!after.empty()) {
    cursor = catalog_.FindBatch(wire::BatchIdOf(after));
    if (cursor == nullptr || cursor->tenant != caller.tenant)
      return base::Fail(Code::kNotFound, "\"{}\" does not exist", after);
  }
  auto logged = logged_.find(caller.tenant);
  if (logged == logged_.end()) return page;
  auto begin =
      cursor == nullptr ? logged->second.end() : logged->second.upper_bound(cursor->sequence);
  for (auto at = std::make_reverse_iterator(begin); at != logged->second.rend(); ++at) {
    const BatchRecord* batch = catalog_.FindBatch(at->second);
    if (batch != nullptr && !Take(*batch, batch == cursor ? after : "", limit, page)) break;
  }
  return page;
}

}  // namespace inferq::service
