#include "model/state.h"

#include <array>
#include <cstddef>

namespace inferq::model {
namespace {

constexpr std::array<std::string_view, kStateCount> kNames = {
    "blocked", "queued", "leased", "running", "succeeded", "failed", "cancelled", "expired"};

// Row: from. Column: to, in the order of the enum.
constexpr std::array<std::array<bool, kStateCount>, kStateCount> kMoves = {{
    // blk queue lease  run   succ  fail  canc  exp
    {false, true, false, false, false, true, true, true},      // blocked
    {false, false, true, false, false, true, true, true},      // queued
    {true, true, false, true, false, true, true, true},        // leased
    {true, true, false, false, true, true, true, true},        // running
    {false, false, false, false, false, false, false, false},  // succeeded
    {false, false, false, false, false, false, false, false},  // failed
    {false, false, false, false, false, false, false, false},  // cancelled
    {false, false, false, false, false, false, false, false},  // expired
}};

}  // namespace

bool CanMove(State from, State to) {
  return kMoves[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

std::string_view StateName(State state) { return kNames[static_cast<size_t>(state)]; }

std::optional<State> ParseState(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<State>(i);
  }
  return std::nullopt;
}

}  // namespace inferq::model
