#include "wire/responses_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/chat.h"

namespace inferq::wire {
namespace {

using ::testing::HasSubstr;

std::string Chat(std::string_view body) {
  auto request = ParseResponsesRequest(body);
  return request ? request->chat_body : request.error().param() + ": " + request.error().message();
}

/// The `messages` of these items.
std::string Messages(std::string_view items) {
  std::string chat = Chat(fmt::format(R"({{"input":[{}]}})", items));
  constexpr std::string_view kHead = R"({"messages":)";
  return chat.starts_with(kHead) ? chat.substr(kHead.size(), chat.size() - kHead.size() - 1) : chat;
}

/// The field that a body with this member is refused for; "" when it is not.
std::string Refused(std::string_view member) {
  std::string body = fmt::format(R"({{"model":"m","input":"x",{}}})", member);
  auto request = ParseResponsesRequest(body);
  return request ? "" : request.error().param();
}

TEST(ParseResponsesRequest, ATextIsAMessageOfTheUser) {
  EXPECT_EQ(
      Chat(R"({"model":"m","input":"\u4f60","temperature":0.10,"stream":true})"),
      R"({"messages":[{"role":"user","content":"\u4f60"}],"model":"m","temperature":0.10,"stream":true})");
}

TEST(ParseResponsesRequest, InstructionsGoFirst) {
  EXPECT_EQ(
      Chat(R"({"input":"x","instructions":"be kind","max_output_tokens":7})"),
      R"({"messages":[{"role":"system","content":"be kind"},{"role":"user","content":"x"}],"max_tokens":7})");
}

TEST(ParseResponsesRequest, ItemsBecomeMessages) {
  EXPECT_EQ(Messages(R"({"role":"developer","content":"d"},)"
                     R"({"type":"message","id":"msg_1","status":"completed","role":"assistant",)"
                     R"("content":[{"type":"output_text","text":"a","annotations":[]}]},)"
                     R"({"role":"user","content":[{"type":"input_text","text":"b"},)"
                     R"({"type":"input_image","image_url":"data:x","detail":"low"}]})"),
            R"([{"role":"system","content":"d"},{"role":"assistant","content":"a"},)"
            R"({"role":"user","content":[{"type":"text","text":"b"},)"
            R"({"type":"image_url","image_url":{"url":"data:x","detail":"low"}}]}])");
}

TEST(ParseResponsesRequest, CallsBelongToTheAssistant) {
  EXPECT_EQ(
      Messages(R"({"role":"user","content":"u"},{"type":"reasoning","summary":[]},)"
               R"({"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},)"
               R"({"type":"function_call","call_id":"c2","name":"g","arguments":"{\"a\":1}"},)"
               R"({"type":"function_call_output","call_id":"c1","output":"sunny"})"),
      R"([{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[)"
      R"({"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},)"
      R"({"id":"c2","type":"function","function":{"name":"g","arguments":"{\"a\":1}"}}]},)"
      R"({"role":"tool","content":"sunny","tool_call_id":"c1"}])");
}

TEST(ParseResponsesRequest, FormatsAndToolsGetTheFormOfChats) {
  EXPECT_THAT(
      Chat(R"({"input":"x","text":{"format":{"type":"json_schema","name":"r","strict":true,)"
           R"("schema":{"type":"object"}},"verbosity":"medium"}})"),
      HasSubstr(R"("response_format":{"type":"json_schema","json_schema":{"name":"r",)"
                R"("strict":true,"schema":{"type":"object"}}})"));
  EXPECT_THAT(Chat(R"({"input":"x","text":{"format":{"type":"json_object"}}})"),
              HasSubstr(R"("response_format":{"type":"json_object"})"));
  EXPECT_THAT(
      Chat(R"({"input":"x","tools":[{"type":"function","name":"f","parameters":{"type":"object"},)"
           R"("strict":true}],"tool_choice":{"type":"function","name":"f"}})"),
      HasSubstr(
          R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"},)"
          R"("strict":true}}],"tool_choice":{"type":"function","function":{"name":"f"}})"));
}

TEST(ParseResponsesRequest, TheChatIsOneThatLocalModelsTake) {
  auto request = ParseResponsesRequest(
      R"({"model":"m","input":[{"role":"user","content":"x"}],"instructions":"i","tools":[{"type":)"
      R"("function","name":"f","parameters":{"type":"object"}}],"tool_choice":"auto","store":true,)"
      R"("metadata":{"a":"b"},"parallel_tool_calls":true,"max_output_tokens":20,"user":"u"})");
  ASSERT_TRUE(request) << request.error().message();
  auto chat = ParseGenerateRequest(request->chat_body, Endpoint::kChatCompletions);
  ASSERT_TRUE(chat) << chat.error().message();
  EXPECT_EQ(chat->messages.size(), 2u);
  EXPECT_EQ(chat->max_tokens, 20u);
  EXPECT_FALSE(chat->tools.empty());
}

TEST(ParseResponsesRequest, UnknownFieldsPassForTheEngineToJudge) {
  EXPECT_EQ(Chat(R"({"input":"x","own":1e400,"min_p":0.50})"),
            R"({"messages":[{"role":"user","content":"x"}],"own":1e400,"min_p":0.50})");
}

