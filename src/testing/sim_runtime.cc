#include "testing/sim_runtime.h"

#include <boost/asio/post.hpp>

namespace inferq::testing {

SimRuntime::SimRuntime(SimRuntimeOptions options) : options_(options), rng_(options.seed) {
  clock_.wall_start = options_.start;
}

SimRuntime::~SimRuntime() = default;

void SimRuntime::RunUntilIdle() {
  while (StepReady() || (blocking_ > 0 && StepEvent(base::SteadyTime::max()))) {
  }
}

void SimRuntime::RunFor(base::Micros duration) {
  base::SteadyTime end = After(duration);
  while (StepReady() || StepEvent(end)) {
  }
  clock_.now = end;
}

bool SimRuntime::RunUntil(const std::function<bool()>& predicate, base::Micros limit) {
  base::SteadyTime end = After(limit);
  while (!predicate()) {
    if (!StepReady() && !StepEvent(end)) return predicate();
  }
  return true;
}

// Runs one handler that is ready now.
bool SimRuntime::StepReady() {
  io_.restart();
  return io_.poll_one() > 0;
}

// Moves the clock to the next timer or end of a blocking call, unless that lies behind `limit`.
bool SimRuntime::StepEvent(base::SteadyTime limit) {
  if (events_.empty() || events_.begin()->first.first > limit) return false;
  auto node = events_.extract(events_.begin());
  clock_.now = std::max(clock_.now, node.key().first);
  Scheduled event = std::move(node.mapped());
  if (event.blocking) {
    --blocking_;
  } else {
    timers_.erase(node.key().second);
  }
  event.fn();
  return true;
}

base::SteadyTime SimRuntime::After(base::Micros duration) const {
  return duration < base::SteadyTime::max() - clock_.now ? clock_.now + duration
                                                         : base::SteadyTime::max();
}

void SimRuntime::Post(Function fn) {
  boost::asio::post(io_, [fn = std::move(fn)]() mutable { fn(); });
}

runtime::Runtime::TimerId SimRuntime::CallAt(base::SteadyTime when, Function fn) {
  TimerId id = ++last_;
  timers_[id] = {when, id};
  events_.emplace(When{when, id}, Scheduled{.fn = std::move(fn)});
  return id;
}

void SimRuntime::CancelTimer(TimerId id) {
  auto timer = timers_.extract(id);
  if (timer) events_.erase(timer.mapped());
}

void SimRuntime::PostBlocking(uint32_t lane, Function work, Function done) {
  auto delay_bound = static_cast<uint64_t>(options_.max_blocking_delay.count());
  base::Micros delay(static_cast<int64_t>(rng_.Below(delay_bound + 1)));
  base::SteadyTime end = clock_.now + delay;
  if (lane != runtime::kAnyLane) {
    base::SteadyTime& lane_free = lane_free_[lane];
    end = lane_free = std::max(lane_free, clock_.now) + delay;
  }
  auto run = [this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    Post(std::move(done));
  };
  ++blocking_;
  events_.emplace(When{end, ++last_}, Scheduled{.fn = std::move(run), .blocking = true});
}

runtime::Awaitable<void> SimRuntime::MarkDone(runtime::Awaitable<void> coroutine, bool& done) {
  co_await std::move(coroutine);
  done = true;
}

}  // namespace inferq::testing
