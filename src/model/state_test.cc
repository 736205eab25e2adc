#include "model/state.h"

#include <gtest/gtest.h>

namespace inferq::model {
namespace {

TEST(State, NothingLeavesATerminalState) {
  for (int from = 0; from < kStateCount; ++from) {
    for (int to = 0; to < kStateCount; ++to) {
      if (IsTerminal(static_cast<State>(from))) {
        EXPECT_FALSE(CanMove(static_cast<State>(from), static_cast<State>(to)));
      }
    }
  }
}

TEST(State, OnlyAStartedTaskSucceeds) {
  for (int from = 0; from < kStateCount; ++from) {
    State state = static_cast<State>(from);
    EXPECT_EQ(CanMove(state, State::kSucceeded), state == State::kRunning);
  }
}

TEST(State, EveryLiveStateCanBeCancelledAndExpire) {
  for (State state : {State::kBlocked, State::kQueued, State::kLeased, State::kRunning}) {
    EXPECT_TRUE(CanMove(state, State::kCancelled));
    EXPECT_TRUE(CanMove(state, State::kExpired));
  }
}

TEST(State, NamesRoundTrip) {
  for (int i = 0; i < kStateCount; ++i) {
    EXPECT_EQ(ParseState(StateName(static_cast<State>(i))), static_cast<State>(i));
  }
  EXPECT_FALSE(ParseState("done"));
}

}  // namespace
}  // namespace inferq::model
