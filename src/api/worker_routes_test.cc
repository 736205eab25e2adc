#include "api/testing/fixture.h"

namespace inferq::api {
namespace {

using base::Code;
using testing::FakeExchange;
using ::testing::HasSubstr;

constexpr const char* kOne = R"("tasks":[{"id":"task_0000000000000001","fence":"7")";

class WorkerRoutes : public testing::GatewayTest {
 protected:
  static service::ClaimedWork Work() {
    service::ClaimedWork work;
    work.task.id = model::TaskId{1};
    work.task.fence = model::Fence{7};
    work.task.spec.lane = "@default/ocr";
    work.payload = R"({"a": 1})";
    return work;
  }
};

TEST_F(WorkerRoutes, AClaimCarriesPayloadsAsWritten) {
  use_cases_.claimable = {Work()};
  FakeExchange exchange = Do("POST", "/v1/workers/claim", R"({"worker":"w","kinds":["ocr"]})");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.answer,
            R"({"tasks":[{"id":"task_0000000000000001","fence":"7","kind":"ocr","attempt":1,)"
            R"("alone":false,"payload":{"a": 1},"checkpoint":null,"deadline":null,)"
            R"("expires_at":null,"traceparent":null}]})");
  EXPECT_EQ(use_cases_.caller.tenant, "default");
  EXPECT_FALSE(use_cases_.release);
}

TEST_F(WorkerRoutes, TheServiceHearsOfAClientThatHangsUpWhileItWaits) {
  use_cases_.claims_wait = true;
  FakeExchange exchange =
      Request("POST", "/v1/workers/claim", R"({"worker":"w","kinds":["ocr"],"wait_seconds":60})");
  runtime_.CallAt(runtime_.clock().Steady() + std::chrono::seconds(5),
                  [&exchange] { exchange.HangUp(); });
  base::SteadyTime began = runtime_.clock().Steady();
  Handle(exchange);
  EXPECT_LT(runtime_.clock().Steady() - began, std::chrono::seconds(6));
}

TEST_F(WorkerRoutes, WhatCannotBeSentIsHandedBack) {
  use_cases_.claimable = {Work()};
  FakeExchange exchange = Request("POST", "/v1/workers/claim", R"({"worker":"w","kinds":["ocr"]})");
  exchange.fail_send = true;
  Handle(exchange);
  ASSERT_TRUE(use_cases_.release);
  EXPECT_EQ(use_cases_.release->worker, "w");
  EXPECT_EQ(use_cases_.release->tasks.front().id, model::TaskId{1});
  EXPECT_EQ(use_cases_.release->tasks.front().fence, model::Fence{7});
}

TEST_F(WorkerRoutes, CompletionsAnswerOneByOneAndMayClaim) {
  use_cases_.outcomes = {base::Fail(Code::kAborted, "the claim is lost")};
  FakeExchange exchange = Do("POST", "/v1/workers/complete",
                             std::string(R"({"worker":"w",)") + kOne + R"(,"result":{"b": 2}}]})");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.answer, R"({"tasks":[{"id":"task_0000000000000001","ok":false,)"
                             R"("error":{"code":"aborted","message":"the claim is lost"}}]})");
  EXPECT_EQ(use_cases_.complete->results, R"({"b": 2})");
  EXPECT_EQ(use_cases_.complete->tasks.front().task.fence, model::Fence{7});
  use_cases_.outcomes = {base::Result<>()};
  use_cases_.claimable = {Work()};
  FakeExchange next =
      Do("POST", "/v1/workers/complete",
         std::string(R"({"worker":"w","claim":{"kinds":["ocr"]},)") + kOne + R"(,"result":1}]})");
  EXPECT_THAT(next.answer, HasSubstr(R"({"id":"task_0000000000000001","ok":true}],"claimed":[{)"));
}

TEST_F(WorkerRoutes, FailReleaseRenewHeartbeat) {
  use_cases_.outcomes = {base::Result<>()};
  use_cases_.replies = {{model::TaskId{1}, wire::HeldState::kCancelled}};
  FakeExchange failed =
      Do("POST", "/v1/workers/fail",
         std::string(R"({"worker":"w",)") + kOne + R"(,"error":{"message":"m"}}]})");
  EXPECT_EQ(failed.answer, R"({"tasks":[{"id":"task_0000000000000001","ok":true}]})");
  EXPECT_EQ(use_cases_.failed->tasks.front().message, "m");
  std::string body = std::string(R"({"worker":"w",)") + kOne + "}]}";
  EXPECT_EQ(Do("POST", "/v1/workers/release", body).answer, failed.answer);
  std::string_view told = R"({"tasks":[{"id":"task_0000000000000001","state":"cancelled"}]})";
  EXPECT_EQ(Do("POST", "/v1/workers/renew", body).answer, told);
  EXPECT_EQ(Do("POST", "/v1/workers/heartbeat", body).answer, told);
  EXPECT_EQ(use_cases_.renew->tasks.front().task.fence, model::Fence{7});
  EXPECT_EQ(use_cases_.beat->tasks.front().fence, model::Fence{7});
}

TEST_F(WorkerRoutes, WorkersAreListed) {
  EXPECT_THAT(Do("GET", "/v1/workers").answer, HasSubstr(R"("worker":"w1")"));
}

TEST_F(WorkerRoutes, BodiesHaveLimits) {
  options_.limits.workers = 10;
  options_.limits.small = 10;
  for (const char* path : {"claim", "renew", "complete", "fail", "release", "heartbeat"}) {
    FakeExchange exchange =
        Do("POST", std::string("/v1/workers/") + path, R"({"worker":"w12345"})");
    EXPECT_EQ(exchange.status, 413) << path;
  }
}

TEST_F(WorkerRoutes, TooManyWaitingClaimsAreToldWhenToComeBack) {
  use_cases_.fail = base::Error(Code::kResourceExhausted, "1000 claims wait already")
                        .WithRetryAfter(std::chrono::seconds(1));
  FakeExchange exchange = Do("POST", "/v1/workers/claim", R"({"worker":"w","kinds":["ocr"]})");
  EXPECT_EQ(exchange.status, 429);
  EXPECT_EQ(exchange.Header("retry-after"), "1");
}

}  // namespace
}  // namespace inferq::api
