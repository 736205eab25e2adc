#include "wire/answer_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kTool =
    R"({"type":"function","function":{"name":"weather","parameters":{"type":"object"}}})";
constexpr std::string_view kOther = R"({"type":"function","function":{"name":"time"}})";

base::Result<GenerateRequest> Chat(std::string_view fields) {
  return ParseGenerateRequest(
      fmt::format(R"({{"messages":[{{"role":"user","content":"hi"}}]{}{}}})",
                  fields.empty() ? "" : ",", fields),
      Endpoint::kChatCompletions);
}

base::Result<GenerateRequest> Text(std::string_view fields) {
  return ParseGenerateRequest(fmt::format(R"({{"prompt":"hi",{}}})", fields),
                              Endpoint::kCompletions);
}

std::string WithTools(std::string_view more) {
  return fmt::format(R"("tools":[{},{}]{})", kTool, kOther, more);
}

TEST(AnswerOptions, AreReadFromAChat) {
  const auto request = Chat(
      R"("n":3,"best_of":3,"logprobs":true,"top_logprobs":20,"logit_bias":{"17":-100,"4":2.5},)"
      R"("response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,)"
      R"("schema":{"type": "object"}}})");
  // best_of is not a field of a chat at OpenAI, but of some clients.
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(request->n, 3u);
  EXPECT_TRUE(request->logprobs);
  EXPECT_EQ(request->top_logprobs, 20u);
  EXPECT_THAT(request->sampling.logit_bias,
              testing::ElementsAre(LogitBias{17, -100}, LogitBias{4, 2.5}));
  EXPECT_EQ(request->json_schema, R"({"type":"object"})");
  EXPECT_EQ(Chat(R"("response_format":{"type":"json_object"})")->json_schema,
            R"({"type":"object"})");
  EXPECT_THAT(Chat(R"("response_format":{"type":"text"})")->json_schema, IsEmpty());
  EXPECT_EQ(Chat(R"("grammar":"root ::= \"a\"")")->grammar, "root ::= \"a\"");
}

TEST(AnswerOptions, DefaultsAskForNothing) {
  const auto request = Chat("");
  EXPECT_EQ(request->n, 1u);
  EXPECT_FALSE(request->logprobs);
  EXPECT_THAT(request->tools + request->json_schema + request->grammar, IsEmpty());
  EXPECT_THAT(request->sampling.logit_bias, IsEmpty());
}

TEST(AnswerOptions, LogprobsOfATextCompletionAreANumber) {
  const auto three = Text(R"("logprobs":3)");
  ASSERT_TRUE(three) << three.error().message();
  EXPECT_TRUE(three->logprobs);
  EXPECT_EQ(three->top_logprobs, 3u);
  EXPECT_TRUE(Text(R"("logprobs":0)")->logprobs);
  EXPECT_FALSE(Text(R"("logprobs":false)")->logprobs);
  EXPECT_EQ(Text(R"("logprobs":6)").error().param(), "body.logprobs");
  EXPECT_EQ(Text(R"("logprobs":true)").error().param(), "body.logprobs");
}

TEST(AnswerOptions, ToolsAreKeptAsWritten) {
  const auto request = Chat(WithTools(R"(,"parallel_tool_calls":false)"));
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(request->tools, fmt::format("[{},{}]", kTool, kOther));
  EXPECT_EQ(request->tool_choice, ToolChoice::kAuto);
  EXPECT_EQ(request->parallel_tool_calls, false);
  EXPECT_EQ(Chat(WithTools(R"(,"tool_choice":"none")"))->tool_choice, ToolChoice::kNone);
  EXPECT_EQ(Chat(WithTools(R"(,"tool_choice":"required")"))->tool_choice, ToolChoice::kRequired);
  EXPECT_TRUE(Chat(R"("tools":[],"tool_choice":"auto")"));
}

TEST(AnswerOptions, ANamedFunctionIsTheOnlyTool) {
  for (std::string_view order : {"{0},{1}", "{1},{0}"}) {
    const auto request = Chat(fmt::format(
        fmt::runtime(order), R"("tool_choice":{"type":"function","function":{"name":"time"}})",
        WithTools("")));
    ASSERT_TRUE(request) << request.error().message();
    EXPECT_EQ(request->tool_choice, ToolChoice::kRequired);
    EXPECT_EQ(request->tools, fmt::format("[{}]", kOther));
  }
}

TEST(AnswerOptions, MessagesTellOfCalls) {
  const auto request = ParseGenerateRequest(
      R"({"messages":[{"role":"user","content":"?"},
          {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",
            "function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}}]},
          {"role":"tool","tool_call_id":"c1","name":"weather","content":"sunny"}]})",
      Endpoint::kChatCompletions);
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_THAT(request->messages[1].tool_calls,
              testing::ElementsAre(ToolCall{"c1", "weather", R"({"city":"Rome"})"}));
  EXPECT_EQ(request->messages[2].tool_call_id, "c1");
  EXPECT_EQ(request->messages[2].name, "weather");
}

struct Bad {
  std::string fields;
  const char* param;
  const char* part;  ///< Of the message.
};

