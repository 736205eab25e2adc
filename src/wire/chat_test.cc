#include "wire/chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using base::Code;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kUser = R"("messages":[{"role":"user","content":"hi"}])";

base::Result<GenerateRequest> Parse(std::string_view fields) {
  return ParseGenerateRequest(fmt::format("{{{}{}{}}}", kUser, fields.empty() ? "" : ",", fields),
                              Endpoint::kChatCompletions);
}

TEST(GenerateRequest, ReadsEveryHonouredField) {
  auto request =
      Parse(R"("model":"glm","temperature":0,"top_p":0.85,"top_k":-1,"min_p":0.05,"max_tokens":100,
      "max_completion_tokens":50,"stop":["a","b"],"seed":-1,"presence_penalty":-2,"frequency_penalty":0.2,
      "repetition_penalty":1.1,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true},
      "user":"u","store":null,"n":1,"tools":[],"response_format":{"type": "text"}, "logprobs":null)");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(request->model, "glm");
  EXPECT_EQ(request->sampling.temperature, 0);
  EXPECT_EQ(request->sampling.top_p, 0.85);
  EXPECT_EQ(request->sampling.top_k, 0);
  EXPECT_EQ(request->sampling.min_p, 0.05);
  EXPECT_EQ(request->sampling.presence_penalty, -2);
  EXPECT_EQ(request->sampling.frequency_penalty, 0.2);
  EXPECT_EQ(request->sampling.repeat_penalty, 1.1);
  EXPECT_EQ(request->sampling.seed, UINT64_MAX);
  EXPECT_EQ(request->max_tokens, 50u);
  EXPECT_THAT(request->stop, ElementsAre("a", "b"));
  EXPECT_TRUE(request->ignore_eos);
  EXPECT_TRUE(request->stream);
  EXPECT_TRUE(request->include_usage);
  EXPECT_THAT(request->ignored, ElementsAre("user"));
}

TEST(GenerateRequest, DefaultsAreOpenAIs) {
  auto request = Parse("");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->sampling.temperature, 1);
  EXPECT_EQ(request->sampling.top_p, 1);
  EXPECT_FALSE(request->max_tokens);
  EXPECT_FALSE(request->sampling.seed);
  EXPECT_FALSE(request->stream);
}

TEST(GenerateRequest, ReadsMessagesOfEveryShape) {
  auto request = ParseGenerateRequest(
      R"({"messages":[{"role":"system","content":"s"},
          {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"name":"x"},
          {"role":"assistant","content":null,"tool_calls":[]},{"role":"tool","content":""}]})",
      Endpoint::kChatCompletions);
  ASSERT_TRUE(request) << request.error().message();
  ASSERT_EQ(request->messages.size(), 4u);
  EXPECT_EQ(request->messages[0].role, "system");
  EXPECT_EQ(request->messages[1].content, "ab");
  EXPECT_THAT(request->messages[1].json, HasSubstr(R"("name":"x")"));
  EXPECT_EQ(request->messages[2].content, "");
}

struct BadField {
  const char* fields;
  const char* param;
  const char* part;  ///< Of the message.
};

