#include "wire/locality.h"

#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

JsonValue Parsed(const std::string& text) {
  auto value = ParseJson(text);
  EXPECT_TRUE(value) << text;
  return *value;
}

std::string Chat(const std::string& system, const std::string& user) {
  return fmt::format(
      R"({{"temperature":0.5,"messages":[{{"role":"system","content":{}}},{{"content":{},"role":"user"}}]}})",
      JsonString(system), JsonString(user));
}

model::LocalityKey KeyOf(const std::string& text) { return SurveyPrompt(Parsed(text)).locality; }

TEST(Locality, ASharedPrefixSharesTheKeysUpToItsLength) {
  std::string shared(1100, 's');
  auto a = KeyOf(Chat(shared, std::string(5000, 'a')));
  auto b = KeyOf(Chat(shared, std::string(5000, 'b')));
  EXPECT_NE(a[0], 0u);
  EXPECT_EQ(a[0], b[0]);
  EXPECT_EQ(a[1], b[1]);
  EXPECT_NE(a[2], 0u);
  EXPECT_NE(a[2], b[2]);
  EXPECT_EQ(a[3], 0u);
}

TEST(Locality, AnEarlyDifferenceChangesEveryLaterKey) {
  std::string tail(20000, 't');
  auto a = KeyOf(Chat("a" + tail, ""));
  auto b = KeyOf(Chat("b" + tail, ""));
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NE(a[i], b[i]) << i;
}

TEST(Locality, ShortRequestsHaveNone) { EXPECT_EQ(KeyOf(Chat("hi", "you")), model::LocalityKey{}); }

TEST(Locality, SpellingAndOtherFieldsDoNotMatter) {
  std::string text(300, 'x');
  std::string raw = R"({"messages":[{"role":"user","content":"é)" + text + R"("}],"seed":1})";
  std::string escaped = R"({ "messages" : [{"content":[{"type":"text","text":"\u00e9)" + text +
                        R"("}],"role":"user"}]})";
  EXPECT_EQ(KeyOf(raw), KeyOf(escaped));
  EXPECT_NE(KeyOf(raw)[0], 0u);
}

TEST(Locality, PromptsAndOddBodiesWork) {
  EXPECT_NE(KeyOf(R"({"prompt":")" + std::string(256, 'p') + "\"}")[0], 0u);
  for (const char* odd :
       {"1", "[]", R"({"messages":3})", R"({"messages":[1,{"content":{}},{"role":2}]})",
        R"({"prompt":[[1,2],[3]]})"}) {
    EXPECT_EQ(KeyOf(odd), model::LocalityKey{}) << odd;
  }
}

TEST(Tokens, EstimatesFollowLengthAndScript) {
  EXPECT_EQ(EstimateTextTokens(""), 0u);
  EXPECT_EQ(EstimateTextTokens("abcdefgh"), 2u);
  EXPECT_EQ(EstimateTextTokens("中文汉字你好"), 4u);
  EXPECT_EQ(EstimateTextTokens("ひらがな한국"), 4u);
  EXPECT_EQ(EstimateTextTokens("𠀀𠀁𠀂"), 2u);
  EXPECT_EQ(EstimateTextTokens("ab中文汉"), 3u);
}

// The fast way over ASCII must meet every character behind it, wherever that stands.
TEST(Tokens, CountsDoNotDependOnWhereCharactersStand) {
  for (size_t before = 0; before < 20; ++before) {
    for (size_t after = 0; after < 20; ++after) {
      std::string text = std::string(before, 'a') + "中文汉" + std::string(after, 'b');
      EXPECT_EQ(EstimateTextTokens(text), 2 + (before + after + 3) / 4) << before << " " << after;
    }
  }
}

TEST(Tokens, OneLookFindsTokensLimitAndPrefix) {
  std::string text(300, 'x');
  std::string body = R"({"max_tokens":7,"messages":[{"role":"user","content":")" + text +
                     R"("}],"max_completion_tokens":null})";
  PromptSurvey survey = SurveyPrompt(Parsed(body));
  EXPECT_EQ(survey.tokens, 75u + 3u);
  EXPECT_EQ(survey.output_limit, 7);
  EXPECT_NE(survey.locality[0], 0u);
  EXPECT_EQ(SurveyPrompt(Parsed(R"({"max_tokens":7,"max_completion_tokens":9})")).output_limit, 9);
  EXPECT_EQ(SurveyPrompt(Parsed(R"({"max_tokens":"7"})")).output_limit, std::nullopt);
  EXPECT_EQ(survey.inputs, 0u) << "nothing to embed";
}

TEST(PromptSurvey, InputsAreTextsAndTokenArrays) {
  const std::pair<const char*, uint64_t> kCases[] = {
      {R"("a")", 1}, {"[1,2]", 1}, {R"(["a","b"])", 2}, {"[[1,2],[3],[4]]", 3}, {"[]", 0}};
  for (auto [input, count] : kCases) {
    std::string body = fmt::format(R"({{"input":{}}})", input);
    EXPECT_EQ(SurveyPrompt(Parsed(body)).inputs, count) << input;
  }
}

TEST(Tokens, OfAResponseAreThoseOfItsConversation) {
  const std::string text(300, 'x');
  PromptSurvey survey = SurveyPrompt(Parsed(fmt::format(
      R"({{"instructions":"{0}","input":[{{"role":"user","content":[{{"type":"input_text","text":"{0}"}}]}}],)"
      R"("max_output_tokens":7}})",
      text)));
  EXPECT_EQ(survey.tokens, 75u + 75u + 3u);
  EXPECT_EQ(survey.output_limit, 7);
  EXPECT_NE(survey.locality[0], 0u);
  EXPECT_EQ(SurveyPrompt(Parsed(R"({"input":"x","max_output_tokens":9})")).output_limit, 9);
  EXPECT_EQ(SurveyPrompt(Parsed(R"({"input":["x"]})")).output_limit, 0);  // an embedding
}

TEST(Tokens, AnImageCountsAsOneAndNotByItsBytes) {
  std::string image = R"({"type":"image_url","image_url":{"url":"data:image/png;base64,)" +
                      std::string(100000, 'A') + "\"}}";
  std::string body = R"({"messages":[{"role":"user","content":[)" + image +
                     R"(,{"type":"text","text":"look"}]}]})";
  auto tokens = EstimatePromptTokens(Parsed(body));
  EXPECT_GE(tokens, kImageTokens);
  EXPECT_LT(tokens, kImageTokens + 20);
}

TEST(ContentHash, IsOfTheValueAndNotOfItsSpelling) {
  auto hash = [](const std::string& text) { return ContentHash(Parsed(text)); };
  EXPECT_EQ(hash(R"({"a":1.0,"b":["\u00e9",null]})"), hash(R"({ "b":["é" , null],"a":1 })"));
  EXPECT_NE(hash(R"({"a":1})"), hash(R"({"a":2})"));
  EXPECT_NE(hash(R"({"a":1})"), hash(R"({"a":"1"})"));
  EXPECT_NE(hash("[1,2]"), hash("[2,1]"));
  EXPECT_NE(hash("[[1],2]"), hash("[1,[2]]"));
  EXPECT_NE(hash("[]"), hash("{}"));
  EXPECT_NE(hash("null"), hash("\"null\""));
  EXPECT_NE(hash("true"), hash("false"));
  EXPECT_NE(hash("123456789012345678901234567890e400"), hash("1e500"));
}

}  // namespace
}  // namespace inferq::wire
