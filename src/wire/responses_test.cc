#include "wire/responses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/embedding.h"

namespace inferq::wire {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ResponseWriter Writer() {
  return ResponseWriter({.id = "7", .created = 17, .model = "m", .echo = R"("store":false)"});
}

std::string TypeOf(const std::string& event) {
  auto json = ParseJson(event);
  auto type = json ? json->Find("type") : std::nullopt;
  return type ? type->AsString().value_or("") : "no event: " + event;
}

std::vector<std::string> Types(const std::vector<std::string>& events) {
  std::vector<std::string> types;
  for (const std::string& event : events) types.push_back(TypeOf(event));
  return types;
}

TEST(ResponseWriter, AText) {
  ResponseWriter writer = Writer();
  std::vector<std::string> events;
  writer.AddText("", events);
  EXPECT_THAT(events, ElementsAre());  // nothing was said yet
  writer.AddText("a", events);
  writer.AddText("\"b", events);
  writer.Finish("stop", {.prompt_tokens = 5, .completion_tokens = 2, .cached_tokens = 1}, events);
  EXPECT_THAT(
      Types(events),
      ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                  "response.content_part.added", "response.output_text.delta",
                  "response.output_text.delta", "response.output_text.done",
                  "response.content_part.done", "response.output_item.done", "response.completed"));
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_THAT(events[i], HasSubstr(fmt::format(R"("sequence_number":{},)", i)));
  }
  EXPECT_THAT(events[0], HasSubstr(R"("status":"in_progress")"));
  EXPECT_THAT(events[0], HasSubstr(R"("output":[],"usage":null,"store":false)"));
  EXPECT_EQ(events[5],
            R"({"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_7_0",)"
            R"("output_index":0,"content_index":0,"delta":"\"b","logprobs":[]})");
  EXPECT_EQ(
      writer.Object(),
      R"({"id":"resp_7","object":"response","created_at":17,"status":"completed","error":null,)"
      R"("incomplete_details":null,"model":"m","output":[{"id":"msg_7_0","type":"message","status":"completed",)"
      R"("role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"a\"b"}]}],)"
      R"("usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":1},"output_tokens":2,)"
      R"("output_tokens_details":{"reasoning_tokens":0},"total_tokens":7},"store":false})");
}

TEST(ResponseWriter, CallsComeInPieces) {
  ResponseWriter writer = Writer();
  std::vector<std::string> events;
  const std::vector<std::string> chunks = {
      R"({"choices":[{"index":0,"delta":{"role":"assistant","content":"hm"}}]})",
      R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":""}}]}}]})",
      R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]})",
      R"({"choices":[{"delta":{"tool_calls":[{"index":1,"id":"c2","function":{"name":"g","arguments":"{}"}}]}}]})",
      R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]})",
      R"({"choices":[{"index":1,"delta":{"content":"another choice"}}]})",
      R"({"choices":[],"usage":{}})"};
  for (const std::string& chunk : chunks) writer.AddChunk(*ParseJson(chunk), events);
  writer.Finish("tool_calls", {}, events);
  EXPECT_THAT(
      Types(events),
      ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                  "response.content_part.added", "response.output_text.delta",
                  "response.output_text.done", "response.content_part.done",
                  "response.output_item.done", "response.output_item.added",
                  "response.function_call_arguments.delta", "response.output_item.added",
                  "response.function_call_arguments.delta",
                  "response.function_call_arguments.delta", "response.function_call_arguments.done",
                  "response.output_item.done", "response.function_call_arguments.done",
                  "response.output_item.done", "response.completed"));
  EXPECT_THAT(
      writer.Object(),
      HasSubstr(
          R"({"id":"fc_7_1","type":"function_call","status":"completed","arguments":"{\"a\":1}","call_id":"c1","name":"f"},)"
          R"({"id":"fc_7_2","type":"function_call","status":"completed","arguments":"{}","call_id":"c2","name":"g"}])"));
}

TEST(ResponseWriter, AWholeBody) {
  ResponseWriter writer = Writer();
  std::vector<std::string> events;
  const std::string body =
      R"({"choices":[{"message":{"content":"hi","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},)"
      R"({"id":"b","function":{"name":"f","arguments":"[]"}}]}}]})";
  writer.AddBody(*ParseJson(body), events);
  writer.Finish("tool_calls", {}, events);
  EXPECT_THAT(writer.Object(), HasSubstr(R"("text":"hi")"));
  EXPECT_THAT(writer.Object(), HasSubstr(R"("arguments":"{}","call_id":"a")"));
  EXPECT_THAT(writer.Object(), HasSubstr(R"("arguments":"[]","call_id":"b")"));
}

TEST(ResponseWriter, WhatWasCutIsIncomplete) {
  ResponseWriter writer = Writer();
  std::vector<std::string> events;
  writer.AddText("a", events);
  writer.Finish("length", {}, events);
  EXPECT_EQ(TypeOf(events.back()), "response.incomplete");
  EXPECT_THAT(writer.Object(), HasSubstr(R"("status":"incomplete","error":null,)"
                                         R"("incomplete_details":{"reason":"max_output_tokens"})"));
  EXPECT_THAT(writer.Object(), HasSubstr(R"("type":"message","status":"incomplete")"));
}

TEST(ResponseWriter, SaysNothingWithAnEmptyMessage) {
  ResponseWriter writer = Writer();
  std::vector<std::string> events;
  writer.Finish("stop", {}, events);
  EXPECT_EQ(events.size(), 8u);
  EXPECT_THAT(writer.Object(), HasSubstr(R"("text":"")"));
}

TEST(FailureEvent, HasTheResponseOfTheFirst) {
  ResponseWriter writer = Writer();
  std::vector<std::string> events;
  writer.AddText("a", events);
  ApiError error(base::Error(base::Code::kUnavailable, "gone"));
  const std::string failed = FailureEvent(events.front(), 5, error);
  EXPECT_EQ(TypeOf(failed), "response.failed");
  EXPECT_THAT(failed, HasSubstr(R"("sequence_number":5,"response":{"id":"resp_7")"));
  EXPECT_THAT(failed,
              HasSubstr(R"("status":"failed","error":{"code":"unavailable","message":"gone"})"));
  const std::string early = FailureEvent("", 0, error);
  EXPECT_EQ(TypeOf(early), "error");
  auto json = ParseJson(early);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->Find("message")->AsString(), "gone");
  EXPECT_EQ(json->Find("error")->Find("message")->AsString(), "gone");
}

TEST(ParseAnswerBody, ReadsAResponse) {
  ResponseWriter writer = Writer();
  std::vector<std::string> events;
  writer.AddText("a b", events);
  writer.Finish("length", {.prompt_tokens = 5, .completion_tokens = 2, .distinct_tokens = 3},
                events);
  const std::string object = writer.Object();
  auto answer = ParseAnswerBody(*ParseJson(object));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "a b");
  EXPECT_EQ(answer->finish_reason, "length");
  EXPECT_EQ(answer->usage.prompt_tokens, 5u);
  EXPECT_EQ(answer->usage.completion_tokens, 2u);
  EXPECT_EQ(answer->usage.distinct_tokens, 3u);
}

}  // namespace
}  // namespace inferq::wire
