// The whole server but its HTTP in one thread under a virtual clock: two tenants hand over files
// and batches, cancel some and ask online, while the power goes, the disk fills up and fails,
// engines crash and processes drain. In the end every acknowledged batch has ended, each of its
// lines stands exactly once, and nobody saw anything of the other.
//
// INFERQ_SIM_SEEDS=n runs seeds 1..n (default 20); INFERQ_SIM_SEED=s replays one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using inferq::testing::CrashMode;
using inferq::testing::DiskFault;
using inferq::testing::SimDisk;
using model::BatchStatus;
using testing::ChatLine;
using testing::Process;

constexpr int kMostRestarts = 60;

std::vector<uint64_t> Seeds() {
  if (const char* one = std::getenv("INFERQ_SIM_SEED")) return {std::strtoull(one, nullptr, 10)};
  const char* many = std::getenv("INFERQ_SIM_SEEDS");
  uint64_t count = many ? std::strtoull(many, nullptr, 10) : 20;
  std::vector<uint64_t> seeds;
  for (uint64_t seed = 1; seed <= count; ++seed) seeds.push_back(seed);
  return seeds;
}

// A batch as its client knows it.
struct Known {
  std::string tenant;
  std::string id;
  int lines = 0;
  bool bad = false;  // one of its lines is no request
  bool cancel_acknowledged = false;
  std::optional<BatchStatus> ended;  // as once seen
};

class World {
 public:
  explicit World(uint64_t seed)
      : rng_(seed),
        crashes_(static_cast<int>(rng_.Below(6))),
        faults_(rng_.Chance(0.5) ? static_cast<int>(rng_.Below(3)) : 0),
        drains_(static_cast<int>(rng_.Below(3))),
        wanted_batches_(3 + static_cast<int>(rng_.Below(4))),
        mode_(rng_.Chance(0.3) ? CrashMode::kStrict : CrashMode::kRandom),
        engine_{.ttft = 20ms,
                .itl = 2ms,
                .slots = 8,
                .fail_rate = rng_.Chance(0.5) ? 0.05 : 0.0,
                .crash_rate = rng_.Chance(0.3) ? 0.01 : 0.0} {}

  void RunToEnd() {
    for (int restart = 0; restart < kMostRestarts; ++restart) {
      if (RunOnce()) return;
    }
    FAIL() << "not done after " << kMostRestarts << " starts";
  }

 private:
  // One process. @return whether everything is done and was checked.
  bool RunOnce() {
    Process process(disk_, {.seed = rng_.Next(),
                            .blocking_delay = rng_.Chance(0.5) ? 3ms : 0ms,
                            .engine = engine_,
                            .adjust = [](ServiceOptions& options) { options.max_attempts = 8; }});
    bool crash = crashes_-- > 0;
    if (crash) disk_.CrashAtOperation(disk_.operations() + 1 + rng_.Below(400));
    bool fault = !crash && faults_-- > 0;
    if (fault) {
      constexpr DiskFault kFaults[] = {DiskFault::kNoSpace, DiskFault::kWriteError,
                                       DiskFault::kSyncError};
      disk_.FailOperation(disk_.operations() + 1 + rng_.Below(400), kFaults[rng_.Below(3)]);
    }
    bool done = process.Start() && UseIt(process);
    if (done && !crash && drains_-- > 0) {
      EXPECT_TRUE(process.Stop(base::Micros(rng_.Below(2'000'000))));
      done = false;  // and once more
    }
    if (done && !crash) CheckAll(process);  // else once more, after the next start
    if (!process.ended()) (void)process.Stop(0ms);
    disk_.FailOperation(UINT64_MAX, DiskFault::kNoSpace);  // disarms
    if (crash) disk_.Crash(rng_, mode_);
    return done && !crash;
  }

