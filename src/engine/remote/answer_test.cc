#include "engine/remote/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::engine {
namespace {

using namespace std::chrono_literals;
using base::Code;
using testing::AllOf;
using testing::HasSubstr;

constexpr base::WallTime kNow = std::chrono::sys_days{std::chrono::year{2026} / 10 / 21} + 7h;

http::Response Make(int status, std::string body, http::Headers headers = {}) {
  return {{status, std::move(headers)}, std::move(body)};
}

TEST(ReadAnswer, TakesTextEndAndUsageOutAndKeepsTheWhole) {
  std::string body =
      R"({"choices":[{"message":{"content":"hi"},"finish_reason":"length"}],)"
      R"("usage":{"prompt_tokens":5,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}},"x":1.50})";
  auto delta = ReadAnswer(Make(200, body), kNow);
  ASSERT_TRUE(delta);
  EXPECT_EQ(delta->text, "hi");
  EXPECT_EQ(delta->finish_reason, FinishReason::kLength);
  EXPECT_EQ(delta->usage.prompt_tokens, 5u);
  EXPECT_EQ(delta->usage.completion_tokens, 3u);
  EXPECT_EQ(delta->usage.cached_tokens, 4u);
  EXPECT_EQ(delta->raw_response, body);
}

TEST(ReadAnswer, AnAnswerOfManyLinesBecomesOne) {
  auto delta = ReadAnswer(Make(200, "{\n  \"choices\": [\r\n{\"text\": \"a\\nb\"}]\n}\n"), kNow);
  ASSERT_TRUE(delta);
  EXPECT_EQ(delta->text, "a\nb");
  EXPECT_EQ(delta->raw_response, R"({"choices":[{"text":"a\nb"}]})");
}

TEST(ReadAnswer, OtherServersWordsForTheEnd) {
  auto end = [](std::string_view word) {
    return ReadAnswer(
        Make(200, fmt::format(R"({{"choices":[{{"text":"","finish_reason":{}}}]}})", word)), kNow);
  };
  EXPECT_EQ(end("null")->finish_reason, FinishReason::kStop);
  EXPECT_EQ(end("\"eos_token\"")->finish_reason, FinishReason::kStop);
  EXPECT_EQ(end("\"tool_calls\"")->finish_reason, FinishReason::kToolCalls);
  EXPECT_EQ(end("\"sensitive\"")->finish_reason, FinishReason::kContentFilter);
  EXPECT_EQ(end("\"something new\"")->finish_reason, FinishReason::kStop);
  for (const char* failed : {"\"abort\"", "\"network_error\"", "\"cancelled\""}) {
    ASSERT_FALSE(end(failed)) << failed;
    EXPECT_EQ(end(failed).error().code(), Code::kUnavailable);
  }
}

class Nonsense : public testing::TestWithParam<const char*> {};

TEST_P(Nonsense, IsUnavailable) {
  auto delta = ReadAnswer(Make(200, GetParam()), kNow);
  ASSERT_FALSE(delta);
  EXPECT_EQ(delta.error().code(), Code::kUnavailable);
  EXPECT_THAT(delta.error().message(), HasSubstr("server"));
}

INSTANTIATE_TEST_SUITE_P(Bodies, Nonsense,
                         testing::Values("", "<html>", "{\"choices\":[{\"text\":\"cu", "{}", "[]",
                                         "null", "{\"choices\":[]}",
                                         "{\"error\":{\"message\":\"x\"}}"));

TEST(ReadAnswer, ACompressedAnswerIsRefused) {
  auto delta = ReadAnswer(Make(200, "\x1f\x8b", {{"Content-Encoding", "gzip"}}), kNow);
  ASSERT_FALSE(delta);
  EXPECT_THAT(delta.error().message(), HasSubstr("gzip"));
}

struct StatusCase {
  int status;
  Code code;
};
class Status : public testing::TestWithParam<StatusCase> {};

TEST_P(Status, SaysWhatToDo) {
  auto delta = ReadAnswer(Make(GetParam().status, R"({"error":{"message":"because"}})"), kNow);
  ASSERT_FALSE(delta);
  EXPECT_EQ(delta.error().code(), GetParam().code);
  EXPECT_THAT(delta.error().message(),
              AllOf(HasSubstr("because"), HasSubstr(std::to_string(GetParam().status))));
}

INSTANTIATE_TEST_SUITE_P(
    Statuses, Status,
    testing::Values(
        StatusCase{400, Code::kInvalidArgument}, StatusCase{401, Code::kUnauthenticated},
        StatusCase{402, Code::kPermissionDenied}, StatusCase{403, Code::kPermissionDenied},
        StatusCase{404, Code::kInvalidArgument}, StatusCase{405, Code::kInvalidArgument},
        StatusCase{408, Code::kUnavailable}, StatusCase{409, Code::kUnavailable},
        StatusCase{412, Code::kInvalidArgument}, StatusCase{413, Code::kInvalidArgument},
        StatusCase{422, Code::kInvalidArgument}, StatusCase{425, Code::kUnavailable},
        StatusCase{429, Code::kResourceExhausted}, StatusCase{500, Code::kUnavailable},
        StatusCase{501, Code::kUnavailable}, StatusCase{502, Code::kUnavailable},
        StatusCase{503, Code::kUnavailable}, StatusCase{504, Code::kUnavailable},
        StatusCase{302, Code::kUnavailable}));

TEST(AnswerError, NamesTheField) {
  auto param = [](std::string body) {
    return AnswerError(Make(400, std::move(body)), kNow).param();
  };
  EXPECT_EQ(param(R"({"error":{"message":"m","param":"max_tokens"}})"), "body.max_tokens");
  EXPECT_EQ(param(R"({"object":"error","message":"m","param":"top_p"})"), "body.top_p");
  EXPECT_EQ(param(R"({"error":{"message":"m","param":"body.x"}})"), "body.x");
  EXPECT_EQ(param(R"({"error":{"message":"m","param":null}})"), "");
  EXPECT_EQ(param("plain text"), "");
}

TEST(AnswerError, ARedirectSaysWhereTo) {
  auto error = AnswerError(Make(301, "", {{"Location", "https://new/v1"}}), kNow);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("redirect"), HasSubstr("https://new/v1")));
}

}  // namespace
}  // namespace inferq::engine
