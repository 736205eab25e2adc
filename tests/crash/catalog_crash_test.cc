// The catalog over SQLite on a disk that loses what was not synced: the power goes at every
// operation of a history in turn, and every operation fails in turn. Every acknowledged update must
// be there afterwards, and none in half.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "catalog/sqlite_catalog.h"
#include "testing/sim_disk.h"
#include "testing/sim_runtime.h"
#include "testing/sim_vfs.h"

namespace inferq::catalog {
namespace {

using base::Code;
using model::BatchRecord;
using model::BatchStatus;
using model::FileRecord;
using testing::CrashMode;
using testing::DiskFault;

class World {
 public:
  explicit World(std::string name) : vfs_(disk_, std::move(name)) {
    EXPECT_TRUE(disk_.CreateDirectory("/c"));
    disk_.SyncAll();
  }
  ~World() { Drop(); }

  testing::SimDisk& disk() { return disk_; }
  testing::SimRuntime& sim() { return sim_; }
  Catalog& catalog() { return *catalog_; }

  base::Result<> Open() {
    catalog_ = MakeSqliteCatalog(sim_, {.path = "/c/catalog.db", .vfs = vfs_.name()});
    return sim_.Run(catalog_->Open());
  }
  base::Result<> Close() { return sim_.Run(catalog_->Close()); }
  // The process dies.
  void Drop() {
    sim_.RunUntilIdle();
    catalog_.reset();
  }

 private:
  testing::SimDisk disk_;
  testing::SimVfs vfs_;
  testing::SimRuntime sim_;
  std::unique_ptr<Catalog> catalog_;
};

std::string Id(std::string_view kind, uint64_t number) { return fmt::format("{}{}", kind, number); }

// Update number n (from 1) adds a batch with as many problems as n, and its file; it writes n into
// the record "counter", and removes the batch of update n - 3. So the state after n updates is
// known, and half an update shows.
base::Result<> Change(Transaction& t, uint64_t n) {
  FileRecord counter;
  if (const FileRecord* found = t.FindFile("counter")) {
    counter = *found;
  } else {
    counter.id = "counter";
    counter.tenant = "t";
    counter.sequence = t.NextSequence();
  }
  EXPECT_EQ(counter.bytes, n - 1) << "updates see those before them";
  counter.bytes = n;
  t.Put(counter);
  FileRecord file;
  file.id = Id("file-", n);
  file.tenant = "t";
  file.sequence = t.NextSequence();
  t.Put(file);
  BatchRecord batch;
  batch.id = Id("batch_", n);
  batch.tenant = "t";
  batch.sequence = t.NextSequence();
  batch.status = BatchStatus::kFailed;
  for (uint64_t i = 0; i < n; ++i) batch.errors.push_back({"c", std::string(200, 'm'), "", i});
  t.Put(batch);
  if (n > 3) t.RemoveBatch(Id("batch_", n - 3));
  return {};
}

// What clients know.
struct Ledger {
  uint64_t acknowledged = 0;   // updates, in order
  uint64_t asked = 0;          // updates, answered or not
  uint64_t last_sequence = 0;  // told by an acknowledged update
};

class History {
 public:
  History(World& world, Ledger& ledger) : world_(world), ledger_(ledger) {}

  // Stops at the first failure.
  base::Result<> Run() {
    INFERQ_TRY(world_.Open());
    for (int i = 0; i < 4; ++i) INFERQ_TRY(Updates(1));
    INFERQ_TRY(Updates(5));  // one commit
    INFERQ_TRY(world_.Close());
    world_.Drop();
    INFERQ_TRY(world_.Open());
    INFERQ_TRY(Updates(2));
    INFERQ_TRY(Updates(30));  // several pages
    return world_.Close();
  }

 private:
  struct Answer {
    base::Result<> result = base::Fail(Code::kInternal, "no answer");
    uint64_t sequence = 0;
  };
  static Awaitable<void> One(Catalog* catalog, uint64_t n, Answer* answer) {
    Catalog::Change change = [n, answer](Transaction& t) -> base::Result<> {
      auto changed = inferq::catalog::Change(t, n);
      answer->sequence = t.NextSequence();
      return changed;
    };
    answer->result = co_await catalog->Update(std::move(change));
  }
  base::Result<> Updates(size_t count) {
    std::vector<Answer> answers(count);
    for (Answer& answer : answers) {
      world_.sim().SpawnDetached(One(&world_.catalog(), ++ledger_.asked, &answer));
    }
    world_.sim().RunUntilIdle();
    for (Answer& answer : answers) {
      if (!answer.result) return answer.result;
      EXPECT_GT(answer.sequence, ledger_.last_sequence);
      ledger_.last_sequence = answer.sequence;
      ++ledger_.acknowledged;
    }
    return {};
  }

