#include "wire/embedding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>

#include "wire/batch_line.h"
#include "wire/locality.h"
#include "wire/online.h"

namespace inferq::wire {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Ids = std::vector<int32_t>;

EmbeddingRequest Parsed(std::string_view body) {
  auto request = ParseEmbeddingRequest(body);
  EXPECT_TRUE(request.has_value()) << body << ": " << request.error().message();
  return request.value_or(EmbeddingRequest{});
}

// The field that the error names.
std::string FieldOf(std::string_view body) {
  auto request = ParseEmbeddingRequest(body);
  if (request) return "none";
  EXPECT_EQ(request.error().code(), base::Code::kInvalidArgument);
  EXPECT_THAT(request.error().message(), HasSubstr(request.error().param()));
  return request.error().param();
}

TEST(Embedding, AllFourShapesOfInputAreRead) {
  EXPECT_THAT(Parsed(R"({"model":"m","input":"a\u00e9"})").inputs,
              ElementsAre(EmbeddingInput("a\u00e9")));
  EXPECT_THAT(Parsed(R"({"input":["a","b"]})").inputs,
              ElementsAre(EmbeddingInput("a"), EmbeddingInput("b")));
  EXPECT_THAT(Parsed(R"({"input":[1,2.0,3]})").inputs, ElementsAre(EmbeddingInput(Ids{1, 2, 3})));
  EXPECT_THAT(Parsed(R"({"input":[[1],[2,3]]})").inputs,
              ElementsAre(EmbeddingInput(Ids{1}), EmbeddingInput(Ids{2, 3})));
}

TEST(Embedding, OtherFieldsAreRead) {
  auto request =
      Parsed(R"({"model":"m","input":"a","encoding_format":"base64","dimensions":3,"user":"me"})");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.format, EmbeddingFormat::kBase64);
  EXPECT_EQ(request.dimensions, 3u);
  auto plain = Parsed(R"({"input":"a","encoding_format":null,"dimensions":null})");
  EXPECT_EQ(plain.format, EmbeddingFormat::kFloat);
  EXPECT_FALSE(plain.dimensions.has_value());
}

TEST(Embedding, WhatIsWrongIsNamed) {
  EXPECT_EQ(FieldOf(R"({"model":"m"})"), "body.input");
  EXPECT_EQ(FieldOf(R"({"input":null})"), "body.input");
  EXPECT_EQ(FieldOf(R"({"input":""})"), "body.input");
  EXPECT_EQ(FieldOf(R"({"input":[]})"), "body.input");
  EXPECT_EQ(FieldOf(R"({"input":7})"), "body.input");
  EXPECT_EQ(FieldOf(R"({"input":{"text":"a"}})"), "body.input");
  EXPECT_EQ(FieldOf(R"({"input":["a",""]})"), "body.input[1]");
  EXPECT_EQ(FieldOf(R"({"input":["a",7]})"), "body.input[1]");
  EXPECT_EQ(FieldOf(R"({"input":[1,"a"]})"), "body.input");
  EXPECT_EQ(FieldOf(R"({"input":[1,-1]})"), "body.input");
  EXPECT_EQ(FieldOf(R"({"input":[[1],[]]})"), "body.input[1]");
  EXPECT_EQ(FieldOf(R"({"input":[[1],[1.5]]})"), "body.input[1]");
  EXPECT_EQ(FieldOf(R"({"input":"a","encoding_format":"hex"})"), "body.encoding_format");
  EXPECT_EQ(FieldOf(R"({"input":"a","dimensions":0})"), "body.dimensions");
  EXPECT_EQ(FieldOf(R"({"input":"a","model":7})"), "body.model");
  EXPECT_EQ(FieldOf(R"({"input":"a","temperature":1})"), "body.temperature");
  EXPECT_EQ(FieldOf(R"({"input":"a","stream":true})"), "body.stream");
  EXPECT_EQ(FieldOf(R"({"input":"a","input":"b"})"), "body.input");
  EXPECT_EQ(ParseEmbeddingRequest("[]").error().param(), "body");
  EXPECT_EQ(ParseEmbeddingRequest("{").error().param(), "body");
}

TEST(Embedding, AtMost2048Inputs) {
  auto body = [](size_t count) {
    return fmt::format(R"({{"input":[{}]}})",
                       fmt::join(std::vector<std::string>(count, R"("a")"), ","));
  };
  EXPECT_EQ(Parsed(body(2048)).inputs.size(), 2048u);
  EXPECT_EQ(FieldOf(body(2049)), "body.input");
}

TEST(Embedding, NumbersReadBackAsTheSameFloats) {
  rc::check([](const std::vector<uint32_t>& bits) {
    std::vector<float> vector;
    for (uint32_t b : bits) {
      float value = std::bit_cast<float>(b);
      if (std::isfinite(value)) vector.push_back(value);
    }
    std::string json = EmbeddingJson(vector, EmbeddingFormat::kFloat);
    auto parsed = ParseJson(json);
    RC_ASSERT(parsed.has_value());
    std::vector<float> back;
    for (JsonValue value : parsed->Elements()) {
      back.push_back(static_cast<float>(value.AsDouble().value()));
    }
    RC_ASSERT(back == vector);
  });
}

