// What is told of the ends of batches, through restarts, under virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/event.h"
#include "service/service.h"
#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using inferq::testing::SimDisk;
using model::BatchStatus;
using model::DeliveryStatus;
using testing::ChatLines;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Process;
using ::testing::SizeIs;

const Caller kAnn{.tenant = "ann", .request_id = {}, .traceparent = {}};
const Caller kBob{.tenant = "bob", .request_id = {}, .traceparent = {}};
constexpr const char* kUrl = "https://a.example/hook";

/// Endpoints that answer as they are told, and what they were told.
class Endpoints {
 public:
  std::map<std::string, int> answers;  ///< By URL; else 200. 0: no answer at all.
  base::Micros takes{0};
  std::vector<WebhookCall> calls;

  PostWebhook Post(runtime::Runtime& runtime) {
    return [this, &runtime](WebhookCall call) { return Take(runtime, std::move(call)); };
  }

 private:
  Awaitable<Result<int>> Take(runtime::Runtime& runtime, WebhookCall call) {
    calls.push_back(call);
    runtime::Event cut(runtime);
    runtime::CancelHook hook(call.cancel, [&cut] { cut.NotifyAll(); });
    if (takes > 0us) co_await cut.WaitUntil(runtime.clock().Steady() + takes);
    if (call.cancel->cancelled()) co_return base::Fail(Code::kCancelled, "cut");
    int answer = answers.contains(call.url) ? answers[call.url] : 200;
    if (answer == 0) co_return base::Fail(Code::kUnavailable, "cannot connect");
    co_return answer;
  }
};

class WebhookServiceTest : public ::testing::Test {
 protected:
  static WebhookEndpoint To(std::string url = kUrl) {
    return {.url = std::move(url),
            .tenant = "",
            .events = {BatchStatus::kCompleted, BatchStatus::kFailed, BatchStatus::kExpired,
                       BatchStatus::kCancelled},
            .secret = "whsec_x"};
  }
  Process::Options Options() {
    Process::Options options;
    options.adjust = [this](ServiceOptions& service) { service.webhooks = webhooks_; };
    options.post_webhook = [this](runtime::Runtime& runtime) { return endpoints_.Post(runtime); };
    return options;
  }
  // A batch of these lines, run to its end, and some time more.
  BatchView RunBatch(Process& process, std::string text, base::Micros more = 1s,
                     const Caller& caller = kAnn) {
    auto file = process.UploadText(caller, std::move(text)).value();
    auto batch = process.CreateBatch(caller, file.id).value();
    BatchView view = process.AwaitBatch(caller, batch.record.id).value();
    process.sim().RunFor(more);
    return view;
  }
  std::vector<wire::DeliveryObject> Deliveries(Process& process, const Caller& caller = kAnn) {
    return process.Do(process.service().ListDeliveries(caller, "", 100)).value().records;
  }

  SimDisk disk_;
  Endpoints endpoints_;
  WebhookOptions webhooks_{.endpoints = {To()}};
};

TEST_F(WebhookServiceTest, TheEndOfABatchIsTold) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  BatchView batch = RunBatch(process, ChatLines(3));
  ASSERT_THAT(endpoints_.calls, SizeIs(1));
  const WebhookCall& call = endpoints_.calls[0];
  EXPECT_EQ(call.url, kUrl);
  EXPECT_EQ(call.secret, "whsec_x");
  EXPECT_EQ(call.id, wire::EventId(batch.record.id));
  EXPECT_EQ(call.payload, wire::EventJson(batch.record));
  EXPECT_THAT(call.payload, HasSubstr(R"("type":"batch.completed")"));
  auto deliveries = Deliveries(process);
  ASSERT_THAT(deliveries, SizeIs(1));
  EXPECT_EQ(deliveries[0].batch_id, batch.record.id);
  EXPECT_EQ(deliveries[0].delivery.status, DeliveryStatus::kDelivered);
  EXPECT_EQ(deliveries[0].delivery.attempts, 1u);
  EXPECT_EQ(deliveries[0].delivery.last_status, 200u);
  EXPECT_THAT(Deliveries(process, kBob), IsEmpty());
}

