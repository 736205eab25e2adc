#include "engine/llama/step_cost.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace inferq::engine::llama {
namespace {

using Seconds = StepCost::Seconds;

// A machine: seconds for the weights, a row, a prompt token, and a row looking at 100,000 cells.
struct Machine {
  double read = 0.01;
  double row = 0.002;
  double prompt = 0.0015;
  double cells = 0.02;

  Seconds Took(const StepShape& shape) const {
    const auto rows = static_cast<double>(shape.decode + shape.prefill);
    return Seconds(read + row * static_cast<double>(shape.decode) +
                   prompt * static_cast<double>(shape.prefill) +
                   cells * rows * static_cast<double>(shape.cells) / 1e5);
  }
};

StepShape Draw(base::Rng& rng) {
  return {
      .decode = rng.Below(64), .prefill = rng.Below(2) * rng.Below(512), .cells = rng.Below(4000)};
}

StepCost Learned(const Machine& machine, double noise, int steps = 400) {
  StepCost cost;
  base::Rng rng(1);
  for (int i = 0; i < steps; ++i) {
    const StepShape shape = Draw(rng);
    const double factor = 1 + noise * (rng.Uniform() - 0.5);
    cost.Observe(shape, machine.Took(shape) * factor);
  }
  return cost;
}

TEST(StepCost, LearnsWhatStepsCost) {
  const Machine machine;
  const StepCost cost = Learned(machine, 0.2);
  ASSERT_TRUE(cost.known());
  for (const StepShape& shape : {StepShape{1, 0, 100}, {64, 0, 3000}, {16, 256, 1000}}) {
    const double truth = machine.Took(shape).count();
    EXPECT_NEAR(cost.Predict(shape).count(), truth, truth * 0.25);
  }
}

TEST(StepCost, FollowsAMachineThatSlowsDownAndForgivesASingleHiccup) {
  Machine machine;
  StepCost cost = Learned(machine, 0);
  const StepShape shape{32, 0, 1000};
  const double before = cost.Predict(shape).count();
  cost.Observe(shape, Seconds(60));
  EXPECT_LT(cost.Predict(shape).count(), before * 1.5);
  machine.read *= 2;
  machine.row *= 2;
  machine.prompt *= 2;
  machine.cells *= 2;
  base::Rng rng(2);
  for (int i = 0; i < 1500; ++i) {
    const StepShape drawn = Draw(rng);
    cost.Observe(drawn, machine.Took(drawn));
  }
  EXPECT_NEAR(cost.Predict(shape).count(), machine.Took(shape).count(), before * 0.2);
}

TEST(StepCost, StepsThatAreAllAlikeDoNotUnsettleIt) {
  const Machine machine;
  StepCost cost = Learned(machine, 0.1);
  const StepShape same{8, 0, 500};
  for (int i = 0; i < 100'000; ++i) cost.Observe(same, machine.Took(same));
  const StepShape other{64, 256, 3000};
  const double predicted = cost.Predict(other).count();
  EXPECT_GT(predicted, machine.Took(other).count() / 3);
  EXPECT_LT(predicted, machine.Took(other).count() * 3);
}

TEST(StepCost, PromptsGetWhatKeepsTheStepShort) {
  const Machine machine;
  const StepCost cost = Learned(machine, 0);
  const uint64_t budget = cost.PrefillBudget(16, 1000, 16, 512);
  EXPECT_NEAR(machine.Took({16, budget, 1000}).count(), 0.25, 0.03);
  EXPECT_EQ(StepCost().PrefillBudget(16, 1000, 16, 512), 512u) << "nothing is known";
  EXPECT_EQ(cost.PrefillBudget(5000, 1000, 16, 512), 16u) << "prompts go on, too";
}

TEST(StepCost, FewerSequencesWhereCellsAreDear) {
  const StepCost dear = Learned({.cells = 2}, 0);
  const uint32_t few = dear.BestActive(500, 16, 256);
  EXPECT_LT(few, 64u);
  EXPECT_GE(few, 16u);
  const StepCost cheap = Learned({.cells = 0}, 0);
  EXPECT_EQ(cheap.BestActive(500, 16, 256), 256u);
  EXPECT_EQ(StepCost().BestActive(500, 16, 256), 256u) << "nothing is known";
}

}  // namespace
}  // namespace inferq::engine::llama