TEST(GenerateRequest, EveryBadValueIsNamed) {
  std::string long_stop = fmt::format("\"stop\":\"{}\"", std::string(1025, 'x'));
  std::string many_stops = fmt::format("\"stop\":[{}\"z\"]", [] {
    std::string all;
    for (int i = 0; i < 16; ++i) all += "\"a\",";
    return all;
  }());
  for (const BadField& bad : {
           BadField{R"("temperature":2.1)", "body.temperature", "from 0 to 2"},
           BadField{R"("temperature":-0.1)", "body.temperature", "-0.1"},
           BadField{R"("temperature":"1")", "body.temperature", "must be a number"},
           BadField{R"("temperature":1e999)", "body.temperature", "must be a number"},
           BadField{R"("top_p":1.01)", "body.top_p", "from 0 to 1"},
           BadField{R"("min_p":-1)", "body.min_p", "from 0 to 1"},
           BadField{R"("top_k":-2)", "body.top_k", "-2"},
           BadField{R"("top_k":1.5)", "body.top_k", "integer"},
           BadField{R"("max_tokens":0)", "body.max_tokens", "from 1"},
           BadField{R"("max_tokens":1e10)", "body.max_tokens", "from 1"},
           BadField{R"("max_completion_tokens":-5)", "body.max_completion_tokens", "-5"},
           BadField{R"("seed":1.5)", "body.seed", "integer"},
           BadField{R"("seed":99999999999999999999)", "body.seed", "integer of 64 bits"},
           BadField{R"("presence_penalty":3)", "body.presence_penalty", "from -2 to 2"},
           BadField{R"("frequency_penalty":-3)", "body.frequency_penalty", "from -2 to 2"},
           BadField{R"("repeat_penalty":0)", "body.repeat_penalty", "above 0"},
           BadField{R"("repetition_penalty":11)", "body.repetition_penalty", "from 0 to 10"},
           BadField{R"("stop":"")", "body.stop", "not be empty"},
           BadField{R"("stop":["a",3])", "body.stop[1]", "must be a string"},
           BadField{long_stop.c_str(), "body.stop", "1025"},
           BadField{many_stops.c_str(), "body.stop", "more than 16"},
           BadField{R"("stream":"yes")", "body.stream", "true or false"},
           BadField{R"("ignore_eos":1)", "body.ignore_eos", "true or false"},
           BadField{R"("stream_options":1)", "body.stream_options", "object"},
           BadField{R"("stream_options":{"include_usage":1})", "body.stream_options.include_usage",
                    "true"},
           BadField{R"("model":7)", "body.model", "string"},
           BadField{R"("functions":[{}])", "body.functions", "does not support"},
           BadField{R"("reasoning_effort":"low")", "body.reasoning_effort", "not supported"},
           BadField{R"("audio":{})", "body.audio", "not supported"},
           BadField{R"("temprature":1)", "body.temprature", "not known"},
           BadField{R"("prompt":"x")", "body.prompt", "not known"},
           BadField{R"("seed":1,"seed":2)", "body.seed", "occurs twice"},
       }) {
    auto request = Parse(bad.fields);
    ASSERT_FALSE(request) << bad.fields;
    EXPECT_EQ(request.error().code(), Code::kInvalidArgument);
    EXPECT_EQ(request.error().param(), bad.param) << request.error().message();
    EXPECT_THAT(request.error().message(), HasSubstr(bad.part)) << bad.fields;
  }
}

TEST(GenerateRequest, EveryBadMessageIsNamed) {
  for (auto [messages, param] : std::initializer_list<std::pair<const char*, const char*>>{
           {"null", "body.messages"},
           {"[]", "body.messages"},
           {"\"hi\"", "body.messages"},
           {"[1]", "body.messages[0]"},
           {R"([{"content":"x"}])", "body.messages[0].role"},
           {R"([{"role":1,"content":"x"}])", "body.messages[0].role"},
           {R"([{"role":"robot","content":"x"}])", "body.messages[0].role"},
           {R"([{"role":"user"}])", "body.messages[0].content"},
           {R"([{"role":"user","content":"a"},{"role":"user","content":3}])",
            "body.messages[1].content"},
           {R"([{"role":"user","content":["a"]}])", "body.messages[0].content[0]"},
           {R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])",
            "body.messages[0].content[0]"},
           {R"([{"role":"user","content":[{"type":"text"}]}])", "body.messages[0].content[0].text"},
       }) {
    auto request = ParseGenerateRequest(fmt::format(R"({{"messages":{}}})", messages),
                                        Endpoint::kChatCompletions);
    ASSERT_FALSE(request) << messages;
    EXPECT_EQ(request.error().param(), param) << request.error().message();
  }
  EXPECT_EQ(ParseGenerateRequest("{}", Endpoint::kChatCompletions).error().param(),
            "body.messages");
  EXPECT_EQ(ParseGenerateRequest("[]", Endpoint::kChatCompletions).error().param(), "body");
  EXPECT_EQ(ParseGenerateRequest("{", Endpoint::kChatCompletions).error().param(), "body");
}

TEST(GenerateRequest, ReadsAPrompt) {
  auto parse = [](std::string_view body) {
    return ParseGenerateRequest(body, Endpoint::kCompletions);
  };
  EXPECT_EQ(parse(R"({"prompt":"p"})")->prompt, "p");
  EXPECT_EQ(parse(R"({"prompt":["p"],"echo":false,"suffix":""})")->prompt, "p");
  EXPECT_EQ(parse(R"({"prompt":["p","q"]})").error().param(), "body.prompt");
  EXPECT_EQ(parse(R"({"prompt":[1,2]})").error().param(), "body.prompt");
  EXPECT_EQ(parse(R"({})").error().param(), "body.prompt");
  EXPECT_EQ(parse(R"({"prompt":"p","echo":true})").error().param(), "body.echo");
}