TEST(AnswerOptions, EveryBadValueIsNamed) {
  const auto format = [](std::string_view inner) {
    return fmt::format(R"("response_format":{})", inner);
  };
  const auto tools = [](std::string_view inner) { return fmt::format(R"("tools":[{}])", inner); };
  for (const Bad& bad : {
           Bad{R"("n":0)", "body.n", "from 1 to 16"},
           Bad{R"("n":17)", "body.n", "from 1 to 16"},
           Bad{R"("n":2,"best_of":3)", "body.best_of", "must equal n"},
           Bad{R"("best_of":2)", "body.best_of", "must equal n"},
           Bad{R"("logprobs":1)", "body.logprobs", "true or false"},
           Bad{R"("top_logprobs":3)", "body.top_logprobs", "needs"},
           Bad{R"("logprobs":true,"top_logprobs":21)", "body.top_logprobs", "from 0 to 20"},
           Bad{R"("logit_bias":[])", "body.logit_bias", "an object"},
           Bad{R"("logit_bias":{"word":1})", "body.logit_bias", "token ids"},
           Bad{R"("logit_bias":{"-1":1})", "body.logit_bias", "token ids"},
           Bad{R"("logit_bias":{"99999999999":1})", "body.logit_bias", "token ids"},
           Bad{R"("logit_bias":{"1":101})", "body.logit_bias.1", "from -100 to 100"},
           Bad{format("3"), "body.response_format", "an object"},
           Bad{format("{}"), "body.response_format.type", "missing"},
           Bad{format(R"({"type":"xml"})"), "body.response_format.type", "'xml'"},
           Bad{format(R"({"type":"json_schema"})"), "body.response_format.json_schema", "missing"},
           Bad{format(R"({"type":"json_schema","json_schema":{"schema":{}}})"),
               "body.response_format.json_schema.name", "missing"},
           Bad{format(R"({"type":"json_schema","json_schema":{"name":"x"}})"),
               "body.response_format.json_schema.schema", "missing"},
           Bad{format(R"({"type":"json_schema","json_schema":{"name":"x","schema":"y"}})"),
               "body.response_format.json_schema.schema", "an object"},
           Bad{format(
                   R"({"type":"json_schema","json_schema":{"name":"x","schema":{},"strict":1}})"),
               "body.response_format.json_schema.strict", "true or false"},
           Bad{R"("tools":{})", "body.tools", "an array"},
           Bad{tools("{}"), "body.tools[0].type", "missing"},
           Bad{tools(R"({"type":"custom"})"), "body.tools[0].type", "only 'function'"},
           Bad{tools(R"({"type":"function"})"), "body.tools[0].function", "missing"},
           Bad{tools(R"({"type":"function","function":{}})"), "body.tools[0].function.name",
               "missing"},
           Bad{tools(R"({"type":"function","function":{"name":"a","parameters":1}})"),
               "body.tools[0].function.parameters", "an object"},
           Bad{WithTools(R"(,"tool_choice":"maybe")"), "body.tool_choice", "maybe"},
           Bad{WithTools(R"(,"tool_choice":{"type":"function","function":{"name":"no"}})"),
               "body.tool_choice", "'no'"},
           Bad{R"("tool_choice":"required")", "body.tool_choice", "no tools"},
           Bad{R"("parallel_tool_calls":1)", "body.parallel_tool_calls", "true or false"},
           Bad{WithTools("," + format(R"({"type":"json_object"})")), "body.response_format",
               "combined with tools"},
           Bad{WithTools(R"(,"grammar":"root ::= \"a\"")"), "body.grammar", "tools"},
           Bad{R"("grammar":"x",)" + format(R"({"type":"json_object"})"), "body.grammar",
               "response_format"},
           Bad{R"("grammar":7)", "body.grammar", "string"},
       }) {
    const auto request = Chat(bad.fields);
    ASSERT_FALSE(request) << bad.fields;
    EXPECT_EQ(request.error().param(), bad.param) << request.error().message();
    EXPECT_THAT(request.error().message(), HasSubstr(bad.part)) << bad.fields;
  }
}

TEST(AnswerOptions, EveryBadCallInAMessageIsNamed) {
  for (auto [calls, param] : std::initializer_list<std::pair<const char*, const char*>>{
           {"{}", "body.messages[0].tool_calls"},
           {"[1]", "body.messages[0].tool_calls[0]"},
           {R"([{"type":"function","function":{"name":"a"}}])",
            "body.messages[0].tool_calls[0].function.arguments"},
           {R"([{"type":"function","function":{"arguments":"{}"}}])",
            "body.messages[0].tool_calls[0].function.name"},
       }) {
    const auto request = ParseGenerateRequest(
        fmt::format(R"({{"messages":[{{"role":"assistant","tool_calls":{}}}]}})", calls),
        Endpoint::kChatCompletions);
    ASSERT_FALSE(request) << calls;
    EXPECT_EQ(request.error().param(), param) << request.error().message();
  }
}

}  // namespace
}  // namespace inferq::wire
