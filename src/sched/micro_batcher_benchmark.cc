#include <benchmark/benchmark.h>

#include "base/rng.h"
#include "sched/micro_batcher.h"

namespace inferq::sched {
namespace {

/// One call in, asked for a batch and for the timer as the owner does, while `range(0)` calls wait;
/// batches of 32 leave as calls come. `range(1)`: levels. Time and items are per call.
void BM_AddNextDeadline(benchmark::State& state) {
  MicroBatchOptions options{.max_queue_delay = std::chrono::hours(1)};
  options.priority_levels = static_cast<uint32_t>(state.range(1));
  options.default_priority_level = options.priority_levels;
  options.default_queue_policy.default_timeout = std::chrono::hours(2);
  auto batcher = MicroBatcher::Make(options).value();
  base::Rng rng(1);
  base::SteadyTime now{std::chrono::hours(1)};
  CallId id = 0;
  auto add = [&] {
    now += base::Micros(1);
    uint32_t level = 1 + static_cast<uint32_t>(rng.Below(8));
    (void)batcher->Add({.id = ++id, .tokens = 100, .level = level}, now);
  };
  while (batcher->waiting() < static_cast<uint64_t>(state.range(0))) add();
  for (auto _ : state) {
    add();
    bool enough = batcher->waiting() >= static_cast<uint64_t>(state.range(0)) + 32;
    if (auto batch = batcher->Next(now, enough ? 1 : 0)) batcher->Finish(batch->number);
    benchmark::DoNotOptimize(batcher->NextDeadline(now, 0));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_AddNextDeadline)->ArgsProduct({{0, 1'000, 100'000}, {0, 4}});

}  // namespace
}  // namespace inferq::sched
