// The queue over SQLite on a disk that loses what was not synced: the power goes at every operation
// of a history in turn, and every operation fails in turn. Whatever was acknowledged must be there
// afterwards.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "queue/local/local_queue.h"
#include "queue/local/sqlite_journal.h"
#include "testing/sim_disk.h"
#include "testing/sim_runtime.h"
#include "testing/sim_vfs.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;
using base::Code;
using model::State;
using model::TaskId;
using model::TaskSpec;
using testing::CrashMode;
using testing::DiskFault;
using testing::SimDisk;

template <class T>
std::vector<T> One(T value) {
  std::vector<T> values;
  values.push_back(std::move(value));
  return values;
}

// What clients know: which tasks they were told of, and in which states each may be.
struct Ledger {
  std::map<TaskId, std::set<State>> allowed;
  std::map<TaskId, uint64_t> results;  // acknowledged results: length of the extent
  std::map<std::string, TaskId> keys;
  std::map<TaskId, model::Fence> newest_fence;  // ever handed out
  std::vector<TaskRef> lost_claims;
  size_t submitted = 0;  // acknowledged
  size_t in_doubt = 0;   // of the submission that was not
};

class World {
 public:
  explicit World(std::string name) : vfs_(disk_, std::move(name)) {
    EXPECT_TRUE(disk_.CreateDirectory("/q"));
    disk_.SyncAll();
  }
  ~World() { Drop(); }

  SimDisk& disk() { return disk_; }
  Queue& queue() { return *queue_; }
  testing::SimRuntime& sim() { return sim_; }

  base::Result<> Open() {
    SqliteJournalOptions options{.path = "/q/queue.db", .vfs = vfs_.name()};
    queue_ = MakeLocalQueue(sim_, MakeSqliteJournal(options), {});
    return sim_.Run(queue_->Open());
  }
  base::Result<> Close() { return sim_.Run(queue_->Close()); }
  // The process ends, with the last words that SQLite has for its file.
  void Drop() {
    sim_.RunUntilIdle();
    queue_.reset();
  }
  // The process dies without any.
  void Kill(base::Rng& rng, CrashMode mode) {
    disk_.CrashAtOperation(disk_.operations() + 1);
    Drop();
    disk_.Crash(rng, mode);
  }

 private:
  SimDisk disk_;
  testing::SimVfs vfs_;
  testing::SimRuntime sim_;
  std::unique_ptr<Queue> queue_;
};

// A history in which everything happens; stops at the first failure.
class History {
 public:
  History(World& world, Ledger& ledger) : world_(world), ledger_(ledger) {}

  base::Result<> Run() {
    INFERQ_TRY(world_.Open());
    INFERQ_TRY(Submit({Task("a"), Task("b"), Task("c"), Task("")}));
    auto ids = last_;
    TaskSpec join = Task("join");
    join.parents = {ids[0], ids[1]};
    INFERQ_TRY(Submit({join}));
    TaskId child = last_[0];
    INFERQ_TRY(Claim(2));
    INFERQ_TRY(Complete(claims_[0], State::kSucceeded, 10));
    INFERQ_TRY(Fail(claims_[1], true, {State::kBlocked, State::kQueued}));
    INFERQ_TRY(Cancel(ids[2]));
    INFERQ_TRY(Submit(std::vector<TaskSpec>(40, Task(""))));  // several pages
    world_.sim().RunFor(10s);  // the retry is due, riding changes are written
    INFERQ_TRY(world_.Close());
    world_.Drop();
    INFERQ_TRY(world_.Open());
    INFERQ_TRY(Claim(1));  // the retry: the oldest
    ledger_.allowed[child].insert(State::kQueued);
    INFERQ_TRY(Complete(claims_[0], State::kSucceeded, 20));
    ledger_.allowed[child] = {State::kQueued};
    INFERQ_TRY(Requeue(ids[2]));
    INFERQ_TRY(Claim(3));
    ledger_.lost_claims.push_back(claims_[2]);
    INFERQ_TRY(Fail(claims_[0], false, {State::kFailed}));
    INFERQ_TRY(Release(claims_[1]));
    INFERQ_TRY(Submit({Task("a"), Task("late")}));  // the first is there already
    return world_.Close();
  }