TEST_F(WebhookServiceTest, EveryKindOfEndHasItsEvent) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  RunBatch(process, "{\"bad\":1}\n");
  auto file = process.UploadText(kAnn, ChatLines(500)).value();
  auto batch = process.CreateBatch(kAnn, file.id).value();
  ASSERT_TRUE(process.Do(process.service().CancelBatch(kAnn, batch.record.id)));
  ASSERT_TRUE(process.AwaitBatch(kAnn, batch.record.id));
  process.sim().RunFor(1s);
  ASSERT_THAT(endpoints_.calls, SizeIs(2));
  EXPECT_THAT(endpoints_.calls[0].payload, HasSubstr("batch.failed"));
  EXPECT_THAT(endpoints_.calls[1].payload, HasSubstr("batch.cancelled"));
}

TEST_F(WebhookServiceTest, OnlyWhatAnEndpointAskedForIsTold) {
  webhooks_.endpoints = {To("https://all/"), To("https://bob/"), To("https://failed/")};
  webhooks_.endpoints[1].tenant = "bob";
  webhooks_.endpoints[2].events = {BatchStatus::kFailed};
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  RunBatch(process, ChatLines(1));
  ASSERT_THAT(endpoints_.calls, SizeIs(1));
  EXPECT_EQ(endpoints_.calls[0].url, "https://all/");
  RunBatch(process, ChatLines(1), 1s, kBob);
  EXPECT_THAT(endpoints_.calls, SizeIs(3));
}

TEST_F(WebhookServiceTest, AFailureIsRepeatedWithGrowingPausesUntilItIsTaken) {
  endpoints_.answers[kUrl] = 500;
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  RunBatch(process, ChatLines(1), 10min);
  size_t tries = endpoints_.calls.size();
  EXPECT_GE(tries, 7u);
  EXPECT_LE(tries, 10u) << "1 s, 2 s, 4 s, ...";
  for (size_t i = 2; i < tries; ++i) {
    EXPECT_GT(endpoints_.calls[i].time - endpoints_.calls[i - 1].time,
              endpoints_.calls[i - 1].time - endpoints_.calls[i - 2].time);
    EXPECT_EQ(endpoints_.calls[i].id, endpoints_.calls[0].id);
  }
  auto waiting = Deliveries(process)[0].delivery;
  EXPECT_EQ(waiting.status, DeliveryStatus::kPending);
  EXPECT_EQ(waiting.last_error, "answered 500");
  endpoints_.answers[kUrl] = 302;
  process.sim().RunFor(20min);
  EXPECT_THAT(Deliveries(process)[0].delivery.last_error, HasSubstr("redirects"));
  endpoints_.answers[kUrl] = 204;
  process.sim().RunFor(1h);
  tries = endpoints_.calls.size();
  EXPECT_EQ(Deliveries(process)[0].delivery.status, DeliveryStatus::kDelivered);
  EXPECT_EQ(Deliveries(process)[0].delivery.attempts, tries);
  process.sim().RunFor(24h);
  EXPECT_EQ(endpoints_.calls.size(), tries) << "told once more";
}

TEST_F(WebhookServiceTest, WhatNobodyTakesIsGivenUpInTheEnd) {
  webhooks_.retry_for = 1h;
  endpoints_.answers[kUrl] = 0;
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  RunBatch(process, ChatLines(1), 59min);
  process.sim().RunFor(1h);
  auto delivery = Deliveries(process)[0].delivery;
  EXPECT_EQ(delivery.status, DeliveryStatus::kFailed);
  EXPECT_EQ(delivery.last_error, "cannot connect");
  EXPECT_EQ(delivery.last_status, 0u);
  size_t tries = endpoints_.calls.size();
  process.sim().RunFor(48h);
  EXPECT_EQ(endpoints_.calls.size(), tries);
}

TEST_F(WebhookServiceTest, AKilledServerTellsAfterItsNextStart) {
  endpoints_.takes = 10s;
  std::string id;
  {
    Process process(disk_, Options());
    ASSERT_TRUE(process.Start());
    RunBatch(process, ChatLines(2), 1s);
    ASSERT_THAT(endpoints_.calls, SizeIs(1)) << "under way";
    id = endpoints_.calls[0].id;
    base::Rng rng(1);
    disk_.Crash(rng, inferq::testing::CrashMode::kStrict);
  }
  endpoints_.calls.clear();
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  process.sim().RunFor(11s);
  ASSERT_THAT(endpoints_.calls, SizeIs(1));
  EXPECT_EQ(endpoints_.calls[0].id, id);
  EXPECT_EQ(Deliveries(process)[0].delivery.status, DeliveryStatus::kDelivered);
}