  // What clients do until all their batches have ended. @return false when the service went away.
  bool UseIt(Process& process) {
    for (int step = 0; step < 4000 && !process.ended(); ++step) {
      if (batches_.size() < static_cast<size_t>(wanted_batches_)) Submit(process);
      if (rng_.Chance(0.1)) AskOnline(process);
      bool live = false;
      for (Known& known : batches_) live |= !Look(process, known);
      if (!live && batches_.size() >= static_cast<size_t>(wanted_batches_)) return true;
      process.sim().RunFor(base::Micros(rng_.Below(400'000)));
    }
    return false;
  }

  Caller CallerOf(const std::string& tenant) {
    return {.tenant = tenant, .request_id = {}, .traceparent = {}};
  }

  void Submit(Process& process) {
    Known known{.tenant = rng_.Chance(0.5) ? "ann" : "bob",
                .id = {},
                .lines = 1 + static_cast<int>(rng_.Below(60)),
                .bad = rng_.Chance(0.15),
                .ended = {}};
    std::string text;
    for (int i = 0; i < known.lines; ++i)
      text += ChatLine(fmt::format("{}-{}", known.tenant, i), rng_.Chance(0.9) ? "m" : "n");
    if (known.bad) text += "{nonsense\n";
    Caller caller = CallerOf(known.tenant);
    auto file = process.UploadText(caller, text);
    if (!file) return;
    auto batch = process.CreateBatch(caller, file->id);
    if (!batch) return;
    known.id = batch->record.id;
    if (rng_.Chance(0.3)) (void)process.Do(process.service().DeleteFile(caller, file->id));
    batches_.push_back(known);
  }

  void AskOnline(Process& process) {
    OnlineRequest request{.endpoint = engine::Endpoint::kChatCompletions,
                          .body = R"({"messages":[{"role":"user","content":"hi"}]})",
                          .model = "m",
                          .stream = rng_.Chance(0.5),
                          .expires_at = {}};
    auto answer = process.Do(process.service().Generate(CallerOf("ann"), request));
    if (answer && rng_.Chance(0.5)) process.sim().RunFor(base::Micros(rng_.Below(50'000)));
  }

  // @return whether it has ended.
  bool Look(Process& process, Known& known) {
    Caller caller = CallerOf(known.tenant);
    auto view = process.Do(process.service().GetBatch(caller, known.id));
    if (!view) {
      EXPECT_NE(view.error().code(), base::Code::kNotFound) << known.id << " is lost";
      return false;
    }
    BatchStatus status = view->record.status;
    if (known.ended) EXPECT_EQ(status, *known.ended) << "an ending is taken back";
    if (known.cancel_acknowledged) EXPECT_NE(status, BatchStatus::kInProgress);
    if (IsTerminal(status)) {
      known.ended = status;
      return true;
    }
    if (rng_.Chance(0.01) && process.Do(process.service().CancelBatch(caller, known.id)))
      known.cancel_acknowledged = true;
    return false;
  }

  void CheckAll(Process& process) {
    for (const Known& known : batches_) {
      SCOPED_TRACE(known.id);
      Caller caller = CallerOf(known.tenant);
      Caller other = CallerOf(known.tenant == "ann" ? "bob" : "ann");
      auto view = process.Do(process.service().GetBatch(caller, known.id)).value();
      EXPECT_EQ(process.Do(process.service().GetBatch(other, known.id)).error().code(),
                base::Code::kNotFound);
      if (known.bad) {
        EXPECT_TRUE(view.record.status == BatchStatus::kFailed ||
                    view.record.status == BatchStatus::kCancelled);
        continue;
      }
      BatchStatus wanted =
          known.cancel_acknowledged ? BatchStatus::kCancelled : BatchStatus::kCompleted;
      // A cancellation whose acknowledgement was lost may hold, too.
      EXPECT_TRUE(view.record.status == wanted || view.record.status == BatchStatus::kCancelled);
      auto counts = process.CountLines(caller, view).value();
      bool cancelled_in_validation = view.record.lines == 0;
      if (!cancelled_in_validation) EXPECT_EQ(counts.size(), static_cast<size_t>(known.lines));
      for (auto& [id, count] : counts) EXPECT_EQ(count, 1) << id;
    }
  }

  base::Rng rng_;
  int crashes_;
  int faults_;
  int drains_;
  const int wanted_batches_;
  const CrashMode mode_;
  const engine::FakeOptions engine_;
  SimDisk disk_;
  std::vector<Known> batches_;
};

class ServeSim : public ::testing::TestWithParam<uint64_t> {};

TEST_P(ServeSim, EveryAcknowledgedBatchEndsAndEachLineStandsOnce) {
  SCOPED_TRACE(
      fmt::format("replay: INFERQ_SIM_SEED={} build/release/bin/serve_sim_test", GetParam()));
  World world(GetParam());
  world.RunToEnd();
}

INSTANTIATE_TEST_SUITE_P(Seeds, ServeSim, ::testing::ValuesIn(Seeds()),
                         [](const auto& info) { return fmt::format("seed_{}", info.param); });

}  // namespace
}  // namespace inferq::service