 private:
  static TaskSpec Task(std::string key) {
    TaskSpec spec;
    spec.lane = "m";
    spec.idempotency_key = std::move(key);
    return spec;
  }
  base::Result<> Submit(std::vector<TaskSpec> specs) {
    size_t fresh = 0;
    for (const TaskSpec& spec : specs) fresh += ledger_.keys.contains(spec.idempotency_key) ? 0 : 1;
    ledger_.in_doubt = fresh;
    INFERQ_ASSIGN(last_, world_.sim().Run(world_.queue().Submit(specs)));
    ledger_.in_doubt = 0;
    ledger_.submitted += fresh;
    for (size_t i = 0; i < specs.size(); ++i) {
      const std::string& key = specs[i].idempotency_key;
      if (!key.empty() && !ledger_.keys.emplace(key, last_[i]).second) {
        EXPECT_EQ(ledger_.keys[key], last_[i]);
        continue;
      }
      ledger_.allowed[last_[i]] = {specs[i].parents.empty() ? State::kQueued : State::kBlocked};
    }
    return {};
  }
  // A change that is acknowledged: until then the state before it is as good.
  template <class Call>
  base::Result<> Change(TaskId id, std::set<State> after, Call call) {
    ledger_.allowed[id].insert(after.begin(), after.end());
    INFERQ_TRY(call());
    ledger_.allowed[id] = after;
    return {};
  }
  base::Result<> Claim(uint32_t count) {
    ClaimRequest request{.worker = "w", .lanes = {"m"}, .max_tasks = count};
    INFERQ_ASSIGN(auto claimed, world_.sim().Run(world_.queue().Claim(std::move(request))));
    EXPECT_EQ(claimed.size(), count);
    claims_.clear();
    for (const ClaimedTask& task : claimed) {
      EXPECT_GT(task.fence, ledger_.newest_fence[task.id]);
      ledger_.newest_fence[task.id] = task.fence;
      claims_.push_back({task.id, task.fence});
    }
    for (const auto& item : world_.sim().Run(world_.queue().Start(claims_))) INFERQ_TRY(item);
    return {};
  }
  base::Result<> Complete(TaskRef task, State after, uint64_t length) {
    return Change(task.id, {after}, [&]() -> base::Result<> {
      Completion completion{.task = task, .result = {1, 0, length}};
      INFERQ_TRY(world_.sim().Run(world_.queue().Complete(One(completion)))[0]);
      ledger_.results[task.id] = length;
      return {};
    });
  }
  base::Result<> Fail(TaskRef task, bool retryable, std::set<State> after) {
    return Change(task.id, std::move(after), [&] {
      Failure failure{
          .task = task, .error = base::Error(Code::kUnavailable, "broke"), .retryable = retryable};
      return world_.sim().Run(world_.queue().Fail(One(failure)))[0];
    });
  }
  base::Result<> Release(TaskRef task) {
    return Change(task.id, {State::kQueued},
                  [&] { return world_.sim().Run(world_.queue().Release(One(task)))[0]; });
  }
  base::Result<> Cancel(TaskId id) {
    return Change(id, {State::kCancelled},
                  [&] { return world_.sim().Run(world_.queue().Cancel(One(id)))[0]; });
  }
  base::Result<> Requeue(TaskId id) {
    return Change(id, {State::kQueued},
                  [&] { return world_.sim().Run(world_.queue().Requeue(One(id)))[0]; });
  }

  World& world_;
  Ledger& ledger_;
  std::vector<TaskId> last_;
  std::vector<TaskRef> claims_;
};

