// The whole of `inferq run` in one thread under a virtual clock: the service over a SQLite journal
// and a blob store on a simulated disk, and the fake engine. The power goes at random operations of
// the disk; what was not synced is lost or torn; the same job starts again, until it is done.
//
// INFERQ_SIM_SEEDS=n runs seeds 1..n (default 20); INFERQ_SIM_SEED=s replays one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "base/rng.h"
#include "engine/fake/fake_engine.h"
#include "queue/local/local_queue.h"
#include "queue/local/sqlite_journal.h"
#include "service/run_job.h"
#include "testing/sim_disk.h"
#include "testing/sim_runtime.h"
#include "testing/sim_vfs.h"
#include "wire/batch_line.h"

namespace inferq {
namespace {

using namespace std::chrono_literals;
using service::RunJob;

constexpr int kLines = 200;
constexpr int kMostRestarts = 60;
constexpr const char* kInput = "/input.jsonl";
constexpr const char* kOutput = "/out.jsonl";

std::vector<uint64_t> Seeds() {
  if (const char* one = std::getenv("INFERQ_SIM_SEED")) return {std::strtoull(one, nullptr, 10)};
  const char* many = std::getenv("INFERQ_SIM_SEEDS");
  uint64_t count = many ? std::strtoull(many, nullptr, 10) : 20;
  std::vector<uint64_t> seeds;
  for (uint64_t seed = 1; seed <= count; ++seed) seeds.push_back(seed);
  return seeds;
}

// Which faults a seed draws, so that runs differ in kind and not only in timing.
struct Plan {
  explicit Plan(base::Rng& rng)
      : crashes(static_cast<int>(rng.Below(8))),
        crash_mode(rng.Chance(0.3) ? testing::CrashMode::kStrict : testing::CrashMode::kRandom),
        fail_rate(rng.Chance(0.5) ? 0.05 : 0.0),
        crash_rate(rng.Chance(0.3) ? 0.01 : 0.0),
        disk_faults(rng.Chance(0.4) ? static_cast<int>(rng.Below(4)) : 0),
        interrupts(static_cast<int>(rng.Below(3))),
        bad_lines(rng.Chance(0.5) ? 1 + rng.Below(5) : 0),
        blocking_delay(rng.Chance(0.7) ? 3ms : 0ms) {}
  int crashes;
  testing::CrashMode crash_mode;
  double fail_rate;
  double crash_rate;
  int disk_faults;
  int interrupts;
  uint64_t bad_lines;
  base::Micros blocking_delay;
};

class World {
 public:
  explicit World(uint64_t seed) : rng_(seed), plan_(rng_) { WriteInput(); }

  // Starts the job again and again until it is done.
  void RunToEnd() {
    for (int restart = 0; restart < kMostRestarts; ++restart) {
      if (RunOnce()) return;
    }
    FAIL() << "not done after " << kMostRestarts << " starts";
  }

  // custom_id -> how often it stands in the two outputs together, and in which.
  void CheckOutputs() {
    std::map<std::string, int> results = Count(kOutput), errors = Count("/out.errors.jsonl");
    EXPECT_EQ(results.size() + errors.size(), static_cast<size_t>(kLines));
    for (int i = 0; i < kLines; ++i) {
      std::string id = IdOf(i);
      EXPECT_EQ(results[id] + errors[id], 1) << id;
      if (IsBad(i)) EXPECT_EQ(errors[id], 1) << id;
    }
  }

  std::string Results() { return base::ReadFile(disk_, kOutput).value_or(""); }

 private:
  bool IsBad(int line) const {
    return static_cast<uint64_t>(line) % 40 < plan_.bad_lines && line % 8 == 0;
  }
  std::string IdOf(int line) const {
    return IsBad(line) ? fmt::format("line-{}", line + 1) : fmt::format("id-{}", line);
  }

  void WriteInput() {
    std::string text;
    for (int i = 0; i < kLines; ++i) {
      text += IsBad(i)
                  ? "this is no request\n"
                  : fmt::format(
                        R"({{"custom_id":"id-{}","method":"POST","url":"/v1/chat/completions",)"
                        R"("body":{{"model":"m","messages":[{{"role":"user","content":"n {}"}}],)"
                        R"("max_tokens":{}}}}})"
                        "\n",
                        i, i, 1 + i % 7);
    }
    ASSERT_TRUE(base::WriteFileAtomically(disk_, kInput, text));
    disk_.SyncAll();
  }

