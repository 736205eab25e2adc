#include "api/testing/fixture.h"

namespace inferq::api {
namespace {

using namespace std::chrono_literals;
using base::Code;
using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class TaskRoutes : public testing::GatewayTest {
 protected:
  TaskRoutes() {
    use_cases_.task.record.id = model::TaskId{1};
    use_cases_.task.record.version = 7;
    use_cases_.task.record.spec.lane = "@default/ocr";
  }
};

TEST_F(TaskRoutes, OneTaskIsAnsweredWithItsObject) {
  FakeExchange exchange = Do("POST", "/v1/tasks", R"({"kind":"ocr","payload":{"a":1}})");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_THAT(exchange.answer, HasSubstr(R"("object":"task","kind":"ocr")"));
  EXPECT_EQ(exchange.Header("etag"), "\"7\"");
  EXPECT_EQ(use_cases_.create->payloads, R"({"a":1})");
}

TEST_F(TaskRoutes, ManyAreAnsweredWithTheirIds) {
  FakeExchange exchange =
      Do("POST", "/v1/tasks", R"({"tasks":[{"kind":"a","payload":1},{"kind":"a","payload":2}]})");
  EXPECT_EQ(
      exchange.answer,
      R"({"object":"list","data":[{"id":"task_0000000000000001"},{"id":"task_0000000000000002"}]})");
}

TEST_F(TaskRoutes, TheHeaderIsTheKey) {
  FakeExchange exchange = Request("POST", "/v1/tasks", R"({"kind":"ocr","payload":1})");
  exchange.head.headers.push_back({"Idempotency-Key", "k1"});
  Handle(exchange);
  EXPECT_EQ(use_cases_.create->tasks.front().spec.idempotency_key, "k1");
  EXPECT_NE(use_cases_.create->tasks.front().spec.content_hash, 0u);
}

TEST_F(TaskRoutes, WhatAModelIsAskedForHasACost) {
  Do("POST", "/v1/tasks",
     R"({"endpoint":"/v1/completions","body":{"model":"m","prompt":"hello there","max_tokens":50}})");
  ASSERT_TRUE(use_cases_.create);
  EXPECT_GT(use_cases_.create->tasks.front().spec.cost, 50u);
}

TEST_F(TaskRoutes, ALargeBodyIsParsedOffTheLoop) {
  std::string body = R"({"kind":"ocr","payload":")" + std::string(300'000, 'x') + "\"}";
  EXPECT_EQ(Do("POST", "/v1/tasks", body).status, 200);
  EXPECT_THAT(use_cases_.create->payloads, SizeIs(300'002));
  EXPECT_EQ(Do("POST", "/v1/tasks", body + "x").status, 400);
}

TEST_F(TaskRoutes, BodiesHaveLimits) {
  options_.limits.tasks = 20;
  EXPECT_EQ(Do("POST", "/v1/tasks", R"({"kind":"ocr","payload":1})").status, 413);
  options_.limits.small = 10;
  EXPECT_EQ(Do("PATCH", "/v1/tasks/task_0000000000000001", R"({"priority":1})").status, 413);
  EXPECT_EQ(Do("POST", "/v1/tasks/cancel", R"({"kind":"ocr"})").status, 413);
}

TEST_F(TaskRoutes, FailuresHaveTheirStatus) {
  auto with = [&](base::Error error) {
    use_cases_.fail = std::move(error);
    return Do("POST", "/v1/tasks", R"({"kind":"ocr","payload":1})");
  };
  FakeExchange full = with(base::Error(Code::kResourceExhausted, "full").WithRetryAfter(3s));
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.Header("retry-after"), "3");
  FakeExchange other = with(base::Error(Code::kAlreadyExists, "other content"));
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(other.Header("x-should-retry"), "false");
  FakeExchange unknown = with(base::Error(Code::kNotFound, "no").WithParam("tasks[1].body.model"));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(ErrorOf(unknown, "param"), "tasks[1].body.model");
}

TEST_F(TaskRoutes, TheTenantIsThePaths) {
  Do("GET", "/t/ann/v1/tasks/task_0000000000000001");
  EXPECT_EQ(use_cases_.caller.tenant, "ann");
  EXPECT_EQ(use_cases_.id, "task_0000000000000001");
}

TEST_F(TaskRoutes, WithKeysTheTenantIsTheKeys) {
  options_.keys.required = true;
  options_.keys.tenant_of = [](std::string_view key) {
    return key == "ann-key" ? std::optional<std::string>("ann") : std::nullopt;
  };
  const std::pair<const char*, const char*> calls[] = {{"POST", "/tasks"},
                                                       {"GET", "/tasks"},
                                                       {"POST", "/tasks/cancel"},
                                                       {"GET", "/tasks/task_0000000000000001"},
                                                       {"GET", "/workers"},
                                                       {"POST", "/workers/claim"},
                                                       {"POST", "/workers/renew"},
                                                       {"POST", "/workers/complete"},
                                                       {"POST", "/workers/fail"},
                                                       {"POST", "/workers/release"},
                                                       {"POST", "/workers/heartbeat"}};
  for (const auto& [method, path] : calls) {
    EXPECT_EQ(Do(method, std::string("/v1") + path, "{}").status, 401) << path;
    FakeExchange exchange = Request(method, std::string("/t/bob/v1") + path, "{}");
    exchange.head.headers.push_back({"authorization", "Bearer ann-key"});
    Handle(exchange);
    EXPECT_EQ(exchange.status, 403) << path;
  }
  FakeExchange exchange = Request("GET", "/v1/tasks");
  exchange.head.headers.push_back({"authorization", "Bearer ann-key"});
  Handle(exchange);
  EXPECT_EQ(use_cases_.caller.tenant, "ann");
}

TEST_F(TaskRoutes, AListHasFiltersAndBounds) {
  use_cases_.has_more = true;
  FakeExchange exchange =
      Do("GET", "/v1/tasks?status=queued&kind=ocr&after=task_0000000000000001&limit=5");
  EXPECT_THAT(exchange.answer, HasSubstr(R"("has_more":true)"));
  EXPECT_EQ(use_cases_.task_list->status, model::State::kQueued);
  EXPECT_EQ(use_cases_.task_list->kind, "ocr");
  EXPECT_EQ(use_cases_.task_list->limit, 5u);
  EXPECT_EQ(ErrorOf(Do("GET", "/v1/tasks?status=done"), "param"), "status");
  EXPECT_EQ(ErrorOf(Do("GET", "/v1/tasks?limit=1001"), "param"), "limit");
}

TEST_F(TaskRoutes, AnEarlierGenerationCanBeAsked) {
  Do("GET", "/v1/tasks/task_0000000000000001?generation=0");
  EXPECT_EQ(use_cases_.generation, 0u);
  Do("GET", "/v1/tasks/task_0000000000000001");
  EXPECT_EQ(use_cases_.generation, std::nullopt);
}

TEST_F(TaskRoutes, AnEditHasAVersion) {
  FakeExchange exchange = Request("PATCH", "/v1/tasks/task_0000000000000001", R"({"priority":5})");
  exchange.head.headers.push_back({"if-match", "\"6\""});
  use_cases_.fail = base::Error(Code::kAborted, "The task has version 7, not 6.");
  Handle(exchange);
  EXPECT_EQ(use_cases_.edit->if_version, 6u);
  EXPECT_EQ(exchange.status, 412);
  EXPECT_EQ(ErrorOf(exchange, "code"), "precondition_failed");
  use_cases_.fail = base::Error(Code::kFailedPrecondition, "ended");
  EXPECT_EQ(Do("PATCH", "/v1/tasks/task_0000000000000001", R"({"priority":5})").status, 409);
  use_cases_.fail.reset();
  FakeExchange edited = Do("PATCH", "/v1/tasks/task_0000000000000001", R"({"deadline":null})");
  EXPECT_EQ(edited.Header("etag"), "\"7\"");
  EXPECT_EQ(use_cases_.edit->if_version, std::nullopt);
  EXPECT_TRUE(use_cases_.edit->patch.deadline && !*use_cases_.edit->patch.deadline);
}

TEST_F(TaskRoutes, CancelAndRequeue) {
  EXPECT_EQ(Do("POST", "/v1/tasks/task_0000000000000001/cancel").status, 200);
  EXPECT_EQ(use_cases_.cancels, 1);
  EXPECT_EQ(Do("POST", "/v1/tasks/task_0000000000000002/requeue").status, 200);
  EXPECT_EQ(use_cases_.id, "task_0000000000000002");
  EXPECT_EQ(Do("POST", "/v1/tasks/cancel", R"({"status":"queued"})").answer, R"({"cancelled":7})");
  EXPECT_EQ(use_cases_.chosen->status, model::State::kQueued);
  EXPECT_EQ(Do("POST", "/v1/tasks/cancel", "{}").status, 400);
}

TEST_F(TaskRoutes, AnExplanationHasSentences) {
  queue::Explanation& why = use_cases_.explanation;
  why.state = model::State::kBlocked;
  why.parents = {model::TaskId{5}};
  why.retry_at = base::WallTime(1800000000s);
  why.tenant_paused = true;
  why.bound = 90s;
  FakeExchange exchange = Do("GET", "/v1/tasks/task_0000000000000001/explain");
  EXPECT_EQ(
      exchange.answer,
      R"({"object":"task.explanation","status":"blocked","reasons":["It waits for 1 parents to end.",)"
      R"("An attempt has failed; the next is due at 1800000000.","Its tenant is paused."],)"
      R"("parents":["task_0000000000000005"],"not_before":null,"retry_at":1800000000,"worker":null,)"
      R"("batch_paused":false,"lane_paused":false,"tenant_paused":true,"tenant_capped":false,)"
      R"("throttled_until":null,"ahead":0,"claims_waiting":0,"tenant_virtual_time":0,)"
      R"("least_virtual_time":0,"bound_seconds":90,"expected_start":null})");
  why = {};
  EXPECT_THAT(Do("GET", "/v1/tasks/task_0000000000000001/explain").answer,
              HasSubstr(R"("reasons":["Nobody asks for work of its model or kind now."])"));
  why.claims_waiting = 1;
  EXPECT_THAT(Do("GET", "/v1/tasks/task_0000000000000001/explain").answer,
              HasSubstr(R"("reasons":["It is next."])"));
}

}  // namespace
}  // namespace inferq::api
