#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace inferq::model {

// clang-format off
/// Where a task is in its life.
///
///             ┌─ kBlocked ─ parents terminal, not_before reached ─┐
///   submit ───┤                                                   ├─► kQueued ─claim─► kLeased ─start─► kRunning
///             └───────────────────────────────────────────────────┘     ▲                 │              │
///                 ▲                                                     └─ released, lease expired ──────┤
///                 └────────────────────── retry after backoff ───────────────────────────────────────────┤
///   kRunning ─► kSucceeded | kFailed;   any live state ─► kFailed (parent failed), kCancelled, kExpired ◄┘
///
/// A terminal state is left only by an operator's requeue, which starts a new generation.
// clang-format on
enum class State : uint8_t {
  kBlocked,    ///< Waits for parents, for not_before, or for the backoff of a retry.
  kQueued,     ///< May be claimed.
  kLeased,     ///< Claimed; not started yet.
  kRunning,    ///< Started; an attempt is counted.
  kSucceeded,  ///< Has its result.
  kFailed,     ///< Has its error; attempts used up, not retryable, parent failed, or dead letter.
  kCancelled,  ///< By request.
  kExpired,    ///< expires_at passed.
};

inline constexpr int kStateCount = 8;

constexpr bool IsTerminal(State state) { return state >= State::kSucceeded; }
constexpr bool HasLease(State state) { return state == State::kLeased || state == State::kRunning; }

/// True when `from` -> `to` is an arrow of the picture above. Requeue is not one: see CanRequeue.
bool CanMove(State from, State to);
/// Whether an operator may start a new generation from here.
constexpr bool CanRequeue(State state) { return IsTerminal(state); }

/// "blocked", "queued", …
std::string_view StateName(State state);
std::optional<State> ParseState(std::string_view name);

}  // namespace inferq::model
