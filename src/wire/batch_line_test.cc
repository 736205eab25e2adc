#include "wire/batch_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using testing::HasSubstr;

constexpr std::string_view kGood =
    R"({"custom_id":"a-1","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[1]}})";

std::string WithBody(std::string_view body, std::string_view url = "/v1/chat/completions") {
  return fmt::format(R"({{"custom_id":"a","method":"POST","url":"{}","body":{}}})", url, body);
}

TEST(BatchLine, ReadsALine) {
  auto line = ParseBatchLine(kGood, {});
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->custom_id, "a-1");
  EXPECT_EQ(line->endpoint, Endpoint::kChatCompletions);
  EXPECT_EQ(line->body.text(), R"({"model":"m","messages":[1]})");
  EXPECT_TRUE(line->has_model);
}

TEST(BatchLine, IsTheInverseOfItsBuilder) {
  std::string text =
      BatchInputLine("x\"\n", Endpoint::kCompletions, R"({"model":"m","prompt":"p"})");
  auto line = ParseBatchLine(text, {});
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->custom_id, "x\"\n");
  EXPECT_EQ(line->endpoint, Endpoint::kCompletions);
  EXPECT_EQ(line->body.text(), R"({"model":"m","prompt":"p"})");
}

TEST(BatchLine, AModelMayBeLeftToTheDefault) {
  std::string text = WithBody(R"({"messages":[]})");
  EXPECT_EQ(ParseBatchLine(text, {}).error().param, "body.model");
  auto line = ParseBatchLine(text, {.default_model = "m"});
  ASSERT_TRUE(line);
  EXPECT_FALSE(line->has_model);
}

struct BadCase {
  std::string text;
  const char* code;
  const char* param;
  const char* part;
};

TEST(BatchLine, EveryFaultHasTheContractsCodeAndParam) {
  std::string long_id(513, 'x');
  for (const BadCase& bad : {
           BadCase{"{", "invalid_json_line", "", "This line is not parseable as valid JSON."},
           BadCase{"hello", "invalid_json_line", "", "This line is not parseable as valid JSON."},
           BadCase{"[]", "invalid_json_line", "", "an array"},
           BadCase{"{}", "missing_required_parameter", "custom_id",
                   "Missing required parameter: 'custom_id'."},
           BadCase{R"({"custom_id":null})", "missing_required_parameter", "custom_id", "Missing"},
           BadCase{R"({"custom_id":5})", "invalid_type", "custom_id", "a number"},
           BadCase{R"({"custom_id":""})", "invalid_value", "custom_id", "1 to 512"},
           BadCase{fmt::format(R"({{"custom_id":"{}"}})", long_id), "invalid_value", "custom_id",
                   "513"},
           BadCase{R"({"custom_id":"a"})", "missing_required_parameter", "method", "'method'"},
           BadCase{R"({"custom_id":"a","method":"GET"})", "invalid_value", "method", "'GET'"},
           BadCase{R"({"custom_id":"a","method":"POST"})", "missing_required_parameter", "url",
                   "'url'"},
           BadCase{WithBody("{}", "/v1/moderations"), "invalid_url", "url",
                   "Supported are '/v1/chat/completions'"},
           BadCase{WithBody("null"), "missing_required_parameter", "body", "'body'"},
           BadCase{WithBody("[]"), "invalid_type", "body", "expected an object"},
           BadCase{WithBody(R"({"messages":[]})"), "invalid_request", "body.model",
                   "Model parameter is required."},
           BadCase{WithBody(R"({"model":"","messages":[]})"), "invalid_type", "body.model",
                   "name of a model"},
           BadCase{WithBody(R"({"model":3,"messages":[]})"), "invalid_type", "body.model",
                   "name of a model"},
           BadCase{WithBody(R"({"model":"m"})"), "invalid_request", "body.messages",
                   "Messages parameter is required."},
           BadCase{WithBody(R"({"model":"m"})", "/v1/completions"), "invalid_request",
                   "body.prompt", "Prompt"},
           BadCase{WithBody(R"({"model":"m","messages":[],"stream":true})"),
                   "streaming_unsupported", "body.stream",
                   "Chat Completions: Streaming is not supported in the Batch API."},
           BadCase{R"({"custom_id":"a","priority":1})", "unknown_parameter", "priority",
                   "'priority'"},
           BadCase{R"({"custom_id":"a","custom_id":"b"})", "invalid_request", "custom_id", "twice"},
       }) {
    auto line = ParseBatchLine(bad.text, {});
    ASSERT_FALSE(line) << bad.text;
    EXPECT_EQ(line.error().code, bad.code) << bad.text;
    EXPECT_EQ(line.error().param, bad.param) << bad.text;
    EXPECT_THAT(line.error().message, HasSubstr(bad.part)) << bad.text;
  }
}

