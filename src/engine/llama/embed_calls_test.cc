#include "engine/llama/embed_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::engine::llama {
namespace {

using namespace std::chrono_literals;
using base::SteadyTime;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kWindow = 10ms;

SteadyTime At(base::Micros offset) { return SteadyTime(base::Micros(1'000'000)) + offset; }

wire::EmbeddingRequest Texts(size_t count, std::string text = "text") {
  wire::EmbeddingRequest request;
  request.inputs.assign(count, text);
  return request;
}

std::vector<uint64_t> IdsOf(const std::optional<Embed>& batch) {
  std::vector<uint64_t> ids;
  if (batch)
    for (const EmbedInput& input : batch->inputs) ids.push_back(input.id);
  return ids;
}

// What a child would say: the vector of an input is its id and index.
Embedded AnswerTo(const Embed& batch) {
  Embedded answer{.batch = batch.batch, .results = {}, .last = true};
  for (const EmbedInput& input : batch.inputs) {
    answer.results.push_back(
        {.id = input.id,
         .index = input.index,
         .tokens = 2,
         .vector = {static_cast<float>(input.id), static_cast<float>(input.index)},
         .error = {}});
  }
  return answer;
}

TEST(EmbedCalls, CallsWithinTheWindowShareAMicroBatch) {
  EmbedCalls calls({.window = kWindow});
  for (uint64_t id = 1; id <= 8; ++id) {
    calls.Add(id, "m", Texts(1), At(id * 1ms));
    EXPECT_EQ(calls.Next(At(id * 1ms)), std::nullopt);
  }
  EXPECT_EQ(calls.NextDeadline(At(9ms)), At(11ms));  // the first one's
  EXPECT_EQ(calls.Next(At(10ms)), std::nullopt);
  auto batch = calls.Next(At(11ms));
  EXPECT_THAT(IdsOf(batch), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_EQ(calls.counts(), (EmbedCounts{.batches = 1, .inputs = 8}));
  auto ended = calls.OnEmbedded(AnswerTo(*batch));
  ASSERT_THAT(ended, SizeIs(8));
  for (uint64_t id = 1; id <= 8; ++id) {
    ASSERT_TRUE(ended[id - 1].answer.has_value());
    EXPECT_EQ(ended[id - 1].id, id);
    EXPECT_THAT(ended[id - 1].answer->raw_response, HasSubstr(fmt::format("[{},0]", id)));
    EXPECT_EQ(ended[id - 1].answer->usage.prompt_tokens, 2u);
  }
}

TEST(EmbedCalls, WithoutAWindowEachGoesAlone) {
  EmbedCalls calls({.window = 0ms});
  for (uint64_t id = 1; id <= 8; ++id) calls.Add(id, "m", Texts(2), At(0ms));
  for (uint64_t id = 1; id <= 8; ++id) {
    auto batch = calls.Next(At(0ms));
    ASSERT_THAT(IdsOf(batch), ElementsAre(id, id));
    EXPECT_EQ(calls.Next(At(0ms)), std::nullopt);  // one at a time
    EXPECT_THAT(calls.OnEmbedded(AnswerTo(*batch)), SizeIs(1));
  }
  EXPECT_EQ(calls.counts().batches, 8u);
}

TEST(EmbedCalls, TheNextGathersWhileOneRuns) {
  EmbedCalls calls({.window = kWindow});
  calls.Add(1, "m", Texts(1), At(0ms));
  auto first = calls.Next(At(10ms));
  ASSERT_TRUE(first.has_value());
  calls.Add(2, "m", Texts(1), At(11ms));
  calls.Add(3, "m", Texts(1), At(15ms));
  EXPECT_EQ(calls.Next(At(60ms)), std::nullopt);
  (void)calls.OnEmbedded(AnswerTo(*first));
  EXPECT_THAT(IdsOf(calls.Next(At(60ms))), ElementsAre(2, 3));
}

TEST(EmbedCalls, ALargeRequestIsSplitAndComposedInOrder) {
  EmbedCalls calls({.window = kWindow, .batch_size = 3});
  calls.Add(5, "m", Texts(7), At(0ms));
  std::vector<EmbedCalls::Ended> ended;
  std::vector<size_t> sizes;
  while (auto batch = calls.Next(At(10ms))) {
    sizes.push_back(batch->inputs.size());
    Embedded answer = AnswerTo(*batch);
    std::ranges::reverse(answer.results);
    EXPECT_THAT(ended, IsEmpty());
    ended = calls.OnEmbedded(std::move(answer));
  }
  EXPECT_THAT(sizes, ElementsAre(3, 3, 1));
  ASSERT_THAT(ended, SizeIs(1));
  const Delta& answer = *ended[0].answer;
  EXPECT_EQ(answer.usage.prompt_tokens, 14u);
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
  size_t at = 0;
  for (int i = 0; i < 7; ++i) {
    at = answer.raw_response.find(fmt::format(R"("index":{0},"embedding":[5,{0}])", i), at);
    EXPECT_NE(at, std::string::npos) << answer.raw_response;
  }
}

TEST(EmbedCalls, TokensBoundAMicroBatch) {
  EmbedCalls calls({.window = kWindow, .batch_tokens = 4});
  calls.Add(1, "m", Texts(3, "twelve bytes"), At(0ms));  // 3 tokens each
  EXPECT_THAT(IdsOf(calls.Next(At(0ms))), ElementsAre(1));
}

TEST(EmbedCalls, AFailureIsOfOneRequestOnly) {
  EmbedCalls calls({.window = kWindow, .batch_size = 3});
  calls.Add(1, "m", Texts(2), At(0ms));
  calls.Add(2, "m", Texts(3), At(0ms));
  auto batch = calls.Next(At(0ms));
  ASSERT_THAT(IdsOf(batch), ElementsAre(1, 1, 2));
  Embedded answer = AnswerTo(*batch);
  answer.results[2].error = RequestError{base::Code::kInvalidArgument, "too long", "body.input[0]"};
  auto ended = calls.OnEmbedded(std::move(answer));
  ASSERT_THAT(ended, SizeIs(2));
  EXPECT_TRUE(ended[0].answer.has_value());
  ASSERT_FALSE(ended[1].answer.has_value());
  EXPECT_EQ(ended[1].answer.error().param(), "body.input[0]");
  EXPECT_EQ(calls.Next(At(20ms)), std::nullopt);  // its other inputs are not run
}

TEST(EmbedCalls, ForgottenCallsLeaveTheMicroBatch) {
  EmbedCalls calls({.window = kWindow});
  for (uint64_t id = 1; id <= 3; ++id) calls.Add(id, "m", Texts(1), At(0ms));
  calls.Forget(2);
  auto batch = calls.Next(At(10ms));
  ASSERT_THAT(IdsOf(batch), ElementsAre(1, 3));
  calls.Forget(3);
  EXPECT_THAT(calls.OnEmbedded(AnswerTo(*batch)), SizeIs(1));
  EXPECT_EQ(calls.NextDeadline(At(11ms)), std::nullopt);
}

TEST(EmbedCalls, AnInstanceIsFreeAgainAfterALoss) {
  EmbedCalls calls({.window = kWindow});
  calls.Add(1, "m", Texts(1), At(0ms));
  auto lost = calls.Next(At(10ms));
  ASSERT_TRUE(lost.has_value());
  calls.Add(2, "m", Texts(1), At(10ms));
  calls.Forget(1);
  calls.OnLost();
  auto next = calls.Next(At(20ms));
  EXPECT_THAT(IdsOf(next), ElementsAre(2));
  EXPECT_THAT(calls.OnEmbedded(AnswerTo(*lost)), IsEmpty());  // late
  EXPECT_EQ(calls.Next(At(40ms)), std::nullopt);
  EXPECT_THAT(calls.OnEmbedded(AnswerTo(*next)), SizeIs(1));
}

TEST(EmbedCalls, DimensionsAndIdsGoToTheChild) {
  EmbedCalls calls({.window = kWindow});
  wire::EmbeddingRequest request;
  request.inputs = {std::vector<int32_t>{4, 5}};
  request.dimensions = 7;
  calls.Add(1, "m", request, At(0ms));
  auto batch = calls.Next(At(10ms));
  ASSERT_THAT(IdsOf(batch), ElementsAre(1));
  EXPECT_THAT(batch->inputs[0].tokens, ElementsAre(4, 5));
  EXPECT_EQ(batch->inputs[0].dimensions, 7u);
}

}  // namespace
}  // namespace inferq::engine::llama