TEST(ParseResponsesRequest, RefusesWhatNeedsAStoreOrToolsOfTheServers) {
  EXPECT_EQ(Refused(R"("previous_response_id":"resp_1")"), "body.previous_response_id");
  EXPECT_EQ(Refused(R"("conversation":"conv_1")"), "body.conversation");
  EXPECT_EQ(Refused(R"("prompt":{"id":"p"})"), "body.prompt");
  EXPECT_EQ(Refused(R"("background":true)"), "body.background");
  EXPECT_EQ(Refused(R"("truncation":"auto")"), "body.truncation");
  EXPECT_EQ(Refused(R"("top_logprobs":2)"), "body.top_logprobs");
  EXPECT_EQ(Refused(R"("tools":[{"type":"function","name":"f"},{"type":"web_search"}])"),
            "body.tools[1].type");
  EXPECT_EQ(Refused(R"("tool_choice":{"type":"file_search"})"), "body.tool_choice.type");
  EXPECT_EQ(Refused(R"("include":["message.output_text.logprobs"])"), "body.include[0]");
  EXPECT_EQ(Refused(R"("text":{"verbosity":"high"})"), "body.text.verbosity");
  for (const char* fine :
       {R"("previous_response_id":null)", R"("background":false)", R"("truncation":"disabled")",
        R"("include":["reasoning.encrypted_content"])", R"("store":true)", R"("tools":[])",
        R"("reasoning":{"effort":null})", R"("text":{"format":{"type":"text"}})"}) {
    EXPECT_EQ(Refused(fine), "") << fine;
  }
}

TEST(ParseResponsesRequest, NamesWhatIsWrong) {
  EXPECT_THAT(Chat(R"({"model":"m"})"), HasSubstr("body.input: 'body.input' is missing."));
  EXPECT_THAT(Chat(R"({"input":7})"), HasSubstr("body.input: "));
  EXPECT_THAT(Chat(R"({"input":[]})"), HasSubstr("body.input: "));
  EXPECT_THAT(Messages(R"("x")"), HasSubstr("body.input[0]: "));
  EXPECT_THAT(Messages(R"({"content":"x"})"), HasSubstr("body.input[0].role: "));
  EXPECT_THAT(Messages(R"({"role":"tool","content":"x"})"), HasSubstr("body.input[0].role: "));
  EXPECT_THAT(Messages(R"({"role":"user"})"), HasSubstr("body.input[0].content: "));
  EXPECT_THAT(Messages(R"({"role":"user","content":[{"type":"input_file"}]})"),
              HasSubstr("body.input[0].content[0].type: "));
  EXPECT_THAT(Messages(R"({"role":"user","content":[{"type":"input_text","text":1}]})"),
              HasSubstr("body.input[0].content[0].text: "));
  EXPECT_THAT(Messages(R"({"type":"item_reference","id":"x"})"), HasSubstr("body.input[0].type: "));
  EXPECT_THAT(Messages(R"({"type":"function_call","name":"f","arguments":"{}"})"),
              HasSubstr("body.input[0].call_id: "));
  EXPECT_THAT(Messages(R"({"type":"function_call_output","call_id":"c"})"),
              HasSubstr("body.input[0].output: "));
  EXPECT_EQ(Refused(R"("max_output_tokens":0)"), "body.max_output_tokens");
  EXPECT_EQ(Refused(R"("text":{"format":{"type":"xml"}})"), "body.text.format.type");
  EXPECT_EQ(Refused(R"("text":{"format":{"type":"json_schema","name":"x"}})"),
            "body.text.format.schema");
  EXPECT_EQ(Refused(R"("instructions":[])"), "body.instructions");
}

TEST(ParseResponsesRequest, TheEchoRepeatsWhatWasAsked) {
  auto request = ParseResponsesRequest(
      R"({"input":"x","metadata":{"a": "b"},"store":true,"temperature":0.20,"tools":null})");
  ASSERT_TRUE(request);
  EXPECT_THAT(request->echo, HasSubstr(R"("metadata":{"a":"b"})"));
  EXPECT_THAT(request->echo, HasSubstr(R"("store":false)"));  // nothing is
  EXPECT_THAT(request->echo, HasSubstr(R"("temperature":0.20)"));
  EXPECT_THAT(request->echo, HasSubstr(R"("tools":[])"));
  EXPECT_TRUE(ParseJson(std::string_view("{" + request->echo + "}")));
}

TEST(ResponsesParam, SpeaksTheClientsWords) {
  EXPECT_EQ(ResponsesParam("body.max_tokens"), "body.max_output_tokens");
  EXPECT_EQ(ResponsesParam("body.response_format.json_schema.schema"), "body.text.format.schema");
  EXPECT_EQ(ResponsesParam("body.top_p"), "body.top_p");
  EXPECT_TRUE(IsIgnoredResponsesField("store"));
  EXPECT_FALSE(IsIgnoredResponsesField("background"));
  EXPECT_FALSE(IsIgnoredResponsesField("input"));
}

}  // namespace
}  // namespace inferq::wire
