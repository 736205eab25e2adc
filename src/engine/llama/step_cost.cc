#include "engine/llama/step_cost.h"

#include <algorithm>
#include <cmath>

namespace inferq::engine::llama {
namespace {

constexpr double kNewest = 0.2;         // weight of a step in the average of its shape, at least
constexpr double kHalfLife = 300;       // steps, after which an average counts half
constexpr double kRidge = 1e-6;         // keeps what was never seen at its first guess
constexpr uint64_t kFitEvery = 16;      // steps
constexpr double kOutlier = 4;          // times what was expected: somebody else had the machine
constexpr double kLongest = 0.25;       // seconds of a step with prompts in it
constexpr double kReadShareMin = 0.05;  // of a step; shorter steps would read the weights too often
constexpr double kClearly = 1.03;

// Shapes that differ by less than a fifth or so are one.
uint64_t Rough(uint64_t n) {
  return n == 0 ? 0 : 1 + static_cast<uint64_t>(std::log2(static_cast<double>(n)) * 4);
}

}  // namespace

StepCost::StepCost() : weights_{1e-2, 1e-2, 1e-1, 0} {}

// Of similar size, for the numbers' sake.
StepCost::Vector StepCost::Terms(const StepShape& shape) {
  const auto rows = static_cast<double>(shape.decode + shape.prefill);
  return {1, static_cast<double>(shape.decode) / 16, static_cast<double>(shape.prefill) / 64,
          rows * static_cast<double>(shape.cells) / 1e5};
}

StepCost::Seconds StepCost::Predict(const StepShape& shape) const {
  const Vector terms = Terms(shape);
  double sum = 0;
  for (size_t i = 0; i < kTerms; ++i) sum += terms[i] * std::max(0.0, weights_[i]);
  return Seconds(sum);
}

void StepCost::Observe(const StepShape& shape, Seconds took) {
  const uint64_t key =
      (Rough(shape.decode) << 32) | (Rough(shape.prefill) << 16) | Rough(shape.cells);
  Average& average = averages_[key];
  double seconds = took.count();
  if (average.count > 2) seconds = std::min(seconds, kOutlier * average.seconds);
  const double weight = std::max(kNewest, 1.0 / static_cast<double>(++average.count));
  const Vector terms = Terms(shape);
  for (size_t i = 0; i < kTerms; ++i) average.terms[i] += weight * (terms[i] - average.terms[i]);
  average.seconds += weight * (seconds - average.seconds);
  average.last = ++observed_;
  if (observed_ % kFitEvery == 0 || observed_ == kLearning) Fit();
}

// A weight below 0 is none: the fit is made again without it.
void StepCost::Fit() {
  std::array<bool, kTerms> used;
  used.fill(true);
  for (;;) {
    weights_ = Solve(used);
    const auto least = std::ranges::min_element(weights_);
    if (*least >= 0) return;
    used[static_cast<size_t>(least - weights_.begin())] = false;
    *least = 0;
  }
}

// The normal equations by Gaussian elimination. Errors are relative: a short step counts as much as
// a long one.
StepCost::Vector StepCost::Solve(const std::array<bool, kTerms>& used) const {
  std::array<std::array<double, kTerms + 1>, kTerms> rows{};
  for (size_t i = 0; i < kTerms; ++i) {
    rows[i][i] = kRidge;
    rows[i][kTerms] = used[i] ? kRidge * weights_[i] : 0;
  }
  for (const auto& [key, average] : averages_) {
    const double age = static_cast<double>(observed_ - average.last) / kHalfLife;
    const double scale = std::exp2(-age) * std::min<double>(static_cast<double>(average.count), 8) /
                         std::max(1e-9, average.seconds * average.seconds);
    for (size_t i = 0; i < kTerms; ++i) {
      if (!used[i]) continue;
      for (size_t j = 0; j < kTerms; ++j) {
        if (used[j]) rows[i][j] += scale * average.terms[i] * average.terms[j];
      }
      rows[i][kTerms] += scale * average.terms[i] * average.seconds;
    }
  }
  for (size_t i = 0; i < kTerms; ++i) {
    for (size_t j = 0; j < kTerms; ++j) {
      if (j == i) continue;
      const double factor = rows[j][i] / rows[i][i];
      for (size_t k = i; k <= kTerms; ++k) rows[j][k] -= factor * rows[i][k];
    }
  }
  Vector solution{};
  for (size_t i = 0; i < kTerms; ++i) solution[i] = rows[i][kTerms] / rows[i][i];
  return solution;
}

uint64_t StepCost::PrefillBudget(uint64_t decode, uint64_t cells, uint64_t least,
                                 uint64_t most) const {
  if (!known()) return most;
  const double base = Predict({.decode = decode, .prefill = 0, .cells = cells}).count();
  const double one = Predict({.decode = decode, .prefill = 64, .cells = cells}).count() - base;
  const double longest = std::max(kLongest, Predict({}).count() / kReadShareMin);
  if (one <= 0) return most;
  const double fit = std::max(0.0, (longest - base) / (one / 64));
  return std::clamp(static_cast<uint64_t>(std::min(fit, 1e9)), std::min(least, most), most);
}

uint32_t StepCost::BestActive(double cells_each, uint32_t least, uint32_t most) const {
  if (!known()) return most;
  const auto rate = [&](uint32_t n) {
    const auto cells = static_cast<uint64_t>(cells_each * n);
    return n / Predict({.decode = n, .prefill = 0, .cells = cells}).count();
  };
  uint32_t best = most;
  for (uint32_t n = std::min(least, most); n < most; n += std::max(1u, n / 8)) {
    if (rate(n) > rate(best) * kClearly) best = n;
  }
  return best;
}

}  // namespace inferq::engine::llama
