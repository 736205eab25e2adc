#pragma once

// The network between actors and the queue: see QueueSimulation::Ask.

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "queue_actors.h"

namespace inferq::queue {

template <class T>
Awaitable<std::optional<T>> QueueSimulation::Ask(Call<T> call, Repeat repeat) {
  auto exchange = std::make_shared<Exchange<T>>(world_.sim());
  int copies = rng_.Chance(faults_.lost_request) ? 0 : 1;
  if (rng_.Chance(faults_.twice) && repeat == Repeat::kHarmless) copies *= 2;
  for (int i = 0; i < copies; ++i) world_.sim().SpawnDetached(Carry(exchange, call));
  co_await exchange->arrived.WaitUntil(world_.sim().clock().Steady() + Patience());
  co_return exchange->answer;
}

// One request on its way, and its answer back. Each has a delay of its own, so they overtake.
template <class T>
Awaitable<void> QueueSimulation::Carry(std::shared_ptr<Exchange<T>> exchange, Call<T> call) {
  co_await Sleep(faults_.delay);
  LoggedQueue* queue = world_.queue();
  if (queue == nullptr) co_return;
  std::optional<T> answer(co_await call(*queue));
  if (rng_.Chance(faults_.lost_answer)) co_return;
  co_await Sleep(faults_.delay);
  exchange->answer = std::move(answer);
  exchange->arrived.NotifyAll();
}

}  // namespace inferq::queue
