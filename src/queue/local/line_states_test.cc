#include "queue/local/line_states.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"

namespace inferq::queue {
namespace {

using model::State;

TEST(LineStates, RemembersHowEachLineEnded) {
  LineStates states(3);
  EXPECT_FALSE(states.Get(1));
  states.Set(1, State::kFailed);
  EXPECT_EQ(states.Get(1), State::kFailed);
  EXPECT_FALSE(states.Get(0));
  EXPECT_EQ(states.ended(), 1u);
  states.Clear(1);
  EXPECT_FALSE(states.Get(1));
  EXPECT_EQ(states.ended(), 0u);
}

TEST(LineStates, FindsTheNextLiveLineAcrossChunksThatAreAllEnded) {
  LineStates states(10'000);
  for (uint64_t line = 0; line < 9'000; ++line) states.Set(line, State::kSucceeded);
  EXPECT_EQ(states.NextLive(0), 9'000u);
  for (uint64_t line = 9'000; line < 10'000; ++line) states.Set(line, State::kCancelled);
  EXPECT_EQ(states.NextLive(0), std::nullopt);
  states.Clear(4'100);
  EXPECT_EQ(states.NextLive(0), 4'100u);
  EXPECT_EQ(states.Get(4'099), State::kSucceeded);
}

TEST(LineStates, AgreesWithAMapOverARandomHistory) {
  constexpr uint64_t kLines = 9'000;
  LineStates states(kLines);
  std::map<uint64_t, State> model;
  base::Rng rng(7);
  constexpr State kEndings[] = {State::kSucceeded, State::kFailed, State::kCancelled,
                                State::kExpired};
  for (int step = 0; step < 60'000; ++step) {
    uint64_t line = rng.Below(kLines);
    if (model.contains(line)) {
      if (rng.Chance(0.2)) {
        states.Clear(line);
        model.erase(line);
      }
    } else {
      State ending = rng.Chance(0.9) ? State::kSucceeded : kEndings[rng.Below(4)];
      states.Set(line, ending);
      model[line] = ending;
    }
  }
  ASSERT_EQ(states.ended(), model.size());
  std::optional<uint64_t> live = states.NextLive(0);
  for (uint64_t line = 0; line < kLines; ++line) {
    auto found = model.find(line);
    ASSERT_EQ(states.Get(line).has_value(), found != model.end()) << line;
    if (found != model.end()) {
      ASSERT_EQ(states.Get(line), found->second);
    } else {
      ASSERT_EQ(live, line);
      live = states.NextLive(line + 1);
    }
  }
}

}  // namespace
}  // namespace inferq::queue