  World& world_;
  Ledger& ledger_;
};

// The state is that after `done` whole updates, `done` between what was acknowledged and asked.
void Check(const Ledger& ledger, World& world) {
  const FileRecord* counter = world.catalog().FindFile("counter");
  uint64_t done = counter ? counter->bytes : 0;
  ASSERT_GE(done, ledger.acknowledged) << "an acknowledged update is lost";
  ASSERT_LE(done, ledger.asked);
  for (uint64_t n = 1; n <= ledger.asked; ++n) {
    const BatchRecord* batch = world.catalog().FindBatch(Id("batch_", n));
    EXPECT_EQ(world.catalog().FindFile(Id("file-", n)) != nullptr, n <= done) << n;
    ASSERT_EQ(batch != nullptr, n <= done && n + 3 > done) << n << " of " << done;
    if (batch) EXPECT_EQ(batch->errors.size(), n);
  }
}

void ReopenAndCheck(const Ledger& ledger, World& world) {
  auto opened = world.Open();
  ASSERT_TRUE(opened) << opened.error().ToString();
  Check(ledger, world);
  uint64_t next = 0;
  Catalog::Change draw = [&next](Transaction& t) -> base::Result<> {
    next = t.NextSequence();
    return {};
  };
  ASSERT_TRUE(world.sim().Run(world.catalog().Update(std::move(draw))));
  EXPECT_GT(next, ledger.last_sequence) << "an acknowledged number is given again";
  ASSERT_TRUE(world.Close());
  world.Drop();
  ASSERT_TRUE(world.Open());
  Check(ledger, world);
}

uint64_t OperationsOfTheHistory() {
  World world("catalog_count");
  Ledger ledger;
  uint64_t before = world.disk().operations();
  auto run = History(world, ledger).Run();
  EXPECT_TRUE(run) << run.error().ToString();
  EXPECT_EQ(ledger.acknowledged, 41u);
  return world.disk().operations() - before;
}

class CatalogCrash : public ::testing::TestWithParam<CrashMode> {};

TEST_P(CatalogCrash, AtAnyOperationEveryAcknowledgedUpdateIsThereAndNoneInHalf) {
  uint64_t operations = OperationsOfTheHistory();
  ASSERT_GT(operations, 30u);
  for (uint64_t n = 1; n <= operations && !HasFailure(); ++n) {
    SCOPED_TRACE(fmt::format("crash at operation {} of {}", n, operations));
    World world("catalog_crash");
    Ledger ledger;
    world.disk().CrashAtOperation(world.disk().operations() + n);
    (void)History(world, ledger).Run();  // fails where it fails
    EXPECT_TRUE(world.disk().crashed());
    world.Drop();
    base::Rng rng(n);
    world.disk().Crash(rng, GetParam());
    ReopenAndCheck(ledger, world);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, CatalogCrash,
                         ::testing::Values(CrashMode::kStrict, CrashMode::kRandom),
                         [](const auto& info) {
                           return info.param == CrashMode::kStrict ? "Strict" : "Random";
                         });

class CatalogDiskFault : public ::testing::TestWithParam<DiskFault> {};

// Whether a call noticed the fault at operation `n`.
bool FailAt(uint64_t n, DiskFault fault) {
  World world("catalog_fault");
  Ledger ledger;
  world.disk().FailOperation(world.disk().operations() + n, fault);
  auto run = History(world, ledger).Run();
  if (!run) {
    EXPECT_FALSE(world.catalog().healthy());
    EXPECT_TRUE(run.error().code() == Code::kUnavailable ||
                (run.error().code() == Code::kResourceExhausted && fault == DiskFault::kNoSpace))
        << run.error().ToString();
    Catalog::Change nothing = [](Transaction&) { return base::Result<>{}; };
    EXPECT_FALSE(world.sim().Run(world.catalog().Update(std::move(nothing))))
        << "a failed store must not acknowledge any more";
  }
  world.Drop();
  base::Rng rng(n);
  world.disk().Crash(rng, CrashMode::kStrict);  // what a failed sync covered may be gone
  ReopenAndCheck(ledger, world);
  return !run;
}

TEST_P(CatalogDiskFault, AtAnyOperationNothingUnwrittenIsAcknowledged) {
  uint64_t operations = OperationsOfTheHistory();
  int noticed = 0;
  for (uint64_t n = 1; n <= operations && !HasFailure(); ++n) {
    SCOPED_TRACE(fmt::format("fault at operation {} of {}", n, operations));
    noticed += FailAt(n, GetParam()) ? 1 : 0;
  }
  EXPECT_GT(noticed, 10);
}

INSTANTIATE_TEST_SUITE_P(Faults, CatalogDiskFault,
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

}  // namespace
}  // namespace inferq::catalog
