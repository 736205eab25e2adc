#include "api/gateway.h"

#include "api/testing/fixture.h"

namespace inferq::api {
namespace {

using base::Code;
using base::Error;
using ::testing::AllOf;
using testing::FakeExchange;
using testing::GatewayTest;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* kBatchBody =
    R"({"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"k":"v"}})";

TEST_F(GatewayTest, EveryAnswerHasARequestId) {
  FakeExchange own = Request("GET", "/v1/models");
  own.head.headers = {{"X-Request-Id", "mine"}};
  Handle(own);
  EXPECT_EQ(own.Header("x-request-id"), "mine");
  FakeExchange unknown = Do("GET", "/nothing");
  EXPECT_TRUE(unknown.Header("x-request-id").starts_with("req_"));
  EXPECT_EQ(unknown.Header("openai-processing-ms"), "0");
  EXPECT_EQ(use_cases_.caller.request_id, "");
}

TEST_F(GatewayTest, AnUnknownPathIs404InOpenAIsWords) {
  FakeExchange exchange = Do("POST", "/v1/moderations");
  EXPECT_EQ(exchange.status, 404);
  EXPECT_EQ(ErrorOf(exchange, "message"), "Invalid URL (POST /v1/moderations)");
  EXPECT_EQ(ErrorOf(exchange, "type"), "invalid_request_error");
  EXPECT_EQ(ErrorOf(exchange, "code"), "null");
}

TEST_F(GatewayTest, AWrongMethodIs405WithTheRightOnes) {
  FakeExchange exchange = Do("PUT", "/v1/files/file-1");
  EXPECT_EQ(exchange.status, 405);
  EXPECT_EQ(exchange.Header("allow"), "GET, HEAD, DELETE");
}

TEST_F(GatewayTest, HealthNeedsNoKeyAndTheRestDoes) {
  options_.keys.required = true;
  EXPECT_EQ(Do("GET", "/healthz").status, 200);
  EXPECT_EQ(Do("GET", "/readyz").status, 200);
  for (const char* path : {"/v1/models", "/models", "/v1/files", "/t/a/v1/batches"}) {
    FakeExchange exchange = Do("GET", path);
    EXPECT_EQ(exchange.status, 401) << path;
    EXPECT_EQ(exchange.Header("www-authenticate"), "Bearer");
    EXPECT_EQ(ErrorOf(exchange, "code"), "invalid_api_key");
  }
  EXPECT_EQ(use_cases_.caller.request_id, "") << "the service was asked";
}

TEST_F(GatewayTest, ReadinessFollowsTheService) {
  use_cases_.health_now = {.ready = false, .reasons = {"draining"}};
  FakeExchange exchange = Do("GET", "/readyz");
  EXPECT_EQ(exchange.status, 503);
  EXPECT_THAT(exchange.answer, HasSubstr("draining"));
}

TEST_F(GatewayTest, TheCallerIsTheKeysTenant) {
  options_.keys = {.required = true, .tenant_of = [](std::string_view) {
                     return std::optional<std::string>("acme");
                   }};
  options_.trace = [](std::optional<std::string> given) { return given.value_or("") + "!"; };
  FakeExchange exchange = Request("GET", "/t/acme/files/file-1");
  exchange.head.headers = {{"authorization", "Bearer k"},
                           {"traceparent", "00-0123456789abcdef0123456789abcdef-x"},
                           {"x-request-id", "r1"}};
  Handle(exchange);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(use_cases_.caller.tenant, "acme");
  EXPECT_EQ(use_cases_.caller.request_id, "r1");
  EXPECT_EQ(use_cases_.caller.traceparent, "00-0123456789abcdef0123456789abcdef-x!");

  FakeExchange other = Request("GET", "/t/other/files/file-1");
  other.head.headers = {{"authorization", "Bearer k"}};
  Handle(other);
  EXPECT_EQ(other.status, 403);
}

TEST_F(GatewayTest, TheObserverGetsEveryRequest) {
  std::vector<AccessRecord> seen;
  options_.observe = [&seen](const AccessRecord& record) { seen.push_back(record); };
  FakeExchange created = Request("POST", "/t/acme/v1/batches/", kBatchBody);
  created.head.headers = {{"traceparent", "00-0123456789abcdef0123456789abcdef-x"}};
  Handle(created);
  Do("GET", "/nothing");
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].method, "POST");
  EXPECT_EQ(seen[0].route, "/batches");
  EXPECT_EQ(seen[0].status, 200);
  EXPECT_EQ(seen[0].tenant, "acme");
  EXPECT_EQ(seen[0].request_id, created.Header("x-request-id"));
  EXPECT_EQ(seen[0].trace_id, "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(seen[0].bytes_received, created.body.size());
  EXPECT_EQ(seen[0].bytes_sent, created.answer.size());
  EXPECT_EQ(seen[1].route, "");
  EXPECT_EQ(seen[1].status, 404);
}