  service::RunOptions Options() const {
    service::RunOptions options;
    options.input = kInput;
    options.output = kOutput;
    options.source.format = ingest::Format::kBatch;
    options.continue_on_bad_lines = true;
    options.max_attempts = 8;
    options.dispatch.concurrency = 8;
    return options;
  }

  // One process. @return whether the job is done.
  bool RunOnce() {
    testing::SimRuntime runtime({.seed = rng_.Next(), .max_blocking_delay = plan_.blocking_delay});
    testing::SimVfs vfs(disk_, fmt::format("sim-{}", rng_.Next()));
    engine::FakeOptions fake{.ttft = 20ms,
                             .itl = 2ms,
                             .slots = 8,
                             .fail_rate = plan_.fail_rate,
                             .crash_rate = plan_.crash_rate,
                             .seed = rng_.Next()};
    auto engine = engine::MakeFakeEngine(runtime, fake).value();
    auto make_queue = [&](const std::string& path, queue::ReadLines read_lines) {
      queue::LocalQueueOptions options;
      options.read_lines = std::move(read_lines);
      return queue::MakeLocalQueue(
          runtime, queue::MakeSqliteJournal({.path = path, .vfs = vfs.name()}), std::move(options));
    };
    RunJob job({.runtime = runtime, .files = disk_, .make_queue = make_queue}, *engine, Options());
    bool crash = plan_.crashes-- > 0;
    if (crash) disk_.CrashAtOperation(disk_.operations() + 1 + rng_.Below(300));
    bool fault = !crash && plan_.disk_faults-- > 0;
    if (fault) FailSomeOperation();
    if (!crash && plan_.interrupts-- > 0) {
      runtime.CallAt(runtime.clock().Steady() + base::Micros(rng_.Below(500'000)),
                     [&job] { job.Drain(50ms); });
    }
    auto ended = runtime.Run(job.Run(), 2h);
    CheckNothingForgotten(job.progress());
    bool fault_struck = fault && disk_.fault_struck();
    disk_.FailOperation(UINT64_MAX, testing::DiskFault::kNoSpace);  // disarms
    if (crash) disk_.Crash(rng_, plan_.crash_mode);
    if (!ended) {
      EXPECT_TRUE(crash || fault_struck) << ended.error().error.message();
      return false;
    }
    return !crash && !ended->interrupted;
  }

  // A full disk, or one that fails a write or a sync; it works again at the next start.
  void FailSomeOperation() {
    using testing::DiskFault;
    constexpr DiskFault kFaults[] = {DiskFault::kNoSpace, DiskFault::kWriteError,
                                     DiskFault::kSyncError};
    disk_.FailOperation(disk_.operations() + 1 + rng_.Below(300), kFaults[rng_.Below(3)]);
  }

  // What was once shown as done is there after every later start.
  void CheckNothingForgotten(const service::RunProgress& progress) {
    if (progress.phase < service::RunProgress::Phase::kRunning)
      return;  // was not told what is done
    EXPECT_GE(progress.resumed, shown_done_);
    shown_done_ = std::max(shown_done_, progress.done());
  }

  std::map<std::string, int> Count(const std::string& path) {
    std::map<std::string, int> counts;
    auto text = base::ReadFile(disk_, path);
    if (!text) return counts;
    for (size_t begin = 0, end; begin < text->size(); begin = end + 1) {
      end = text->find('\n', begin);
      if (end == text->npos) {
        ADD_FAILURE() << path << " ends in a torn line";
        break;
      }
      auto line = wire::ParseBatchOutput(std::string_view(*text).substr(begin, end - begin));
      EXPECT_TRUE(line) << path;
      if (line) ++counts[line->custom_id];
    }
    return counts;
  }

  base::Rng rng_;
  Plan plan_;
  testing::SimDisk disk_;
  uint64_t shown_done_ = 0;
};

class RunSim : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RunSim, EveryLineEndsExactlyOnce) {
  SCOPED_TRACE(
      fmt::format("replay: INFERQ_SIM_SEED={} build/release/bin/run_sim_test", GetParam()));
  World world(GetParam());
  ASSERT_NO_FATAL_FAILURE(world.RunToEnd());
  world.CheckOutputs();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RunSim, ::testing::ValuesIn(Seeds()),
                         [](const auto& info) { return fmt::format("seed_{}", info.param); });

// The same seed draws the same faults and gives the same files, byte for byte.
TEST(RunSimReplay, ASeedReplays) {
  World first(3), second(3);
  first.RunToEnd();
  second.RunToEnd();
  EXPECT_FALSE(first.Results().empty());
  EXPECT_EQ(first.Results(), second.Results());
}

}  // namespace
}  // namespace inferq
