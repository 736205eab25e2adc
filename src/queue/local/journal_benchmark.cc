// What a commit costs under a steady load, and how fast the journal comes back:
// bench/results/journal.md.

#include <benchmark/benchmark.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/file_system.h"
#include "queue/local/journal_words.h"
#include "queue/local/local_queue.h"
#include "queue/local/sqlite_journal.h"
#include "runtime/asio_runtime.h"
#include "runtime/event.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;

std::string NewDirectory() {
  std::string name =
      (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_bench_XXXXXX";
  INFERQ_CHECK(mkdtemp(name.data()) != nullptr);
  return name;
}

void Drop(const std::string& directory) {
  INFERQ_CHECK(base::RemoveTree(base::PosixFileSystem(), directory));
}

double SizeOf(const std::string& path) {
  struct stat info{};
  INFERQ_CHECK(::stat(path.c_str(), &info) == 0);
  return static_cast<double>(info.st_size);
}

double Milliseconds(base::Micros time) { return static_cast<double>(time.count()) / 1000; }

// Times, and what they were at most for a part of the cases.
class Times {
 public:
  void Add(base::Micros time) { times_.push_back(time); }
  size_t size() const { return times_.size(); }
  double Ms(double part) {
    if (times_.empty()) return 0;
    std::ranges::sort(times_);
    auto at = static_cast<size_t>(part * static_cast<double>(times_.size()));
    return Milliseconds(times_[std::min(at, times_.size() - 1)]);
  }

 private:
  std::vector<base::Micros> times_;
};

// Measures the calls of another one.
class TimedJournal final : public Journal {
 public:
  TimedJournal(std::unique_ptr<Journal> journal, bool maintained)
      : journal_(std::move(journal)), maintained_(maintained) {}

  base::Result<> Open(const RecoveryVisitor& visitor) override { return journal_->Open(visitor); }
  base::Result<> Commit(const ChangeSet& changes) override {
    base::SteadyTime began = base::SystemClock().Steady();
    auto result = journal_->Commit(changes);
    commits.Add(base::SystemClock().Steady() - began);
    return result;
  }
  base::Result<bool> Maintain() override {
    if (!maintained_) return false;
    base::SteadyTime began = base::SystemClock().Steady();
    auto result = journal_->Maintain();
    turns.Add(base::SystemClock().Steady() - began);
    return result;
  }
  base::Result<std::unique_ptr<JournalReader>> NewReader() override {
    return journal_->NewReader();
  }
  base::Result<> Close() override { return journal_->Close(); }

  Times commits;
  Times turns;

 private:
  std::unique_ptr<Journal> journal_;
  bool maintained_;
};

// A queue on a real file, under the real event loop.
class Bench {
 public:
  explicit Bench(bool maintained) {
    auto journal =
        std::make_unique<TimedJournal>(MakeSqliteJournal({.path = path(), .vfs = ""}), maintained);
    journal_ = journal.get();
    queue_ = MakeLocalQueue(runtime_, std::move(journal), {});
    Run(Open(*queue_));
  }
  ~Bench() {
    Run(Close(*queue_));
    queue_.reset();
    Drop(directory_);
  }
  void Run(runtime::Awaitable<void> body) {
    runtime_.SpawnDetached(ThenStop(runtime_, std::move(body)));
    runtime_.Run();
  }
  std::string path() const { return directory_ + "/queue.db"; }
  Queue& queue() { return *queue_; }
  TimedJournal& journal() { return *journal_; }
  runtime::Runtime& runtime() { return runtime_; }
  base::SteadyTime now() { return runtime_.clock().Steady(); }

 private:
  static runtime::Awaitable<void> ThenStop(runtime::AsioRuntime& runtime,
                                           runtime::Awaitable<void> body) {
    co_await std::move(body);
    runtime.Stop();
  }
  static runtime::Awaitable<void> Open(Queue& queue) {
    auto opened = co_await queue.Open();
    INFERQ_CHECK(opened.has_value());
  }
  static runtime::Awaitable<void> Close(Queue& queue) {
    auto closed = co_await queue.Close();
    INFERQ_CHECK(closed.has_value());
  }

  std::string directory_ = NewDirectory();
  runtime::AsioRuntime runtime_;
  TimedJournal* journal_;
  std::unique_ptr<Queue> queue_;
};

// Submits `count` tasks that were due at `due`.
runtime::Awaitable<void> Submit(Bench& bench, size_t count, base::SteadyTime due, Times& times) {
  model::TaskSpec spec;
  spec.lane = "m";
  auto ids = co_await bench.queue().Submit(std::vector<model::TaskSpec>(count, spec));
  INFERQ_CHECK(ids.has_value());
  times.Add(bench.now() - due);
}

runtime::Awaitable<void> SubmitSteadily(Bench& bench, size_t count, base::Micros every,
                                        base::Micros length, Times& times) {
  runtime::Scope scope(bench.runtime());
  base::SteadyTime end = bench.now() + length;
  for (base::SteadyTime due = bench.now(); due < end; due += every) {
    co_await bench.runtime().SleepUntil(due);
    scope.Spawn(Submit(bench, count, due, times));
  }
  co_await scope.Join();
}

// Open loop: a chunk of 100 every 5 ms, for so many seconds; 1: the journal is maintained.
void BM_Steady(benchmark::State& state) {
  Bench bench(state.range(0) != 0);
  Times times;
  auto length = std::chrono::seconds(state.range(1));
  for (auto step : state) bench.Run(SubmitSteadily(bench, 100, 5ms, length, times));
  auto tasks = static_cast<double>(times.size() * 100);
  state.counters["tasks/s"] = tasks / static_cast<double>(length.count());
  state.counters["commits"] = static_cast<double>(bench.journal().commits.size());
  state.counters["commit_p50_ms"] = bench.journal().commits.Ms(0.5);
  state.counters["commit_p999_ms"] = bench.journal().commits.Ms(0.999);
  state.counters["commit_max_ms"] = bench.journal().commits.Ms(1);
  state.counters["turn_max_ms"] = bench.journal().turns.Ms(1);
  state.counters["ack_p50_ms"] = times.Ms(0.5);
  state.counters["ack_p999_ms"] = times.Ms(0.999);
  state.counters["ack_max_ms"] = times.Ms(1);
}
BENCHMARK(BM_Steady)->Args({0, 30})->Args({1, 30})->Iterations(1)->UseRealTime();

runtime::Awaitable<void> SubmitOn(Bench& bench, size_t count, base::Micros pause,
                                  base::SteadyTime end, Times& times) {
  while (bench.now() < end) {
    co_await Submit(bench, count, bench.now(), times);
    if (pause > 0us) co_await bench.runtime().SleepFor(pause);
  }
}

runtime::Awaitable<void> SubmitTogether(Bench& bench, size_t clients, size_t count,
                                        base::Micros pause, base::SteadyTime end, Times& times) {
  runtime::Scope scope(bench.runtime());
  for (size_t i = 0; i < clients; ++i) {
    scope.Spawn(SubmitOn(bench, count, pause, end, times));
  }
  co_await scope.Join();
}

// Closed loop: clients, tasks in each submission, microseconds between an answer and the next one
// (as a client across a network has them).
void BM_Clients(benchmark::State& state) {
  Bench bench(false);  // so that the log holds all that was written
  Times times;
  auto clients = static_cast<size_t>(state.range(0)), count = static_cast<size_t>(state.range(1));
  for (auto step : state) {
    bench.Run(SubmitTogether(bench, clients, count, base::Micros(state.range(2)), bench.now() + 2s,
                             times));
  }
  auto tasks = static_cast<double>(times.size() * count);
  state.SetItemsProcessed(static_cast<int64_t>(tasks));
  state.counters["log_bytes/task"] = SizeOf(bench.path() + "-wal") / tasks;
  state.counters["tasks/commit"] = tasks / static_cast<double>(bench.journal().commits.size());
  state.counters["ack_p50_ms"] = times.Ms(0.5);
  state.counters["ack_p99_ms"] = times.Ms(0.99);
}
BENCHMARK(BM_Clients)
    ->Args({1, 1, 0})
    ->Args({8, 1, 0})
    ->Args({64, 1, 0})
    ->Args({8, 1, 200})
    ->Args({64, 1, 200})
    ->Args({1, 100, 0})
    ->Args({8, 100, 0})
    ->Args({8, 100, 200})
    ->Iterations(1)
    ->UseRealTime();

// How many appended pages a second the disk makes durable, one by one.
void BM_Fdatasync(benchmark::State& state) {
  std::string directory = NewDirectory();
  auto file = base::PosixFileSystem().Open(directory + "/f", base::OpenMode::kReadWrite);
  INFERQ_CHECK(file.has_value());
  std::string page(4096, 'x');
  uint64_t offset = 0;
  for (auto step : state) {
    INFERQ_CHECK((*file)->WriteAt(offset % (4u << 20), page).has_value());
    INFERQ_CHECK((*file)->Sync().has_value());
    offset += page.size();
  }
  state.SetItemsProcessed(state.iterations());
  file->reset();
  Drop(directory);
}
BENCHMARK(BM_Fdatasync)->UseRealTime();

constexpr uint64_t kLines = 1'000'000;

void WriteEndedLines(Journal& journal) {
  INFERQ_CHECK(journal.Open({.on_task = {}, .on_key = {}, .on_tenant_time = {}, .on_meta = {}}));
  ChangeSet batch;
  batch.batches = {SomeBatch(1, kLines)};
  INFERQ_CHECK(journal.Commit(batch).has_value());
  for (uint64_t line = 0; line < kLines;) {
    ChangeSet changes;
    for (int i = 0; i < 1000; ++i, ++line) {
      changes.lines.push_back(SomeLine(1, line ^ 0x155, line + 1));
    }
    INFERQ_CHECK(journal.Commit(changes).has_value());
    INFERQ_CHECK(journal.Maintain().has_value());
  }
  INFERQ_CHECK(journal.Close().has_value());
}

// Recovery of ended lines.
void BM_RecoverLines(benchmark::State& state) {
  std::string directory = NewDirectory();
  auto journal = MakeSqliteJournal({.path = directory + "/queue.db", .vfs = ""});
  base::SteadyTime began = base::SystemClock().Steady();
  WriteEndedLines(*journal);
  auto took = std::chrono::duration<double>(base::SystemClock().Steady() - began).count();
  state.counters["written/s"] = static_cast<double>(kLines) / took;
  uint64_t lines = 0;
  for (auto step : state) {
    RecoveryVisitor visitor{.on_task = {}, .on_key = {}, .on_tenant_time = {}, .on_meta = {}};
    visitor.on_line = [&lines](model::BatchId, uint64_t, model::State) { ++lines; };
    INFERQ_CHECK(journal->Open(visitor).has_value());
    INFERQ_CHECK(journal->Close().has_value());
  }
  INFERQ_CHECK(lines == kLines * static_cast<uint64_t>(state.iterations()));
  state.SetItemsProcessed(static_cast<int64_t>(lines));
  state.counters["file_bytes/line"] = SizeOf(directory + "/queue.db") / static_cast<double>(kLines);
  Drop(directory);
}
BENCHMARK(BM_RecoverLines)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace inferq::queue
