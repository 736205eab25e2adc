#include <benchmark/benchmark.h>
#include <malloc.h>

#include "base/rng.h"
#include "sched/scheduler.h"

namespace inferq::sched {
namespace {

constexpr uint64_t kTasks = 1'000'000;
constexpr uint64_t kTenants = 1'000;

Entry RandomEntry(uint64_t id, base::Rng& rng, base::WallTime now) {
  Entry entry{.id = {id}, .tenant = fmt::format("tenant-{}", rng.Below(kTenants)), .lane = "m"};
  entry.key = MakeKey(now, static_cast<int>(rng.Below(2001)) - 1000, 0, {});
  if (rng.Below(10) == 0) entry.deadline = now + std::chrono::seconds(rng.Below(86'400));
  entry.cost = 100 + rng.Below(1'000);
  entry.locality = {rng.Below(100), rng.Next(), 0, 0};
  return entry;
}

/// One claim of `range(0)` tasks, with their charge and settlement, and as many new tasks, so that
/// a million keep waiting; `range(1)`: prefix window in seconds. Time is per claim, items are
/// tasks.
void BM_PickSettleAdd(benchmark::State& state) {
  OrderPolicy policy{.prefix_window = std::chrono::seconds(state.range(1))};
  auto scheduler = MakeScheduler(policy);
  base::Rng rng(1);
  base::WallTime now{std::chrono::seconds(1'800'000'000)};
  std::vector<Entry> entries(1);  // by id
  for (uint64_t id = 1; id <= kTasks; ++id) {
    entries.push_back(RandomEntry(id, rng, now));
    scheduler->Add(entries.back());
  }
  std::vector<std::string> lanes{"m"};
  PickRequest request{
      .lanes = lanes, .max_tasks = static_cast<uint32_t>(state.range(0)), .now = now};
  for (auto _ : state) {
    request.now += std::chrono::milliseconds(1);
    for (model::TaskId id : scheduler->Pick(request)) {
      const Entry& entry = entries[id.value];
      scheduler->Settle(entry.tenant, entry.cost, entry.cost + 1);
      scheduler->Add(entry);
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_PickSettleAdd)->Args({1, 0})->Args({64, 0})->Args({64, 60});

/// Bytes that the process has allocated.
double Allocated() {
  struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

/// Adds a million tasks; what each takes in memory, all indices and a prefix window included.
/// `range(0)`: how many of 100 have a deadline.
void BM_Add(benchmark::State& state) {
  base::WallTime now{std::chrono::seconds(1'800'000'000)};
  double bytes = 0;
  for (auto _ : state) {
    double before = Allocated();
    auto scheduler = MakeScheduler({.prefix_window = std::chrono::seconds(60)});
    base::Rng rng(1);
    for (uint64_t id = 1; id <= kTasks; ++id) {
      Entry entry = RandomEntry(id, rng, now);
      entry.deadline.reset();
      if (rng.Below(100) < static_cast<uint64_t>(state.range(0))) entry.deadline = now;
      entry.batch = {1 + id / 1'000};
      scheduler->Add(entry);
    }
    bytes = (Allocated() - before) / static_cast<double>(kTasks);
  }
  state.counters["bytes_per_task"] = bytes;
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kTasks));
}
BENCHMARK(BM_Add)->Arg(0)->Arg(10)->Arg(100)->Iterations(1)->Unit(benchmark::kMillisecond);

/// Picks only: a million waiting tasks are taken one by one.
void BM_Pick(benchmark::State& state) {
  auto scheduler = MakeScheduler({});
  base::Rng rng(1);
  base::WallTime now{std::chrono::seconds(1'800'000'000)};
  for (uint64_t id = 1; id <= kTasks; ++id) scheduler->Add(RandomEntry(id, rng, now));
  std::vector<std::string> lanes{"m"};
  PickRequest request{.lanes = lanes, .now = now};
  for (auto _ : state) benchmark::DoNotOptimize(scheduler->Pick(request));
}
BENCHMARK(BM_Pick)->Iterations(500'000);

/// One interactive task comes and is claimed by itself while a million others wait.
void BM_PickInteractive(benchmark::State& state) {
  auto scheduler = MakeScheduler({});
  base::Rng rng(1);
  base::WallTime now{std::chrono::seconds(1'800'000'000)};
  for (uint64_t id = 1; id <= kTasks; ++id) scheduler->Add(RandomEntry(id, rng, now));
  std::vector<std::string> lanes{"m"};
  PickRequest request{.lanes = lanes, .now = now, .interactive_only = true};
  Entry entry = RandomEntry(kTasks + 1, rng, now);
  entry.interactive = true;
  for (auto _ : state) {
    request.now += std::chrono::milliseconds(1);
    scheduler->Add(entry);
    benchmark::DoNotOptimize(scheduler->Pick(request));
    scheduler->Refund(entry.tenant, entry.cost);
  }
}
BENCHMARK(BM_PickInteractive);

}  // namespace
}  // namespace inferq::sched
