#include "wire/chat_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/models.h"

namespace inferq::wire {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

StreamInfo Info(Endpoint endpoint, bool usage) {
  return {.endpoint = endpoint,
          .id = "chatcmpl-1",
          .created = 17,
          .model = "a/m",
          .include_usage = usage};
}

TEST(StreamChunks, OfAChat) {
  StreamChunks chunks(Info(Endpoint::kChatCompletions, false));
  EXPECT_EQ(
      chunks.Role(),
      R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":17,"model":"a/m","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]})");
  EXPECT_EQ(
      chunks.Text("a\"\n你"),
      R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":17,"model":"a/m","choices":[{"index":0,"delta":{"content":"a\"\n你"},"logprobs":null,"finish_reason":null}]})");
  EXPECT_EQ(
      chunks.Finish("length"),
      R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":17,"model":"a/m","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]})");
}

TEST(StreamChunks, WithUsageEveryOtherChunkSaysNull) {
  StreamChunks chunks(Info(Endpoint::kChatCompletions, true));
  for (const std::string& chunk : {chunks.Role(), chunks.Text("x"), chunks.Finish("stop")}) {
    auto json = ParseJson(chunk);
    ASSERT_TRUE(json) << chunk;
    ASSERT_TRUE(json->Find("usage")) << chunk;
    EXPECT_TRUE(json->Find("usage")->is_null());
  }
  EXPECT_EQ(
      chunks.Usage({.prompt_tokens = 3, .completion_tokens = 2, .cached_tokens = 1}),
      R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":17,"model":"a/m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1}}})");
}

TEST(StreamChunks, OfATextCompletion) {
  StreamChunks chunks(Info(Endpoint::kCompletions, false));
  EXPECT_EQ(
      chunks.Text("x"),
      R"({"id":"chatcmpl-1","object":"text_completion","created":17,"model":"a/m","choices":[{"index":0,"text":"x","logprobs":null,"finish_reason":null}]})");
  EXPECT_EQ(
      chunks.Finish("stop"),
      R"({"id":"chatcmpl-1","object":"text_completion","created":17,"model":"a/m","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]})");
}

TEST(Models, OneAndAll) {
  ModelObject model{.id = "a/\"m\"", .created = 17, .owned_by = "inferq"};
  EXPECT_EQ(ModelJson(model),
            R"({"id":"a/\"m\"","object":"model","created":17,"owned_by":"inferq"})");
  EXPECT_EQ(ModelListJson({}), R"({"object":"list","data":[]})");
  EXPECT_EQ(ModelListJson({{.id = "a", .created = 1, .owned_by = "x"},
                           {.id = "b", .created = 2, .owned_by = "y"}}),
            R"({"object":"list","data":[{"id":"a","object":"model","created":1,"owned_by":"x"},)"
            R"({"id":"b","object":"model","created":2,"owned_by":"y"}]})");
}

std::vector<std::string> Chunks(Endpoint endpoint, const std::string& body, bool usage) {
  auto json = ParseJson(body);
  return json ? ChunksOfBody(endpoint, *json, usage) : std::vector<std::string>{"not JSON"};
}

TEST(ChunksOfBody, KeepsWhatTheAnswerSays) {
  EXPECT_THAT(
      Chunks(Endpoint::kChatCompletions,
             R"({"id":"x","object":"chat.completion","own":1.50,"choices":[{"index":0,"message":)"
             R"({"role":"assistant","content":"hi","more":7},"finish_reason":"length"}],"usage":)"
             R"({"total_tokens":3}})",
             true),
      ElementsAre(
          R"({"id":"x","object":"chat.completion.chunk","own":1.50,"choices":[{"index":0,"delta":)"
          R"({"role":"assistant","content":"hi","more":7},"logprobs":null,"finish_reason":null}],"usage":null})",
          R"({"id":"x","object":"chat.completion.chunk","own":1.50,"choices":[{"index":0,"delta":{},)"
          R"("logprobs":null,"finish_reason":"length"}],"usage":null})",
          R"({"id":"x","object":"chat.completion.chunk","own":1.50,"choices":[],"usage":{"total_tokens":3}})"));
}

TEST(ChunksOfBody, NumbersCallsAndStaysOneLine) {
  auto chunks =
      Chunks(Endpoint::kChatCompletions,
             "{\"choices\":[{\"message\":{\"content\":null,\n\"tool_calls\":[{\"id\":\"a\"},"
             "{\"id\":\"b\",\"index\":5}]}}]}",
             false);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_THAT(chunks[0], HasSubstr(R"("tool_calls":[{"id":"a","index":0},{"id":"b","index":5}])"));
  EXPECT_EQ(chunks[0].find('\n'), std::string::npos);
  EXPECT_THAT(chunks[1], HasSubstr(R"("finish_reason":"stop")"));
}

TEST(ChunksOfBody, OfCompletionsIsTheBodyItself) {
  EXPECT_THAT(Chunks(Endpoint::kCompletions,
                     R"({"object":"text_completion","choices":[{"text":"x"}]})", false),
              ElementsAre(R"({"object":"text_completion","choices":[{"text":"x"}],"usage":null})"));
}

}  // namespace
}  // namespace inferq::wire
