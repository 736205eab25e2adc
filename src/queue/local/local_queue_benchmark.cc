// Submissions and whole cycles per second on a real SQLite file, under the real event loop.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/file_system.h"
#include "queue/local/local_queue.h"
#include "queue/local/sqlite_journal.h"
#include "runtime/asio_runtime.h"
#include "runtime/event.h"

namespace inferq::queue {
namespace {

class Bench {
 public:
  Bench() {
    directory_ =
        (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_bench_XXXXXX";
    INFERQ_CHECK(mkdtemp(directory_.data()) != nullptr);
    queue_ = MakeLocalQueue(runtime_,
                            MakeSqliteJournal({.path = directory_ + "/queue.db", .vfs = ""}), {});
    Run(OpenQueue(*queue_));
  }
  ~Bench() {
    Run(CloseQueue(*queue_));
    queue_.reset();
    INFERQ_CHECK(base::RemoveTree(base::PosixFileSystem(), directory_));
  }
  void Run(runtime::Awaitable<void> body) {
    runtime_.SpawnDetached(ThenStop(runtime_, std::move(body)));
    runtime_.Run();
  }
  Queue& queue() { return *queue_; }
  runtime::Runtime& runtime() { return runtime_; }

 private:
  static runtime::Awaitable<void> ThenStop(runtime::AsioRuntime& runtime,
                                           runtime::Awaitable<void> body) {
    co_await std::move(body);
    runtime.Stop();
  }
  static runtime::Awaitable<void> OpenQueue(Queue& queue) {
    auto opened = co_await queue.Open();
    INFERQ_CHECK(opened.has_value());
  }
  static runtime::Awaitable<void> CloseQueue(Queue& queue) {
    auto closed = co_await queue.Close();
    INFERQ_CHECK(closed.has_value());
  }

  runtime::AsioRuntime runtime_;
  std::string directory_;
  std::unique_ptr<Queue> queue_;
};

runtime::Awaitable<void> SubmitChunk(Queue& queue, size_t count) {
  model::TaskSpec spec;
  spec.lane = "m";
  auto ids = co_await queue.Submit(std::vector<model::TaskSpec>(count, spec));
  INFERQ_CHECK(ids.has_value());
}

runtime::Awaitable<void> SubmitChunks(Bench& bench, size_t clients, size_t count) {
  runtime::Scope scope(bench.runtime());
  for (size_t i = 0; i < clients; ++i) scope.Spawn(SubmitChunk(bench.queue(), count));
  co_await scope.Join();
}

// Claims, starts and completes up to `count` tasks at once, until there are none.
runtime::Awaitable<void> Work(Queue& queue, uint32_t count) {
  while (true) {
    ClaimRequest request{.worker = "w", .lanes = {"m"}, .max_tasks = count};
    auto claimed = co_await queue.Claim(std::move(request));
    INFERQ_CHECK(claimed.has_value());
    if (claimed->empty()) co_return;
    std::vector<TaskRef> refs;
    std::vector<Completion> completions;
    for (const ClaimedTask& task : *claimed) {
      refs.push_back({task.id, task.fence});
      completions.push_back({.task = refs.back()});
    }
    (void)co_await queue.Start(refs);
    auto items = co_await queue.Complete(std::move(completions));
    INFERQ_CHECK(items[0].has_value());
  }
}

runtime::Awaitable<void> WorkOff(Bench& bench, size_t workers, uint32_t count) {
  runtime::Scope scope(bench.runtime());
  for (size_t i = 0; i < workers; ++i) scope.Spawn(Work(bench.queue(), count));
  co_await scope.Join();
}

void BM_Submit(benchmark::State& state) {
  Bench bench;
  auto clients = static_cast<size_t>(state.range(0));
  auto chunk = static_cast<size_t>(state.range(1));
  for (auto step : state) bench.Run(SubmitChunks(bench, clients, chunk));
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(clients * chunk));
}
BENCHMARK(BM_Submit)->Args({1, 1000})->Args({4, 1000})->Args({64, 1})->UseRealTime();

void BM_ClaimStartComplete(benchmark::State& state) {
  Bench bench;
  auto workers = static_cast<size_t>(state.range(0));
  constexpr size_t kTasks = 50'000;
  for (auto step : state) {
    state.PauseTiming();
    bench.Run(SubmitChunks(bench, 5, kTasks / 5));
    state.ResumeTiming();
    bench.Run(WorkOff(bench, workers, static_cast<uint32_t>(state.range(1))));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kTasks));
}
BENCHMARK(BM_ClaimStartComplete)->Args({4, 100})->Args({64, 1})->Args({4, 512})->UseRealTime();

}  // namespace
}  // namespace inferq::queue