TEST_F(GatewayTest, ABatchIsMade) {
  FakeExchange exchange = Do("POST", "/v1/batches", kBatchBody);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_THAT(exchange.answer,
              AllOf(HasSubstr(R"("id":"batch_new")"),
                    HasSubstr(R"("request_counts":{"total":3,"completed":2,"failed":1})")));
  ASSERT_TRUE(use_cases_.new_batch);
  EXPECT_EQ(use_cases_.new_batch->input_file_id, "file-1");
  EXPECT_EQ(use_cases_.new_batch->endpoint, "/v1/chat/completions");
  EXPECT_EQ(use_cases_.new_batch->metadata.size(), 1u);
}

TEST_F(GatewayTest, ABatchMayHaveAnIdempotencyKey) {
  FakeExchange exchange = Request("POST", "/v1/batches", kBatchBody);
  exchange.head.headers = {{"Idempotency-Key", "k"}};
  Handle(exchange);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(use_cases_.new_batch->idempotency_key, "k");
  EXPECT_NE(use_cases_.new_batch->content_hash, 0u);
  use_cases_.fail = Error(Code::kAlreadyExists, "a conflict").WithParam("idempotency_key");
  FakeExchange refused = Do("POST", "/v1/batches", kBatchBody);
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.Header("x-should-retry"), "false");
  EXPECT_EQ(ErrorOf(refused, "code"), "conflict");
}

constexpr const char* kInlineBody =
    R"({"requests":[{"body":{"a": 1}}],"endpoint":"/v1/chat/completions","completion_window":"24h"})";

TEST_F(GatewayTest, RequestsOfABatchBecomeItsFile) {
  FakeExchange exchange = Do("POST", "/v1/batches", kInlineBody);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(use_cases_.uploaded, R"({"body":{"a":1},"custom_id":"request-1","method":"POST",)"
                                 R"("url":"/v1/chat/completions"})"
                                 "\n");
  EXPECT_EQ(use_cases_.finished->purpose, "batch");
  EXPECT_EQ(use_cases_.new_batch->input_file_id, "file-new");
  EXPECT_THAT(exchange.answer, HasSubstr(R"("input_file_id":"file-new")"));
  EXPECT_EQ(use_cases_.id, "") << "the file stays";
}

TEST_F(GatewayTest, AFileThatNoBatchTookIsDeleted) {
  use_cases_.fail_create = Error(Code::kInvalidArgument, "no such window");
  EXPECT_EQ(Do("POST", "/v1/batches", kInlineBody).status, 400);
  EXPECT_EQ(use_cases_.id, "file-new");
  use_cases_.fail_create.reset();
  use_cases_.id.clear();
  use_cases_.batch_input = "file-1";
  EXPECT_EQ(Do("POST", "/v1/batches", kInlineBody).status, 200) << "there was one already";
  EXPECT_EQ(use_cases_.id, "file-new");
}

TEST_F(GatewayTest, RequestsThatAreTooLongAreToldOfFiles) {
  options_.limits.batch = 10;
  FakeExchange exchange = Do("POST", "/v1/batches", kInlineBody);
  EXPECT_EQ(exchange.status, 413);
  EXPECT_THAT(ErrorOf(exchange, "message"),
              AllOf(HasSubstr("10 bytes"), HasSubstr("input_file_id")));
}

TEST_F(GatewayTest, ABadBatchIsRefusedBeforeTheService) {
  FakeExchange exchange = Do("POST", "/v1/batches", R"({"input_file_id":"f","endpoint":"/v1/x"})");
  EXPECT_EQ(exchange.status, 400);
  EXPECT_EQ(ErrorOf(exchange, "param"), "endpoint");
  EXPECT_EQ(ErrorOf(exchange, "code"), "invalid_value");
  EXPECT_FALSE(use_cases_.new_batch);
}

TEST_F(GatewayTest, ABodyOverTheLimitIs413) {
  options_.limits.batch = 10;
  FakeExchange exchange = Do("POST", "/v1/batches", kBatchBody);
  EXPECT_EQ(exchange.status, 413);
  EXPECT_THAT(ErrorOf(exchange, "message"), HasSubstr("10 bytes"));
}

struct ReadFailure {
  Code code;
  int status;
};

TEST_F(GatewayTest, FailuresOfReadingABodyHaveTheirStatus) {
  for (ReadFailure failure :
       {ReadFailure{Code::kResourceExhausted, 503}, ReadFailure{Code::kDeadlineExceeded, 408},
        ReadFailure{Code::kInvalidArgument, 400}, ReadFailure{Code::kUnimplemented, 415}}) {
    FakeExchange exchange = Request("POST", "/v1/batches", kBatchBody);
    exchange.read_error = Error(failure.code, "x");
    Handle(exchange);
    EXPECT_EQ(exchange.status, failure.status);
    EXPECT_EQ(exchange.Header("retry-after"), failure.status == 503 ? "1" : "");
  }
}

