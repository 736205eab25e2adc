#include "service/batch_estimate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "base/rng.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Micros;
using base::SteadyTime;

constexpr SteadyTime kBegin{1000s};

double Seconds(Micros time) { return std::chrono::duration<double>(time).count(); }
SteadyTime At(double seconds) { return kBegin + Micros(static_cast<int64_t>(seconds * 1e6)); }

TEST(BatchEstimate, NothingIsKnownAtFirst) {
  BatchProgress progress(100, 1000);
  EXPECT_FALSE(progress.Estimate(kBegin));
  progress.Observe(kBegin, 0);
  EXPECT_FALSE(progress.Estimate(At(10))) << "no line has ended";
  progress.Succeeded(10, 1s);
  progress.Observe(At(11), 1);
  EXPECT_FALSE(progress.Estimate(At(12))) << "one line says little";
}

// One line of `cost` each second, from the beginning on.
BatchProgress Steady(uint64_t lines, uint64_t total_cost, uint64_t ended, uint64_t cost) {
  BatchProgress progress(lines, total_cost);
  progress.Observe(kBegin, 0);
  for (uint64_t i = 1; i <= ended; ++i) {
    progress.Succeeded(cost, 1s);
    progress.Observe(At(static_cast<double>(i) - 0.5), i);
  }
  return progress;
}

TEST(BatchEstimate, ASteadyRateIsExtrapolated) {
  auto left = Steady(100, 1000, 40, 10).Estimate(At(40));
  ASSERT_TRUE(left);
  EXPECT_NEAR(Seconds(left->p50), 60, 1);
  EXPECT_GT(left->p90, left->p50);
  EXPECT_LT(Seconds(left->p90), 90);
  EXPECT_NEAR(left->tokens_per_second, 10, 0.1);
  EXPECT_GE(left->lines, 16u);
  EXPECT_EQ(left->window, 24s) << "as long as it takes for enough lines";
}

TEST(BatchEstimate, WorkIsMeasuredInCostNotInLines) {
  // 40 short lines of 1 have ended; the other 60 have 99 each.
  auto left = Steady(100, 40 + 60 * 99, 40, 1).Estimate(At(40));
  ASSERT_TRUE(left);
  EXPECT_NEAR(Seconds(left->p50), 60 * 99, 60);
}

TEST(BatchEstimate, LinesThatFailAreDoneToo) {
  BatchProgress progress(100, 1000);
  progress.Observe(kBegin, 0);
  for (uint64_t i = 1; i <= 40; ++i) progress.Observe(At(static_cast<double>(i) - 0.5), i);
  auto left = progress.Estimate(At(40));
  ASSERT_TRUE(left);
  EXPECT_NEAR(Seconds(left->p50), 60, 1);
}

