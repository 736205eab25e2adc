#include "engine/llama/answer_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::engine::llama {
namespace {

using testing::IsEmpty;
using testing::SizeIs;
using wire::JsonValue;

wire::GenerateRequest Two(bool logprobs = false) {
  wire::GenerateRequest request;
  request.n = 2;
  request.logprobs = logprobs;
  return request;
}

wire::StreamInfo Info(bool include_usage = false) {
  return {.endpoint = Endpoint::kChatCompletions,
          .id = "chatcmpl-7",
          .created = 12,
          .model = "m",
          .include_usage = include_usage};
}

SequenceDelta Text(uint32_t choice, std::string text) {
  SequenceDelta delta;
  delta.choice = choice;
  delta.text = std::move(text);
  return delta;
}

SequenceDelta End(uint32_t choice, FinishReason reason, uint64_t tokens, std::string text = "") {
  SequenceDelta delta = Text(choice, std::move(text));
  delta.finish_reason = reason;
  delta.usage = {
      .prompt_tokens = 10, .completion_tokens = tokens, .cached_tokens = choice ? 9u : 4u};
  return delta;
}

TEST(AnswerBody, IsNeededForMoreThanOnePlainText) {
  wire::GenerateRequest request;
  EXPECT_FALSE(AnswerBody::IsNeededFor(request));
  EXPECT_TRUE(AnswerBody::IsNeededFor(Two()));
  request.logprobs = true;
  EXPECT_TRUE(AnswerBody::IsNeededFor(request));
  request.logprobs = false;
  request.tools = "[{}]";
  EXPECT_TRUE(AnswerBody::IsNeededFor(request));
  request.tool_choice = wire::ToolChoice::kNone;
  EXPECT_FALSE(AnswerBody::IsNeededFor(request));
}

TEST(AnswerBody, JoinsTheChoices) {
  AnswerBody body(Two(), Info(), false);
  Delta out;
  body.Add(Text(1, "b"), out);
  body.Add(Text(0, "a"), out);
  body.Add(End(1, FinishReason::kStop, 2, "B"), out);
  EXPECT_FALSE(body.done());
  body.Add(End(0, FinishReason::kLength, 3), out);
  ASSERT_TRUE(body.done());
  EXPECT_THAT(out.raw_chunks, IsEmpty());
  body.Finish(out);
  EXPECT_EQ(out.finish_reason, FinishReason::kLength) << "the first choice's";
  EXPECT_EQ(out.usage, (Usage{.prompt_tokens = 10, .completion_tokens = 5, .cached_tokens = 4}));
  EXPECT_THAT(out.text, IsEmpty());
  const auto json = wire::ParseJson(out.raw_response);
  ASSERT_TRUE(json) << out.raw_response;
  EXPECT_EQ(json->Find("id")->AsString(), "chatcmpl-7");
  EXPECT_EQ(json->Find("created")->AsInteger(), 12);
  EXPECT_EQ(json->Find("model")->AsString(), "m");
  EXPECT_EQ(json->Find("usage")->Find("completion_tokens")->AsInteger(), 5);
  const auto choices = json->Find("choices")->Elements();
  ASSERT_THAT(choices, SizeIs(2));
  EXPECT_EQ(choices[0].Find("message")->Find("content")->AsString(), "a");
  EXPECT_EQ(choices[1].Find("message")->Find("content")->AsString(), "bB");
  EXPECT_EQ(choices[1].Find("finish_reason")->AsString(), "stop");
}

TEST(AnswerBody, StreamsTheChoices) {
  AnswerBody body(Two(true), Info(true), true);
  Delta out;
  SequenceDelta first = Text(1, "b");
  first.logprobs = {{.token = {"b", -1}}};
  body.Add(std::move(first), out);
  body.Add(Text(1, ""), out);
  ASSERT_THAT(out.raw_chunks, SizeIs(2)) << "role and text, and nothing for no text";
  const auto text = wire::ParseJson(out.raw_chunks[1]);
  EXPECT_EQ(text->Find("choices")->Elements()[0].Find("index")->AsInteger(), 1);
  EXPECT_EQ(
      text->Find("choices")->Elements()[0].Find("logprobs")->Find("content")->Elements().size(),
      1u);
  SequenceDelta calls = End(0, FinishReason::kToolCalls, 3);
  calls.tool_calls = {{"c", "f", "{}"}};
  body.Add(std::move(calls), out);
  EXPECT_THAT(out.raw_chunks, SizeIs(5)) << "role, calls, end";
  body.Add(End(1, FinishReason::kStop, 2, "x"), out);
  EXPECT_THAT(out.raw_chunks, SizeIs(7)) << "text, end";
  body.Finish(out);
  EXPECT_THAT(out.raw_response, IsEmpty());
  ASSERT_THAT(out.raw_chunks, SizeIs(8));
  const auto usage = wire::ParseJson(out.raw_chunks.back());
  EXPECT_EQ(usage->Find("usage")->Find("completion_tokens")->AsInteger(), 5);
  EXPECT_THAT(usage->Find("choices")->Elements(), IsEmpty());
}

TEST(AnswerBody, IgnoresWhatTheChildMustNotSay) {
  AnswerBody body(Two(), Info(), false);
  Delta out;
  body.Add(Text(9, "x"), out);
  body.Add(End(0, FinishReason::kStop, 1), out);
  body.Add(End(0, FinishReason::kStop, 1), out);
  EXPECT_FALSE(body.done()) << "the same end twice is one";
}

}  // namespace
}  // namespace inferq::engine::llama