TEST(Embedding, Base64IsLittleEndianFloats) {
  const std::vector<float> three{1.0F, -2.5F, 0.1F};
  // import base64, struct; base64.b64encode(struct.pack("<3f", 1.0, -2.5, 0.1))
  EXPECT_EQ(EmbeddingJson(three, EmbeddingFormat::kBase64), R"("AACAPwAAIMDNzMw9")");
  EXPECT_EQ(EmbeddingJson(std::span(three).first(2), EmbeddingFormat::kBase64),
            R"("AACAPwAAIMA=")");
  EXPECT_EQ(EmbeddingJson(std::span(three).first(1), EmbeddingFormat::kBase64), R"("AACAPw==")");
}

TEST(Embedding, TheBodyIsOpenAIs) {
  const std::vector<std::string> vectors{"[0.5,1]", "[2]"};
  std::string body = EmbeddingBody("a \"model\"", vectors, 7);
  EXPECT_EQ(body,
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1]},)"
            R"({"object":"embedding","index":1,"embedding":[2]}],"model":"a \"model\"",)"
            R"("usage":{"prompt_tokens":7,"total_tokens":7}})");
  auto parsed = ParseJson(body);
  ASSERT_TRUE(parsed.has_value());
  auto read = ParseAnswerBody(*parsed);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->text, "[[0.5,1],[2]]");
  EXPECT_EQ(read->usage.prompt_tokens, 7u);
  EXPECT_EQ(read->usage.completion_tokens, 0u);
  EXPECT_EQ(read->finish_reason, "stop");
  EXPECT_EQ(read->model, "a \"model\"");
}

TEST(Embedding, OneVectorStandsForItself) {
  std::string body = EmbeddingBody("m", std::vector<std::string>{R"("AACAPw==")"}, 1);
  EXPECT_EQ(ParseAnswerBody(*ParseJson(body))->text, R"("AACAPw==")");
}

TEST(Embedding, AnswersOfOtherEndpointsAreReadAsBefore) {
  std::string chat = R"({"choices":[{"message":{"content":"hi"},"finish_reason":"length"}]})";
  EXPECT_EQ(ParseAnswerBody(*ParseJson(chat))->text, "hi");
  std::string neither = R"({"object":"list"})";
  EXPECT_FALSE(ParseAnswerBody(*ParseJson(neither)).has_value());
}

TEST(Embedding, ALineOfABatchMayEmbed) {
  std::string text = BatchInputLine("a", Endpoint::kEmbeddings, R"({"model":"m","input":"x"})");
  EXPECT_THAT(text, HasSubstr(R"("url":"/v1/embeddings")"));
  auto line = ParseBatchLine(text, {});
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(line->endpoint, Endpoint::kEmbeddings);
  auto missing = ParseBatchLine(BatchInputLine("a", Endpoint::kEmbeddings, R"({"model":"m"})"), {});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().param, "body.input");
  EXPECT_EQ(missing.error().message, "Input parameter is required.");
}

TEST(Embedding, AnOutputLineIsRead) {
  std::string body = EmbeddingBody("m", std::vector<std::string>{"[1,2]"}, 3);
  auto output = ParseBatchOutput(BatchResponseLine("i", "a", 200, "r", body));
  ASSERT_TRUE(output.has_value()) << output.error().message();
  EXPECT_TRUE(output->succeeded());
  EXPECT_EQ(output->completion.text, "[1,2]");
  EXPECT_EQ(output->completion.usage.prompt_tokens, 3u);
}

TEST(Embedding, AnOnlineRequestIsNeverStreamed) {
  auto head = ReadOnlineHead(R"({"model":"m","input":"x","stream":true,"user":"u"})",
                             Endpoint::kEmbeddings);
  ASSERT_TRUE(head.has_value());
  EXPECT_FALSE(head->stream);
  EXPECT_THAT(head->ignored, ElementsAre("user"));
}

TEST(Embedding, TheEstimateCountsInputsAndNoOutput) {
  auto survey = [](std::string_view body) { return SurveyPrompt(*ParseJson(body)); };
  EXPECT_EQ(survey(R"({"input":"twelve bytes"})").tokens, 3u);
  EXPECT_EQ(survey(R"({"input":["twelve bytes","more"]})").tokens, 4u);
  EXPECT_EQ(survey(R"({"input":[1,2,3]})").tokens, 3u);
  EXPECT_EQ(survey(R"({"input":[[1,2],[3]]})").tokens, 3u);
  EXPECT_EQ(survey(R"({"input":"x"})").output_limit, 0);
  // A chat may have any field beside its messages.
  EXPECT_EQ(survey(R"({"messages":[],"input":"twelve bytes"})").tokens, 0u);
  EXPECT_FALSE(survey(R"({"messages":[],"input":"x"})").output_limit.has_value());
}

}  // namespace
}  // namespace inferq::wire