TEST(BatchEstimate, ItFollowsARateThatChanges) {
  BatchProgress progress(10'000, 10'000);
  progress.Observe(kBegin, 0);
  uint64_t ended = 0;
  auto run = [&](int from, int to, uint64_t lines_per_second) {
    for (int second = from; second < to; ++second) {
      for (uint64_t i = 0; i < lines_per_second; ++i) progress.Succeeded(1, 1s);
      ended += lines_per_second;
      progress.Observe(At(second + 0.5), ended);
    }
  };
  run(0, 60, 20);
  run(60, 120, 5);  // others have come
  auto left = progress.Estimate(At(120));
  ASSERT_TRUE(left);
  EXPECT_NEAR(Seconds(left->p50), static_cast<double>(10'000 - ended) / 5, 50);
}

TEST(BatchEstimate, ARestartForgetsTheRateNotTheWork) {
  BatchProgress progress = Steady(100, 1000, 40, 10);
  progress.Restart();
  EXPECT_FALSE(progress.Estimate(At(5000)));
  progress.Observe(At(5000), 40);
  for (uint64_t i = 1; i <= 20; ++i) {
    progress.Succeeded(10, 1s);
    progress.Observe(At(5000 + static_cast<double>(i) - 0.5), 40 + i);
  }
  auto left = progress.Estimate(At(5020));
  ASSERT_TRUE(left);
  EXPECT_NEAR(Seconds(left->p50), 40, 1);
}

TEST(BatchEstimate, SilenceMakesItLonger) {
  BatchProgress progress = Steady(100, 1000, 40, 10);
  auto before = progress.Estimate(At(40));
  auto after = progress.Estimate(At(80));
  ASSERT_TRUE(before && after);
  EXPECT_GT(after->p50, before->p50);
  EXPECT_FALSE(Steady(100, 1000, 40, 10).Estimate(kBegin - 1s));
}

// A batch on a machine with some slots, whose lines take what they cost, more or less, while other
// work comes and goes beside it.
struct World {
  uint64_t lines = 2000;
  size_t slots = 8;
  double spread = 0.5;  ///< Of the lines' costs.
  double noise = 0.4;   ///< Of what a line really takes, compared with its cost.
  double drift = 0;     ///< Of the machine's speed, in a minute.
};

struct Coverage {
  int asked = 0;
  int known = 0;
  int within_p50 = 0;
  int within_p90 = 0;
  double Of(int within) const { return static_cast<double>(within) / known; }
};

double Normal(base::Rng& rng) {
  double u = std::max(rng.Uniform(), 1e-12);
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * rng.Uniform());
}

void Simulate(const World& world, uint64_t seed, Coverage& coverage) {
  base::Rng rng(seed);
  std::vector<uint64_t> costs;
  uint64_t total = 0;
  for (uint64_t i = 0; i < world.lines; ++i) {
    costs.push_back(1 + static_cast<uint64_t>(200 * std::exp(world.spread * Normal(rng))));
    total += costs.back();
  }
  BatchProgress progress(world.lines, total);
  progress.Observe(kBegin, 0);
  struct Running {
    uint64_t cost;
    double since;
  };
  std::multimap<double, Running> running;  // by their end
  std::vector<std::pair<double, std::optional<TimeLeft>>> said;
  double now = 0, speed = 50, moved = 0;
  uint64_t next = 0, ended = 0;
  auto start = [&] {
    double took = static_cast<double>(costs[next]) * std::exp(world.noise * Normal(rng)) / speed;
    running.insert({now + took, {costs[next++], now}});
  };
  while (next < std::min<uint64_t>(world.slots, world.lines)) start();
  while (!running.empty()) {
    auto first = running.begin();
    now = first->first;
    Running line = first->second;
    running.erase(first);
    speed *=
        std::exp(world.drift * Normal(rng) * std::sqrt((now - std::exchange(moved, now)) / 60));
    progress.Succeeded(line.cost, Micros(static_cast<int64_t>((now - line.since) * 1e6)));
    progress.Observe(At(now), ++ended);
    if (next < world.lines) start();
    if (ended % 50 == 0 && ended < world.lines) said.push_back({now, progress.Estimate(At(now))});
  }
  for (auto& [when, left] : said) {
    ++coverage.asked;
    if (!left) continue;
    ++coverage.known;
    coverage.within_p50 += now - when <= Seconds(left->p50);
    coverage.within_p90 += now - when <= Seconds(left->p90);
  }
}

Coverage CoverageIn(const World& world) {
  Coverage coverage;
  for (uint64_t seed = 1; seed <= 40; ++seed) Simulate(world, seed, coverage);
  return coverage;
}

TEST(BatchEstimate, ItIsCalibrated) {
  const std::map<std::string, World> worlds = {
      {"steady", {}},
      {"lines differ much", {.spread = 1.2}},
      {"estimates are poor", {.noise = 1.0}},
      {"few slots", {.lines = 300, .slots = 2}},
      {"many slots", {.lines = 4000, .slots = 64}},
      {"others come and go", {.drift = 0.1}},
  };
  Coverage all;
  for (const auto& [name, world] : worlds) {
    Coverage one = CoverageIn(world);
    std::printf("%-20s known %.2f  p50 covers %.2f  p90 covers %.2f\n", name.c_str(),
                static_cast<double>(one.known) / one.asked, one.Of(one.within_p50),
                one.Of(one.within_p90));
    EXPECT_GT(one.Of(one.within_p90), 0.85) << name;
    EXPECT_GT(one.Of(one.within_p50), 0.35) << name;
    EXPECT_LT(one.Of(one.within_p50), 0.75) << name;
    all.known += one.known;
    all.within_p90 += one.within_p90;
  }
  EXPECT_LT(all.Of(all.within_p90), 0.99) << "too careful to be of use";
}

}  // namespace
}  // namespace inferq::service
