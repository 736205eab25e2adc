#include "engine/llama/draw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

namespace inferq::engine::llama {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> RandomLogits(size_t size, double spread, uint64_t seed) {
  base::Rng rng(seed);
  std::vector<float> logits(size);
  for (float& logit : logits) {
    double sum = 0;
    for (int i = 0; i < 6; ++i) sum += rng.Uniform() - 0.5;  // nearly normal
    logit = static_cast<float>(sum * spread);
  }
  return logits;
}

// What the rules leave, written down as llama.cpp does it: sort everything, then cut.
std::vector<size_t> PlainCut(const std::vector<float>& logits, const DrawRules& rules) {
  std::vector<size_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), size_t{0});
  std::ranges::sort(ids, [&](size_t a, size_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  const double greatest = double{logits[ids[0]]};
  const auto weight = [&](size_t id) { return std::exp(double{logits[id]} - greatest); };
  if (rules.top_k > 0) ids.resize(std::min<size_t>(ids.size(), rules.top_k));
  double total = 0;
  for (size_t id : ids) total += weight(id);
  double mass = 0;
  for (size_t i = 0; i < ids.size() && rules.top_p < 1; ++i) {
    mass += weight(ids[i]);
    if (mass >= rules.top_p * total) ids.resize(i + 1);
  }
  if (rules.min_p > 0) std::erase_if(ids, [&](size_t id) { return weight(id) < rules.min_p; });
  return ids;
}

void ExpectTheRightTokens(const std::vector<float>& logits, DrawRules rules, int draws) {
  const std::vector<size_t> left = PlainCut(logits, rules);
  const double greatest = double{*std::ranges::max_element(logits)};
  std::map<size_t, double> probability;
  double total = 0;
  for (size_t id : left) {
    total += probability[id] = std::exp((double{logits[id]} - greatest) / rules.temperature);
  }
  base::Rng rng(5);
  DrawScratch scratch;
  std::map<size_t, int> drawn;
  for (int i = 0; i < draws; ++i) ++drawn[Draw(logits, rules, rng, scratch)];
  for (const auto& [id, count] : drawn) {
    EXPECT_TRUE(probability.contains(id)) << id << " is not among the " << left.size();
    const double expected = probability[id] / total * draws;
    EXPECT_NEAR(count, expected, 5 * std::sqrt(expected) + 5) << id;
  }
  for (const auto& [id, weight] : probability) {
    if (weight / total * draws > 30) EXPECT_TRUE(drawn.contains(id)) << id << " never comes";
  }
}

TEST(ArgMax, FindsTheFirstOfTheGreatestAtAnyLength) {
  base::Rng rng(1);
  for (size_t size = 1; size < 200; ++size) {
    std::vector<float> values(size);
    for (float& value : values) value = static_cast<float>(rng.Below(50)) - 80;
    const auto expected = static_cast<size_t>(std::ranges::max_element(values) - values.begin());
    EXPECT_EQ(ArgMax(values), expected) << size;
  }
}

TEST(ArgMax, IsDefinedForOddInput) {
  EXPECT_EQ(ArgMax({}), 0u);
  EXPECT_EQ(ArgMax(std::vector<float>(40, NAN)), 0u);
  EXPECT_EQ(ArgMax(std::vector<float>(40, -kInfinity)), 0u);
  std::vector<float> values(100, -kInfinity);
  values[70] = kInfinity;
  EXPECT_EQ(ArgMax(values), 70u);
}

TEST(Draw, FollowsTheProbabilities) {
  for (size_t size : {1u, 3u, 64u, 65u, 1000u}) {
    for (double temperature : {0.2, 1.0, 1.7}) {
      ExpectTheRightTokens(RandomLogits(size, 3, size), {.temperature = temperature}, 4000);
    }
  }
}

TEST(Draw, LeavesWhatTheRulesLeave) {
  for (double spread : {0.0, 0.5, 4.0, 20.0}) {
    const std::vector<float> logits = RandomLogits(3000, spread, 7);
    for (const DrawRules& rules :
         {DrawRules{.top_k = 5}, DrawRules{.top_k = 100}, DrawRules{.top_k = 2999},
          DrawRules{.top_p = 0.1}, DrawRules{.top_p = 0.9}, DrawRules{.top_p = 0.9999},
          DrawRules{.min_p = 0.05}, DrawRules{.min_p = 0.9},
          DrawRules{.top_k = 40, .top_p = 0.8, .min_p = 0.1, .temperature = 0.6},
          DrawRules{.top_p = 0.7, .min_p = 0.01, .temperature = 2}}) {
      ExpectTheRightTokens(logits, rules, 3000);
    }
  }
}

TEST(Draw, EqualTokensAreCutByTheirNumber) {
  const std::vector<float> logits(200, 1.0F);
  base::Rng rng(1);
  DrawScratch scratch;
  std::set<size_t> drawn;
  for (int i = 0; i < 2000; ++i) drawn.insert(Draw(logits, {.top_k = 7}, rng, scratch));
  EXPECT_EQ(drawn, (std::set<size_t>{0, 1, 2, 3, 4, 5, 6}));
}

TEST(Draw, NeverTakesTheImpossible) {
  std::vector<float> logits(150, -kInfinity);
  logits[17] = -3;
  logits[149] = -4;
  base::Rng rng(2);
  DrawScratch scratch;
  for (const DrawRules& rules : {DrawRules{}, DrawRules{.top_k = 100}, DrawRules{.top_p = 0.999},
                                 DrawRules{.min_p = 0.01}, DrawRules{.temperature = 100}}) {
    std::set<size_t> drawn;
    for (int i = 0; i < 300; ++i) drawn.insert(Draw(logits, rules, rng, scratch));
    EXPECT_EQ(drawn, (std::set<size_t>{17, 149}));
  }
}

TEST(Draw, IsDefinedForOddInput) {
  base::Rng rng(3);
  DrawScratch scratch;
  for (const DrawRules& rules :
       {DrawRules{}, DrawRules{.top_k = 3}, DrawRules{.top_p = 0.5}, DrawRules{.min_p = 0.5}}) {
    EXPECT_EQ(Draw(std::vector<float>(100, NAN), rules, rng, scratch), 0u);
    EXPECT_EQ(Draw(std::vector<float>(100, -kInfinity), rules, rng, scratch), 0u);
    std::vector<float> logits(100, NAN);
    logits[60] = 1;
    EXPECT_EQ(Draw(logits, rules, rng, scratch), 60u);
    logits[61] = kInfinity;
    EXPECT_EQ(Draw(logits, rules, rng, scratch), 61u);
  }
}

TEST(TopK, AreTheGreatestInOrder) {
  DrawScratch scratch;
  for (size_t size : {1u, 50u, 5000u}) {
    const std::vector<float> logits = RandomLogits(size, 3, size);
    for (size_t k : {size_t{1}, size_t{20}, size}) {
      const auto found = TopK(logits, k, scratch);
      const std::vector<size_t> expected = PlainCut(logits, {.top_k = static_cast<uint32_t>(k)});
      EXPECT_EQ(std::vector<size_t>(found.begin(), found.end()), expected);
    }
  }
  EXPECT_TRUE(TopK(std::vector<float>(5), 0, scratch).empty());
}

TEST(LogSumExp, IsExactEnough) {
  DrawScratch scratch;
  for (double spread : {0.0, 1.0, 30.0}) {
    const std::vector<float> logits = RandomLogits(5000, spread, 3);
    double sum = 0;
    for (float logit : logits) sum += std::exp(double{logit});
    EXPECT_NEAR(LogSumExp(logits, scratch), std::log(sum), 1e-6);
  }
  EXPECT_EQ(LogSumExp(std::vector<float>(3, -kInfinity), scratch), double{-kInfinity});
}

}  // namespace
}  // namespace inferq::engine::llama