TEST(BatchLine, ErrorsBehindTheCustomIdCarryIt) {
  EXPECT_EQ(ParseBatchLine(WithBody("[]"), {}).error().custom_id, "a");
  EXPECT_EQ(ParseBatchLine("{", {}).error().custom_id, "");
}

TEST(BatchLine, TheBatchsEndpointIsKept) {
  auto line = ParseBatchLine(kGood, {.endpoint = Endpoint::kCompletions});
  ASSERT_FALSE(line);
  EXPECT_EQ(line.error().code, "invalid_url");
  EXPECT_THAT(line.error().message, HasSubstr("does not match the batch endpoint"));
  EXPECT_TRUE(ParseBatchLine(kGood, {.endpoint = Endpoint::kChatCompletions}));
}

TEST(BatchLine, TooLongALineIsRefused) {
  EXPECT_FALSE(ParseBatchLine(kGood, {.max_bytes = kGood.size() - 1}));
  EXPECT_TRUE(ParseBatchLine(kGood, {.max_bytes = kGood.size()}));
}

TEST(BatchLine, AMalformedMessageFailsItsLineOnlyWhenItRuns) {
  EXPECT_TRUE(ParseBatchLine(WithBody(R"({"model":"m","messages":"nonsense","stream":"x"})"), {}));
}

TEST(BatchOutput, LinesHaveTheContractsShape) {
  EXPECT_EQ(
      BatchResponseLine("batch_req_1", "c", 200, "r", "{ \"a\":\n1 }"),
      R"({"id":"batch_req_1","custom_id":"c","response":{"status_code":200,"request_id":"r","body":{"a":1}},"error":null})");
  EXPECT_EQ(
      BatchErrorLine("batch_req_1", "c", "x", "why"),
      R"({"id":"batch_req_1","custom_id":"c","response":null,"error":{"code":"x","message":"why"}})");
  auto failed = BatchResponseLine(
      "i", "c", "r", base::Error(base::Code::kInvalidArgument, "no").WithParam("body.n"));
  EXPECT_THAT(failed, HasSubstr(R"("status_code":400)"));
  EXPECT_THAT(failed, HasSubstr(R"("param":"body.n")"));
  EXPECT_THAT(BatchExpiredLine("i", "c"), HasSubstr(R"("code":"batch_expired")"));
}

TEST(BatchOutput, AnyBodyMakesAValidLine) {
  std::string junk = "<html>\n\xff\"";
  std::string line = BatchResponseLine("i", "c\n", 502, "r", junk);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  auto read = ParseBatchOutput(line);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->status_code, 502);
  EXPECT_EQ(read->custom_id, "c\n");
  EXPECT_FALSE(read->succeeded());
  EXPECT_EQ(read->error_message, "The request failed with status 502.");
}

TEST(BatchOutput, ReadsBackASuccess) {
  Completion answer{.id = "x",
                    .created = 1,
                    .model = "m",
                    .text = "hello",
                    .finish_reason = "stop",
                    .usage = {3, 2, 0}};
  auto read = ParseBatchOutput(
      BatchResponseLine("b", "c", 200, "r", CompletionBody(Endpoint::kChatCompletions, answer)));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_TRUE(read->succeeded());
  EXPECT_EQ(read->id, "b");
  EXPECT_EQ(read->request_id, "r");
  EXPECT_EQ(read->completion.text, "hello");
  EXPECT_EQ(read->completion.usage.completion_tokens, 2u);
}

TEST(BatchOutput, ReadsBackFailures) {
  auto failed = ParseBatchOutput(
      BatchResponseLine("b", "c", "r", base::Error(base::Code::kResourceExhausted, "slow down")));
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->status_code, 429);
  EXPECT_EQ(failed->error_code, "rate_limit_exceeded");
  EXPECT_EQ(failed->error_message, "slow down");
  auto expired = ParseBatchOutput(BatchExpiredLine("b", "c"));
  ASSERT_TRUE(expired);
  EXPECT_EQ(expired->status_code, 0);
  EXPECT_EQ(expired->error_code, "batch_expired");
  EXPECT_FALSE(expired->succeeded());
}

TEST(BatchOutput, ATornOrForeignLineIsDataLoss) {
  std::string line = BatchExpiredLine("b", "c");
  for (size_t cut = 0; cut < line.size(); ++cut) {
    auto read = ParseBatchOutput(std::string_view(line).substr(0, cut));
    ASSERT_FALSE(read) << cut;
    EXPECT_EQ(read.error().code(), base::Code::kDataLoss);
  }
  for (const char* bad :
       {"[]", "{}", R"({"custom_id":"c"})", R"({"custom_id":"c","response":null,"error":null})",
        R"({"custom_id":"c","response":{"status_code":200,"body":{}},"error":null})"}) {
    EXPECT_FALSE(ParseBatchOutput(bad)) << bad;
  }
}

}  // namespace
}  // namespace inferq::wire