std::vector<model::TaskRecord> All(World& world) {
  QueryRequest request{.limit = 10'000};
  auto records = world.sim().Run(world.queue().Query(request));
  EXPECT_TRUE(records.has_value());
  return records.value_or(std::vector<model::TaskRecord>{});
}

// The queue is open again after whatever happened.
void CheckAgainst(const Ledger& ledger, World& world) {
  auto records = All(world);
  size_t total = records.size();
  EXPECT_TRUE(total == ledger.submitted || total == ledger.submitted + ledger.in_doubt)
      << total << " tasks, " << ledger.submitted << " acknowledged, " << ledger.in_doubt
      << " in doubt";
  std::map<TaskId, model::TaskRecord> by_id;
  std::set<uint64_t> sequences;
  for (auto& record : records) {
    EXPECT_EQ(IsTerminal(record.state), record.finish_sequence > 0);
    EXPECT_FALSE(HasLease(record.state));
    EXPECT_LE(record.attempts, record.spec.max_attempts);
    if (record.finish_sequence > 0) EXPECT_TRUE(sequences.insert(record.finish_sequence).second);
    by_id[record.id] = record;
  }
  uint64_t last = world.queue().Stats({}).last_finish_sequence;
  if (!sequences.empty()) EXPECT_LE(*sequences.rbegin(), last);
  for (const auto& [id, states] : ledger.allowed) {
    ASSERT_TRUE(by_id.contains(id)) << ToString(id) << " was acknowledged and is gone";
    EXPECT_TRUE(states.contains(by_id[id].state))
        << ToString(id) << " is " << StateName(by_id[id].state);
  }
  for (const auto& [id, length] : ledger.results)
    EXPECT_EQ(by_id[id].outcome.result.length, length);
  EXPECT_EQ(world.queue().Stats({}).total(), total);
}

// It still works: keys hold, old claims are refused, fences rise, all work ends exactly once.
void CheckUsable(const Ledger& ledger, World& world) {
  for (const auto& [key, id] : ledger.keys) {
    TaskSpec spec;
    spec.lane = "m";
    spec.idempotency_key = key;
    auto again = world.sim().Run(world.queue().Submit(One(spec)));
    ASSERT_TRUE(again.has_value()) << again.error().ToString();
    EXPECT_EQ((*again)[0], id);
  }
  for (const TaskRef& task : ledger.lost_claims) {
    auto items = world.sim().Run(world.queue().Complete(One(Completion{.task = task})));
    EXPECT_FALSE(items[0].has_value());
  }
  world.sim().RunFor(10s);  // retries are due
  std::set<TaskId> ran;
  while (true) {
    ClaimRequest request{.worker = "w", .lanes = {"m"}, .max_tasks = 10};
    auto claimed = world.sim().Run(world.queue().Claim(std::move(request)));
    ASSERT_TRUE(claimed.has_value());
    if (claimed->empty()) break;
    std::vector<TaskRef> refs;
    std::vector<Completion> completions;
    for (const ClaimedTask& task : *claimed) {
      auto newest = ledger.newest_fence.find(task.id);
      if (newest != ledger.newest_fence.end()) EXPECT_GT(task.fence, newest->second);
      EXPECT_TRUE(ran.insert(task.id).second);
      refs.push_back({task.id, task.fence});
      completions.push_back({.task = refs.back()});
    }
    for (const auto& item : world.sim().Run(world.queue().Start(refs)))
      EXPECT_TRUE(item.has_value());
    for (const auto& item : world.sim().Run(world.queue().Complete(completions)))
      EXPECT_TRUE(item.has_value());
  }
  std::set<uint64_t> sequences;
  for (const auto& record : All(world)) {
    EXPECT_TRUE(IsTerminal(record.state)) << StateName(record.state);
    EXPECT_TRUE(sequences.insert(record.finish_sequence).second);
  }
}

void ReopenAndCheck(const Ledger& ledger, World& world) {
  auto opened = world.Open();
  ASSERT_TRUE(opened.has_value()) << opened.error().ToString();
  CheckAgainst(ledger, world);
  CheckUsable(ledger, world);
  EXPECT_TRUE(world.Close().has_value());
}

uint64_t OperationsOfTheHistory() {
  World world("queue_crash_count");
  Ledger ledger;
  uint64_t before = world.disk().operations();
  auto run = History(world, ledger).Run();
  EXPECT_TRUE(run.has_value()) << run.error().ToString();
  return world.disk().operations() - before;
}

class QueueCrash : public ::testing::TestWithParam<CrashMode> {};

TEST_P(QueueCrash, APowerCutAtAnyOperationLosesNothingAcknowledged) {
  uint64_t operations = OperationsOfTheHistory();
  EXPECT_GT(operations, 50u);
  for (uint64_t n = 1; n <= operations && !HasFailure(); ++n) {
    SCOPED_TRACE(fmt::format("power cut at operation {} of {}", n, operations));
    World world("queue_crash");
    Ledger ledger;
    base::Rng rng(n);
    world.disk().CrashAtOperation(world.disk().operations() + n);
    auto run = History(world, ledger).Run();
    // At the very end SQLite tidies up, where nothing depends on success.
    if (n + 10 < operations) EXPECT_FALSE(run.has_value());
    world.Drop();
    world.disk().Crash(rng, GetParam());
    ReopenAndCheck(ledger, world);
  }
}

TEST_P(QueueCrash, ASecondPowerCutDuringRecoveryLosesNothingEither) {
  uint64_t operations = OperationsOfTheHistory();
  for (uint64_t n = 3; n <= operations && !HasFailure(); n += 7) {
    for (uint64_t again = 1; again <= 8 && !HasFailure(); ++again) {
      SCOPED_TRACE(fmt::format("power cuts at operation {} and {} later", n, again));
      World world("queue_crash");
      Ledger ledger;
      base::Rng rng(n * 100 + again);
      world.disk().CrashAtOperation(world.disk().operations() + n);
      (void)History(world, ledger).Run();
      world.Drop();
      world.disk().Crash(rng, GetParam());
      world.disk().CrashAtOperation(world.disk().operations() + again);
      (void)world.Open();
      world.Drop();
      world.disk().Crash(rng, GetParam());
      ReopenAndCheck(ledger, world);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, QueueCrash,
                         ::testing::Values(CrashMode::kStrict, CrashMode::kRandom),
                         [](const auto& info) {
                           return info.param == CrashMode::kStrict ? "Strict" : "Random";
                         });

class QueueDiskFault : public ::testing::TestWithParam<DiskFault> {};

// Fails operation `n`; whether a call noticed.
bool FailAt(uint64_t n, DiskFault fault) {
  World world("queue_fault");
  Ledger ledger;
  world.disk().FailOperation(world.disk().operations() + n, fault);
  auto run = History(world, ledger).Run();
  bool noticed = !run.has_value();
  if (noticed) {
    Code code = run.error().code();
    EXPECT_TRUE(code == Code::kUnavailable ||
                (code == Code::kResourceExhausted && fault == DiskFault::kNoSpace))
        << run.error().ToString();
    EXPECT_FALSE(world.queue().healthy());
    TaskSpec spec;
    spec.lane = "m";
    auto more = world.sim().Run(world.queue().Submit(One(spec)));
    EXPECT_FALSE(more.has_value()) << "a failed store must not acknowledge any more";
  }
  world.Drop();
  base::Rng rng(n);
  world.disk().Crash(rng, CrashMode::kStrict);  // what a failed sync covered may be gone
  ReopenAndCheck(ledger, world);
  return noticed;
}

TEST_P(QueueDiskFault, AtAnyOperationNothingUnwrittenIsAcknowledged) {
  uint64_t operations = OperationsOfTheHistory();
  int noticed = 0;
  for (uint64_t n = 1; n <= operations && !HasFailure(); ++n) {
    SCOPED_TRACE(fmt::format("fault at operation {} of {}", n, operations));
    noticed += FailAt(n, GetParam()) ? 1 : 0;
  }
  EXPECT_GT(noticed, 10);
}

INSTANTIATE_TEST_SUITE_P(Faults, QueueDiskFault,
                         ::testing::Values(DiskFault::kNoSpace, DiskFault::kWriteError,
                                           DiskFault::kSyncError),
                         [](const auto& info) {
                           switch (info.param) {
                             case DiskFault::kNoSpace:
                               return "NoSpace";
                             case DiskFault::kWriteError:
                               return "WriteError";
                             default:
                               return "SyncError";
                           }
                         });

// A sync fails and the process starts anew on the same machine: it reads what was written, some of
// which the disk does not have and the system will not write again. What is acknowledged from then
// on must not stand on that.
TEST(QueueFailedSync, WhatTheNextProcessFindsIsDurableBeforeItBuildsOnIt) {
  uint64_t operations = OperationsOfTheHistory();
  for (uint64_t n = 1; n <= operations && !::testing::Test::HasFailure(); ++n) {
    SCOPED_TRACE(fmt::format("sync error at operation {} of {}", n, operations));
    World world("queue_sync");
    Ledger ledger;
    world.disk().FailOperation(world.disk().operations() + n, DiskFault::kSyncError);
    (void)History(world, ledger).Run();
    base::Rng rng(n);
    world.Kill(rng, CrashMode::kProcess);
    auto opened = world.Open();
    ASSERT_TRUE(opened.has_value()) << opened.error().ToString();
    CheckAgainst(ledger, world);
    TaskSpec spec;
    spec.lane = "m";
    auto more = world.sim().Run(world.queue().Submit(One(spec)));
    ASSERT_TRUE(more.has_value()) << more.error().ToString();
    ledger.allowed[(*more)[0]] = {State::kQueued};
    ++ledger.submitted;
    world.Kill(rng, CrashMode::kStrict);
    ReopenAndCheck(ledger, world);
  }
}

TEST(QueueDiskFull, IsToldAsExhaustedAndRecoversWithSpace) {
  World world("queue_full");
  ASSERT_TRUE(world.Open());
  TaskSpec spec;
  spec.lane = "m";
  size_t acknowledged = 0;
  world.disk().SetCapacity(world.disk().used() + 100'000);
  base::Result<std::vector<TaskId>> ids;
  while ((ids = world.sim().Run(world.queue().Submit(std::vector<TaskSpec>(100, spec)))))
    acknowledged += 100;
  EXPECT_EQ(ids.error().code(), Code::kResourceExhausted);
  EXPECT_GT(acknowledged, 0u);
  EXPECT_FALSE(world.queue().healthy());
  world.Drop();
  world.disk().SetCapacity(UINT64_MAX);
  ASSERT_TRUE(world.Open());
  size_t found = All(world).size();
  EXPECT_TRUE(found == acknowledged || found == acknowledged + 100) << found;
  EXPECT_TRUE(world.sim().Run(world.queue().Submit(One(spec))).has_value());
  EXPECT_TRUE(world.Close().has_value());
}

}  // namespace
}  // namespace inferq::queue
