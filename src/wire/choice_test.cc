#include "wire/choice.h"

#include <gtest/gtest.h>

#include <limits>

#include "wire/chat_stream.h"

namespace inferq::wire {
namespace {

constexpr auto kChat = Endpoint::kChatCompletions;
constexpr auto kText = Endpoint::kCompletions;

std::vector<TokenLogprob> Tokens() {
  const double none = -std::numeric_limits<double>::infinity();
  return {{.token = {"a", -0.5}, .offset = 0, .top = {{"a", -0.5}, {"b", -1.5}}},
          {.token = {"\xe4", none}, .offset = 1, .top = {{"\"", 0}, {"\"", -3}}}};
}

TEST(Choice, APlainOneIsAsBefore) {
  const Choice choice{.text = "x\"", .finish_reason = "stop"};
  EXPECT_EQ(ChoiceJson(kChat, choice),
            R"({"index":0,"message":{"role":"assistant","content":"x\"","refusal":null},)"
            R"("logprobs":null,"finish_reason":"stop"})");
  EXPECT_EQ(ChoiceJson(kText, choice),
            R"({"index":0,"text":"x\"","logprobs":null,"finish_reason":"stop"})");
}

TEST(Choice, CallsStandBesideTheText) {
  Choice choice{.index = 2,
                .finish_reason = "tool_calls",
                .tool_calls = {{"c1", "weather", R"({"a":1})"}, {"c2", "time", ""}}};
  const std::string calls =
      R"({"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"a\":1}"}},)"
      R"({"id":"c2","type":"function","function":{"name":"time","arguments":""}})";
  EXPECT_EQ(ChoiceJson(kChat, choice),
            R"({"index":2,"message":{"role":"assistant","content":null,"refusal":null,)"
            R"("tool_calls":[)" +
                calls + R"(]},"logprobs":null,"finish_reason":"tool_calls"})");
  choice.text = "so:";
  EXPECT_NE(ChoiceJson(kChat, choice).find(R"("content":"so:")"), std::string::npos);
  EXPECT_TRUE(ToolCallsJson(choice.tool_calls, true).starts_with(R"([{"index":0,"id":"c1",)"));
  EXPECT_NE(ToolCallsJson(choice.tool_calls, true).find(R"({"index":1,"id":"c2",)"),
            std::string::npos);
}

TEST(Choice, LogprobsOfAChatHaveBytes) {
  EXPECT_EQ(LogprobsJson(kChat, Tokens()),
            R"({"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[)"
            R"({"token":"a","logprob":-0.5,"bytes":[97]},)"
            R"({"token":"b","logprob":-1.5,"bytes":[98]}]},)"
            "{\"token\":\"\xef\xbf\xbd\","
            R"("logprob":-9999,"bytes":[228],"top_logprobs":[)"
            R"({"token":"\"","logprob":0,"bytes":[34]},)"
            R"({"token":"\"","logprob":-3,"bytes":[34]}]}],"refusal":null})");
}

TEST(Choice, LogprobsOfTextAreColumns) {
  EXPECT_EQ(LogprobsJson(kText, Tokens()),
            "{\"tokens\":[\"a\",\"\xef\xbf\xbd\"],"
            R"("token_logprobs":[-0.5,-9999],"top_logprobs":[{"a":-0.5,"b":-1.5},)"
            "{\"\\\"\":0,\"\xef\xbf\xbd\":-9999}],"
            R"("text_offset":[0,1]})")
      << "a member stands once, and the chosen token is always there";
  EXPECT_EQ(LogprobsJson(kText, std::vector<TokenLogprob>{{.token = {"a", -1}}}),
            R"({"tokens":["a"],"token_logprobs":[-1],"top_logprobs":null,"text_offset":[0]})");
}

TEST(Choice, SeveralMakeOneBody) {
  const std::vector<Choice> choices{{.index = 0, .text = "x", .finish_reason = "stop"},
                                    {.index = 1, .text = "y", .finish_reason = "length"}};
  const std::string body =
      CompletionBody(kText, {.id = "cmpl-1", .model = "m", .usage = {3, 4, 0}}, choices);
  const auto json = ParseJson(body);
  ASSERT_TRUE(json) << body;
  const auto all = json->Find("choices")->Elements();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].Find("index")->AsInteger(), 1);
  EXPECT_EQ(all[1].Find("text")->AsString(), "y");
  EXPECT_EQ(ParseCompletionBody(*json)->text, "x");
}

TEST(Choice, StreamsNumberTheirChoices) {
  const StreamChunks chunks({.endpoint = kChat, .id = "i", .created = 1, .model = "m"});
  const Choice choice{.index = 3,
                      .text = "t",
                      .tool_calls = {{"c", "f", "{}"}},
                      .logprobs = std::vector<TokenLogprob>{{.token = {"t", -1}}}};
  for (const std::string& chunk :
       {chunks.Role(3), chunks.Text(choice), chunks.ToolCalls(choice), chunks.Finish("stop", 3)}) {
    const auto json = ParseJson(chunk);
    ASSERT_TRUE(json) << chunk;
    EXPECT_EQ(json->Find("choices")->Elements()[0].Find("index")->AsInteger(), 3) << chunk;
  }
  EXPECT_NE(chunks.Text(choice).find(R"("logprobs":{"content":[{"token":"t")"), std::string::npos);
  EXPECT_NE(chunks.ToolCalls(choice).find(R"("delta":{"tool_calls":[{"index":0,"id":"c")"),
            std::string::npos);
}

}  // namespace
}  // namespace inferq::wire
