#include "wire/chat_stream.h"

#include <gtest/gtest.h>

#include "wire/models.h"

namespace inferq::wire {
namespace {

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

}  // namespace
}  // namespace inferq::wire