TEST_F(WebhookServiceTest, AStopCutsAnAttemptThatIsMadeAgain) {
  endpoints_.takes = 10min;
  {
    Process process(disk_, Options());
    ASSERT_TRUE(process.Start());
    RunBatch(process, ChatLines(1), 1s);
    base::SteadyTime begin = process.sim().clock().Steady();
    ASSERT_TRUE(process.Stop());
    EXPECT_LT(process.sim().clock().Steady() - begin, 1min);
  }
  endpoints_.takes = 0s;
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  process.sim().RunFor(1s);
  EXPECT_THAT(endpoints_.calls, SizeIs(2));
}

TEST_F(WebhookServiceTest, AnAddressThatIsNotConfiguredAnyMoreFails) {
  endpoints_.answers[kUrl] = 0;
  {
    Process process(disk_, Options());
    ASSERT_TRUE(process.Start());
    RunBatch(process, ChatLines(1));
    ASSERT_TRUE(process.Stop());
  }
  webhooks_.endpoints.clear();
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  process.sim().RunFor(1h);
  EXPECT_EQ(Deliveries(process)[0].delivery.status, DeliveryStatus::kFailed);
  EXPECT_THAT(Deliveries(process)[0].delivery.last_error, HasSubstr("not configured"));
}

TEST_F(WebhookServiceTest, ASlowEndpointHoldsUpNoOtherAndGetsFewAtOnce) {
  webhooks_.endpoints = {To("https://slow/"), To("https://quick/")};
  webhooks_.at_once = 2;
  endpoints_.takes = 1h;
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  for (int i = 0; i < 5; ++i) RunBatch(process, ChatLines(1), 0s);
  process.sim().RunFor(1min);
  EXPECT_EQ(std::ranges::count(endpoints_.calls, "https://slow/", &WebhookCall::url), 2);
  EXPECT_EQ(std::ranges::count(endpoints_.calls, "https://quick/", &WebhookCall::url), 2);
}

TEST_F(WebhookServiceTest, MoreThanMayWaitHaveFailed) {
  webhooks_.waiting_max = 2;
  endpoints_.answers[kUrl] = 500;
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  for (int i = 0; i < 3; ++i) RunBatch(process, ChatLines(1), 0s);
  process.sim().RunFor(1s);
  auto deliveries = Deliveries(process);
  ASSERT_THAT(deliveries, SizeIs(3));
  EXPECT_EQ(deliveries[0].delivery.status, DeliveryStatus::kFailed) << "the newest";
  EXPECT_THAT(deliveries[0].delivery.last_error, HasSubstr("2 deliveries wait"));
  EXPECT_EQ(deliveries[1].delivery.status, DeliveryStatus::kPending);
}

TEST_F(WebhookServiceTest, TheLogIsReadInPages) {
  webhooks_.endpoints = {To("https://a/"), To("https://b/")};
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  for (int i = 0; i < 3; ++i) RunBatch(process, ChatLines(1), 0s);
  std::vector<std::string> all;
  for (const auto& delivery : Deliveries(process)) all.push_back(delivery.id);
  ASSERT_THAT(all, SizeIs(6));
  std::vector<std::string> paged;
  for (bool more = true; more;) {
    std::string after = paged.empty() ? "" : paged.back();
    auto page = process.Do(process.service().ListDeliveries(kAnn, after, 4)).value();
    for (const auto& delivery : page.records) paged.push_back(delivery.id);
    more = page.has_more;
  }
  EXPECT_EQ(paged, all);
  for (const auto& [caller, after] : {std::pair(kBob, all[0]), std::pair(kAnn, std::string("x"))}) {
    auto page = process.Do(process.service().ListDeliveries(caller, after, 4));
    ASSERT_FALSE(page);
    EXPECT_EQ(page.error().code(), Code::kNotFound);
  }
}

}  // namespace
}  // namespace inferq::service