TEST(GenerateRequest, EveryFieldOfTheTableIsHandled) {
  for (const FieldInfo& field : RequestFields()) {
    for (Endpoint endpoint : {Endpoint::kChatCompletions, Endpoint::kCompletions}) {
      bool known = endpoint == Endpoint::kChatCompletions ? field.chat : field.completions;
      // Without messages or a prompt it fails in any case.
      std::string body = fmt::format(R"({{"{}":{{"x":1}}}})", field.name);
      auto request = ParseGenerateRequest(body, endpoint);
      ASSERT_FALSE(request);
      bool unknown = request.error().message().find("not known") != std::string::npos;
      EXPECT_EQ(unknown, !known) << field.name;
    }
  }
}

TEST(Body, DefaultsAreFilledInWhereTheClientSaidNothing) {
  auto body = ParseJson(R"({ "messages": [], "temperature": 0.3, "seed": null, "x": 1.0 })");
  EXPECT_EQ(WithDefaults(*body, {.model = "m", .max_tokens = 7, .temperature = 1.0, .seed = 4}),
            R"({"messages":[],"temperature":0.3,"seed":4,"x":1.0,"model":"m","max_tokens":7})");
  auto limited = ParseJson(R"({"max_completion_tokens":5})");
  EXPECT_EQ(WithDefaults(*limited, {.max_tokens = 7, .top_p = 0.5}),
            R"({"max_completion_tokens":5,"top_p":0.5})");
  auto named = ParseJson(R"({"model":"a","n":1})");
  EXPECT_EQ(EditJsonObject(*named, {{.key = "model", .json = JsonString("b\""), .replace = true}}),
            R"({"model":"b\"","n":1})");
}

TEST(Body, AnAnswerReadsBackAsWritten) {
  Completion answer{.id = "chatcmpl-1",
                    .created = 17,
                    .model = "m",
                    .text = "a\"b\n你",
                    .finish_reason = "length",
                    .usage = {10, 5, 3}};
  for (Endpoint endpoint : {Endpoint::kChatCompletions, Endpoint::kCompletions}) {
    std::string body = CompletionBody(endpoint, answer);
    auto json = ParseJson(body);
    ASSERT_TRUE(json) << body;
    EXPECT_EQ(json->Find("usage")->Find("total_tokens")->AsInteger(), 15);
    auto read = ParseCompletionBody(*json);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->id, answer.id);
    EXPECT_EQ(read->created, answer.created);
    EXPECT_EQ(read->model, answer.model);
    EXPECT_EQ(read->text, answer.text);
    EXPECT_EQ(read->finish_reason, answer.finish_reason);
    EXPECT_EQ(read->usage.prompt_tokens, 10u);
    EXPECT_EQ(read->usage.completion_tokens, 5u);
    EXPECT_EQ(read->usage.cached_tokens, 3u);
  }
  EXPECT_THAT(CompletionBody(Endpoint::kChatCompletions, answer),
              HasSubstr(R"("object":"chat.completion")"));
  EXPECT_THAT(CompletionBody(Endpoint::kCompletions, answer),
              HasSubstr(R"("object":"text_completion")"));
}

TEST(Body, AForeignAnswerMayLackMuch) {
  EXPECT_EQ(ParseCompletionBody(*ParseJson(R"({"choices":[{"message":{"content":null}}]})"))->text,
            "");
  EXPECT_EQ(ParseCompletionBody(*ParseJson(R"({"choices":[{}],"usage":null})"))->finish_reason, "");
  for (const char* bad : {"{}", "[]", "3", R"({"choices":[]})", R"({"choices":{}})"}) {
    EXPECT_FALSE(ParseCompletionBody(*ParseJson(bad))) << bad;
  }
}

TEST(Endpoints, AreKnownByTheirPath) {
  EXPECT_EQ(ParseEndpoint("/v1/completions"), Endpoint::kCompletions);
  EXPECT_EQ(ParseEndpoint(EndpointPath(Endpoint::kChatCompletions)), Endpoint::kChatCompletions);
  EXPECT_EQ(ParseEndpoint(EndpointPath(Endpoint::kEmbeddings)), Endpoint::kEmbeddings);
  EXPECT_EQ(ParseEndpoint("/v1/responses"), Endpoint::kResponses);
  EXPECT_FALSE(ParseEndpoint("/v1/moderations"));
}

}  // namespace
}  // namespace inferq::wire