TEST_F(GatewayTest, ABodyThatExpandsTooMuchIsTold) {
  FakeExchange exchange = Request("POST", "/v1/batches", kBatchBody);
  exchange.read_error = Error(Code::kOutOfRange, "too dense").WithParam("content-encoding");
  Handle(exchange);
  EXPECT_EQ(exchange.status, 413);
  EXPECT_EQ(ErrorOf(exchange, "message"), "too dense");
  EXPECT_EQ(ErrorOf(exchange, "param"), "content-encoding");
}

TEST_F(GatewayTest, BatchesAreListedInPages) {
  use_cases_.has_more = true;
  FakeExchange exchange = Do("GET", "/v1/batches?limit=2&after=batch_3");
  EXPECT_EQ(use_cases_.limit, 2u);
  EXPECT_EQ(use_cases_.after, "batch_3");
  EXPECT_THAT(exchange.answer,
              HasSubstr(R"("first_id":"batch_2","last_id":"batch_1","has_more":true})"));
  Do("GET", "/v1/batches");
  EXPECT_EQ(use_cases_.limit, 20u);
  EXPECT_EQ(Do("GET", "/v1/batches?limit=101").status, 400);
  EXPECT_EQ(Do("GET", "/v1/batches?limit=0").status, 400);
}

TEST_F(GatewayTest, DeliveriesAreListedInPages) {
  use_cases_.has_more = true;
  FakeExchange exchange = Do("GET", "/v1/webhooks/deliveries?limit=2&after=evt_3-0");
  EXPECT_EQ(use_cases_.limit, 2u);
  EXPECT_EQ(use_cases_.after, "evt_3-0");
  EXPECT_THAT(exchange.answer,
              AllOf(HasSubstr(R"("object":"webhook.delivery")"),
                    HasSubstr(R"("first_id":"evt_2-0","last_id":"evt_1-0","has_more":true})")));
  EXPECT_EQ(Do("GET", "/v1/webhooks/deliveries?limit=101").status, 400);
}

TEST_F(GatewayTest, ACancelAnswersWithTheBatch) {
  FakeExchange exchange = Do("POST", "/v1/batches/batch_1/cancel");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(use_cases_.id, "batch_1");
  EXPECT_THAT(exchange.answer, HasSubstr(R"("cancelling_at":1700000000)"));
  EXPECT_EQ(Do("GET", "/batches/batch_9").status, 200);
  EXPECT_EQ(use_cases_.id, "batch_9");
}

TEST_F(GatewayTest, APermanentConflictIsNotWorthARetry) {
  use_cases_.fail = Error(Code::kFailedPrecondition, "Cannot cancel a batch with status 'failed'.");
  FakeExchange exchange = Do("POST", "/v1/batches/batch_1/cancel");
  EXPECT_EQ(exchange.status, 409);
  EXPECT_EQ(exchange.Header("x-should-retry"), "false");
  EXPECT_EQ(ErrorOf(exchange, "code"), "null");
  use_cases_.fail = Error(Code::kAborted, "lost a race");
  FakeExchange raced = Do("POST", "/v1/batches/batch_1/cancel");
  EXPECT_EQ(raced.status, 409);
  EXPECT_EQ(raced.Header("x-should-retry"), "");
}

TEST_F(GatewayTest, RetryAfterIsFromOneToSixtySeconds) {
  auto told = [this](std::chrono::milliseconds wait, Code code) {
    use_cases_.fail = Error(code, "busy").WithRetryAfter(wait);
    return Do("GET", "/v1/files/x").Header("retry-after");
  };
  EXPECT_EQ(told(0ms, Code::kResourceExhausted), "1");
  EXPECT_EQ(told(2500ms, Code::kResourceExhausted), "3");
  EXPECT_EQ(told(1h, Code::kUnavailable), "60");
  EXPECT_EQ(told(5s, Code::kNotFound), "");
}

TEST_F(GatewayTest, ModelsMayHaveSlashes) {
  use_cases_.model_list = {{.name = "org/a", .owner = "inferq", .since = {}, .local = true}};
  EXPECT_THAT(Do("GET", "/v1/models").answer, HasSubstr(R"("data":[{"id":"org/a")"));
  EXPECT_EQ(Do("GET", "/models/org/a").status, 200);
  FakeExchange exchange = Do("GET", "/v1/models/org/b");
  EXPECT_EQ(exchange.status, 404);
  EXPECT_EQ(ErrorOf(exchange, "code"), "model_not_found");
}

TEST_F(GatewayTest, ItsOwnErrorsAreEnvelopes) {
  Gateway gateway(use_cases_, options_);
  EXPECT_EQ(
      gateway.ErrorBody(431, "too \"long\""),
      R"({"error":{"message":"too \"long\"","type":"invalid_request_error","param":null,"code":null}})");
  EXPECT_THAT(gateway.ErrorBody(503, "full"), HasSubstr("server_error"));
}

}  // namespace
}  // namespace inferq::api
