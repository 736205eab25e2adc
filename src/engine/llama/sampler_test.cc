#include "engine/llama/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace inferq::engine::llama {
namespace {

using testing::Each;

std::vector<llama_token> Draw(const SamplingParams& params, const std::vector<float>& logits,
                              int count, std::vector<llama_token> prompt = {}) {
  Sampler sampler(params);
  sampler.AcceptPrompt(prompt);
  Sampler::Candidates scratch;
  std::vector<llama_token> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(sampler.Sample(logits, scratch));
  return tokens;
}

TEST(Sampler, TemperatureZeroIsGreedyAndSoAreItsRelatives) {
  const std::vector<float> logits{0.1f, 3.0f, 2.9f, -1.0f};
  EXPECT_THAT(Draw({.temperature = 0}, logits, 20), Each(1));
  EXPECT_THAT(Draw({.top_p = 0}, logits, 20), Each(1));
  EXPECT_THAT(Draw({.top_k = 1}, logits, 20), Each(1));
}

TEST(Sampler, TheSeedDecides) {
  const std::vector<float> logits(100, 0.0f);
  const SamplingParams params{.seed = 7};
  EXPECT_EQ(Draw(params, logits, 50), Draw(params, logits, 50));
  EXPECT_NE(Draw(params, logits, 50), Draw({.seed = 8}, logits, 50));
  EXPECT_NE(Draw(params, logits, 50), Draw({.seed = 7 + (uint64_t{1} << 32)}, logits, 50));
  EXPECT_NE(Draw({}, logits, 50), Draw({}, logits, 50));  // 10^-100 to be equal
  EXPECT_EQ(Draw({.seed = 0xFFFFFFFF}, logits, 50), Draw({.seed = 0xFFFFFFFF}, logits, 50));
}

TEST(Sampler, TruncationLeavesOnlyTheProbable) {
  const std::vector<float> logits{5.0f, 4.9f, 4.8f, 0.0f, -1.0f};
  const auto drawn = [&](SamplingParams params) {
    params.seed = 3;
    const auto tokens = Draw(params, logits, 300);
    return std::set<llama_token>(tokens.begin(), tokens.end());
  };
  EXPECT_EQ(drawn({.top_k = 2}), (std::set<llama_token>{0, 1}));
  EXPECT_EQ(drawn({.top_p = 0.5}), (std::set<llama_token>{0, 1}));
  EXPECT_EQ(drawn({.min_p = 0.5}), (std::set<llama_token>{0, 1, 2}));
  EXPECT_EQ(drawn({.temperature = 100}).size(), 5u);
}

TEST(Sampler, DrawsAsOftenAsTheProbabilitySays) {
  const std::vector<float> logits{std::log(0.7f), std::log(0.2f), std::log(0.1f)};
  const auto tokens = Draw({.seed = 11}, logits, 4000);
  EXPECT_NEAR(static_cast<double>(std::ranges::count(tokens, 0)) / 4000, 0.7, 0.04);
  EXPECT_NEAR(static_cast<double>(std::ranges::count(tokens, 2)) / 4000, 0.1, 0.03);
}

TEST(Sampler, PenaltiesCountTheRightTokens) {
  const std::vector<float> logits{1.0f, 0.9f, 0.8f};
  const SamplingParams repeat{.temperature = 0, .repeat_penalty = 2.0};
  EXPECT_EQ(Draw(repeat, logits, 3), (std::vector<llama_token>{0, 1, 2}));
  EXPECT_EQ(Draw(repeat, logits, 1, {0}), (std::vector<llama_token>{1})) << "the prompt counts";
  const SamplingParams presence{.temperature = 0, .presence_penalty = 1.0};
  EXPECT_EQ(Draw(presence, logits, 3), (std::vector<llama_token>{0, 1, 2}));
  EXPECT_EQ(Draw(presence, logits, 1, {0}), (std::vector<llama_token>{0}))
      << "only the output counts";
  const SamplingParams frequency{.temperature = 0, .frequency_penalty = 0.06};
  EXPECT_EQ(Draw(frequency, logits, 5), (std::vector<llama_token>{0, 0, 1, 0, 1}));
}

}  // namespace
}  // namespace inferq::engine::llama
