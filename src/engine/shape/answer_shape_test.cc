#include "engine/shape/answer_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::engine {
namespace {

using testing::ElementsAre;

const std::vector<std::string> kSuffixes = {"</answer>"};

std::string Stops(const std::string& body) {
  auto json = wire::ParseJson(body);
  return json ? WithStops(*json, {"</a>", "END"}) : "not JSON";
}

TEST(WithStops, AddsToWhatThereIs) {
  EXPECT_EQ(Stops(R"({"a": 1})"), R"({"a": 1,"stop":["</a>","END"]})");
  EXPECT_EQ(Stops(R"({"stop":null,"b":2})"), R"({"stop":["</a>","END"],"b":2})");
  EXPECT_EQ(Stops(R"({"stop":"\u0078"})"), R"({"stop":["\u0078","</a>","END"]})");
  EXPECT_EQ(Stops(R"({"stop":["END","y"]})"), R"({"stop":["END","y","</a>"]})");
  EXPECT_EQ(Stops(R"({"stop":7})"), R"({"stop":7})");
}

Delta Chunks(std::vector<std::string> chunks, bool last = false) {
  Delta delta;
  delta.raw_chunks = std::move(chunks);
  if (last) delta.finish_reason = FinishReason::kStop;
  return delta;
}

std::string Chat(std::string_view delta, std::string_view reason = "null", int index = 0) {
  return fmt::format(R"({{"x":1.50,"choices":[{{"index":{},"delta":{},"finish_reason":{}}}]}})",
                     index, delta, reason);
}

TEST(AnswerTrimmer, CutsABodyOfChoices) {
  AnswerTrimmer trimmer(Endpoint::kChatCompletions, kSuffixes);
  Delta delta;
  delta.text = "a</answer>";
  delta.raw_response =
      R"({"choices":[{"message":{"content":"a</answer>"}},{"message":{"content":null}},)"
      R"( {"message":{"content":"\u0061</answer>b"}}],"own":1e400})";
  delta.finish_reason = FinishReason::kStop;
  trimmer.Trim(delta);
  EXPECT_EQ(delta.text, "a");
  EXPECT_EQ(delta.raw_response,
            R"({"choices":[{"message":{"content":"a"}},{"message":{"content":null}},)"
            R"( {"message":{"content":"\u0061</answer>b"}}],"own":1e400})");
}

TEST(AnswerTrimmer, CutsOwnTextOverPieces) {
  AnswerTrimmer trimmer(Endpoint::kChatCompletions, kSuffixes);
  Delta first{.text = "a</ans", .finish_reason = {}, .usage = {}};
  trimmer.Trim(first);
  EXPECT_EQ(first.text, "a");
  Delta last{.text = "wer", .finish_reason = FinishReason::kLength, .usage = {}};
  trimmer.Trim(last);
  EXPECT_EQ(last.text, "</answer");  // not one in the end
}

TEST(AnswerTrimmer, CutsChunksByChoice) {
  AnswerTrimmer trimmer(Endpoint::kChatCompletions, kSuffixes);
  Delta first = Chunks({Chat(R"({"role":"assistant","content":""})"), Chat(R"({"content":"a</"})"),
                        Chat(R"({"content":"b</answ"})", "null", 1)});
  trimmer.Trim(first);
  EXPECT_THAT(first.raw_chunks,
              ElementsAre(Chat(R"({"role":"assistant","content":""})"), Chat(R"({"content":"a"})"),
                          Chat(R"({"content":"b"})", "null", 1)));
  Delta last = Chunks(
      {Chat(R"({"content":"answer>"})"), Chat("{}", R"("stop")"), Chat("{}", R"("length")", 1)},
      true);
  trimmer.Trim(last);
  EXPECT_THAT(last.raw_chunks, ElementsAre(Chat(R"({"content":""})"), Chat("{}", R"("stop")"),
                                           Chat(R"({"content":"</answ"})", R"("length")", 1)));
}

TEST(AnswerTrimmer, SaysWhatItHeldWhereNoChunkEndsTheChoice) {
  AnswerTrimmer trimmer(Endpoint::kChatCompletions, kSuffixes);
  Delta first = Chunks({Chat(R"({"content":"a<"})")});
  trimmer.Trim(first);
  Delta last = Chunks({}, true);
  trimmer.Trim(last);
  EXPECT_THAT(
      last.raw_chunks,
      ElementsAre(R"({"choices":[{"index":0,"delta":{"content":"<"},"finish_reason":null}]})"));
  EXPECT_EQ(last.text, "");
}

TEST(AnswerTrimmer, CutsTextCompletions) {
  AnswerTrimmer trimmer(Endpoint::kCompletions, kSuffixes);
  Delta delta = Chunks({R"({"choices":[{"text":"a</answer>","finish_reason":"stop"}]})"}, true);
  trimmer.Trim(delta);
  EXPECT_THAT(delta.raw_chunks,
              ElementsAre(R"({"choices":[{"text":"a","finish_reason":"stop"}]})"));
}

}  // namespace
}  // namespace inferq::engine
