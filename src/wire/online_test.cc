#include "wire/online.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kChat = Endpoint::kChatCompletions;

TEST(OnlineHead, IsFoundBehindMegabytesOfMessages) {
  std::string body = fmt::format(
      R"({{"messages":[{{"role":"user","content":"\"model\":\"no\"{}"}}],"x":{{"model":"no"}},)"
      R"("stream":true,"stream_options":{{"include_usage":true}},"model":"glm\u002d4"}})",
      std::string(3u << 20, 'a'));
  auto head = ReadOnlineHead(body, kChat);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->model, "glm-4");
  EXPECT_TRUE(head->stream);
  EXPECT_TRUE(head->include_usage);
}

TEST(OnlineHead, TheRestIsNotJudged) {
  auto head = ReadOnlineHead(
      R"({"model":"m","messages":7,"vllm_thing":{},"temperature":9,"user":"u","priority":1,"store":null})",
      kChat);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_FALSE(head->stream);
  EXPECT_FALSE(head->include_usage);
  EXPECT_THAT(head->ignored, ElementsAre("user", "priority"));
}

TEST(OnlineHead, WhatIsIgnoredDependsOnTheEndpoint) {
  std::string body = R"({"model":"m","prediction":{}})";
  EXPECT_THAT(ReadOnlineHead(body, kChat)->ignored, ElementsAre("prediction"));
  EXPECT_THAT(ReadOnlineHead(body, Endpoint::kCompletions)->ignored, ElementsAre());
}

struct Bad {
  const char* body;
  const char* param;
  const char* message;
};

TEST(OnlineHead, MistakesAreNamed) {
  for (const Bad& bad : {
           Bad{"", "", "could not parse"},
           Bad{"[1]", "", "an array"},
           Bad{"{}", "model", "you must provide a model parameter"},
           Bad{R"({"model":null})", "model", "you must provide a model parameter"},
           Bad{R"({"model":""})", "model", "you must provide a model parameter"},
           Bad{R"({"model":7})", "model", "expected a string, but got a number"},
           Bad{R"({"model":"m","stream":"yes"})", "stream", "expected a boolean"},
           Bad{R"({"model":"m","stream_options":1})", "stream_options", "expected an object"},
           Bad{R"({"model":"m","stream_options":{"include_usage":1}})",
               "stream_options.include_usage", "expected a boolean"},
           Bad{R"({"model":"m","model":"n"})", "model", "occurs twice"},
       }) {
    auto head = ReadOnlineHead(bad.body, kChat);
    ASSERT_FALSE(head) << bad.body;
    EXPECT_EQ(head.error().status, 400);
    EXPECT_EQ(head.error().param, bad.param) << bad.body;
    EXPECT_THAT(head.error().message, HasSubstr(bad.message));
  }
}

TEST(ApiErrors, CarryWhatTheTableDoesNotKnow) {
  ApiError lost(base::Error(base::Code::kFailedPrecondition, "ended"));
  EXPECT_EQ(lost.status, 409);
  EXPECT_TRUE(lost.permanent);
  EXPECT_FALSE(ApiError(base::Error(base::Code::kAborted, "race")).permanent);
  EXPECT_EQ(
      ErrorEnvelope(InvalidType("x", "a string", JsonType::kArray)),
      R"({"error":{"message":"Invalid type for 'x': expected a string, but got an array instead.","type":"invalid_request_error","param":"x","code":"invalid_type"}})");
}

}  // namespace
}  // namespace inferq::wire
