#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>

namespace inferq::engine::llama {

/// What a step does.
struct StepShape {
  uint64_t decode = 0;   ///< Rows of sequences that generate, one token each.
  uint64_t prefill = 0;  ///< Prompt tokens.
  uint64_t cells = 0;    ///< That each of them looks at: those in use where the cache is shared.
};

/// What steps cost on this machine with this model, learned from the steps themselves:
///
///   seconds = read + decode · d + prefill · p + (decode + prefill) · cells · a
///
/// `read` is the time for the weights, which all tokens of a step share; `a` is attention. Steps of
/// about the same shape are averaged, the newer ones counting more, and a plane is laid through the
/// averages (weighted least squares; no weight below 0). So a thousand steps that are all alike
/// teach one thing, and the others are not forgotten over them. Pure; one owner.
class StepCost {
 public:
  using Seconds = std::chrono::duration<double>;

  StepCost();

  void Observe(const StepShape& shape, Seconds took);
  Seconds Predict(const StepShape& shape) const;
  /// Whether enough steps were seen to believe the others.
  bool known() const { return observed_ >= kLearning; }

  /// How many prompt tokens to compute beside `decode` rows, so that the step is short enough for
  /// those who wait for their next token or for a place in it, and the weights are still read
  /// seldom.
  /// @return in [least, most]; `most` while nothing is known.
  uint64_t PrefillBudget(uint64_t decode, uint64_t cells, uint64_t least, uint64_t most) const;

  /// How many sequences to run at once where all look at the cells of all: more of them share the
  /// reading of the weights, but each looks at the others' cells in vain.
  /// @param cells_each  that one more sequence adds.
  /// @return in [least, most]; `most` while nothing is known, or when it is not clearly worse.
  uint32_t BestActive(double cells_each, uint32_t least, uint32_t most) const;

 private:
  static constexpr size_t kTerms = 4;
  static constexpr uint64_t kLearning = 30;
  using Vector = std::array<double, kTerms>;
  struct Average {
    Vector terms{};
    double seconds = 0;
    uint64_t count = 0;
    uint64_t last = 0;  // when it was observed
  };

  static Vector Terms(const StepShape& shape);
  void Fit();
  Vector Solve(const std::array<bool, kTerms>& used) const;

  Vector weights_;                        // seconds for each term, see Terms
  std::map<uint64_t, Average> averages_;  // by the rough shape
  uint64_t observed_ = 0;
};

}  // namespace inferq::engine::llama
