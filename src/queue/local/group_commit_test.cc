#include "queue/local/group_commit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "queue/local/fence_source.h"
#include "queue/local/local_queue.h"
#include "queue/local/memory_journal.h"
#include "testing/sim_runtime.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

/// Changes are numbers; a commit remembers which it held.
class NumberJournal final : public Journal {
 public:
  base::Result<> Open(const RecoveryVisitor&) override { return {}; }
  base::Result<> Commit(const ChangeSet& changes) override {
    std::vector<uint64_t> numbers;
    for (const StateRow& row : changes.states) numbers.push_back(row.id.value);
    if (fail) return base::Fail(base::Code::kUnavailable, "broken");
    commits.push_back(numbers);
    return {};
  }
  base::Result<bool> Maintain() override {
    if (fail_maintenance) return base::Fail(base::Code::kUnavailable, "worn");
    ++turns;
    if (work > 0) --work;
    return work > 0;
  }
  base::Result<std::unique_ptr<JournalReader>> NewReader() override { return nullptr; }
  base::Result<> Close() override { return {}; }
  std::vector<std::vector<uint64_t>> commits;
  bool fail = false;
  bool fail_maintenance = false;
  int turns = 0;
  int work = 0;  // turns that are needed
};

class GroupCommitTest : public ::testing::Test {
 protected:
  explicit GroupCommitTest(base::Micros slowest = 1ms)
      : sim_({.seed = 1, .max_blocking_delay = slowest}) {
    commits_.emplace(sim_, journal_, 20ms,
                     GroupCommit::Owner{.collect = [this] { return Collect(); },
                                        .on_durable = [](GroupCommit::Group) {}});
  }
  ChangeSet Collect() {
    ChangeSet changes;
    for (uint64_t number : std::exchange(changed_, {}))
      changes.states.emplace_back().id = model::TaskId{number};
    return changes;
  }
  // Changes something and waits until it is durable.
  static runtime::Awaitable<void> Write(GroupCommitTest& test, uint64_t number) {
    test.changed_.push_back(number);
    test.commits_->Request();
    auto result = co_await test.commits_->WaitFor(test.commits_->current());
    (result ? test.durable_ : test.failed_).push_back(number);
  }

  testing::SimRuntime sim_;
  std::shared_ptr<NumberJournal> journal_ = std::make_shared<NumberJournal>();
  std::vector<uint64_t> changed_;
  std::vector<uint64_t> durable_;
  std::vector<uint64_t> failed_;
  std::optional<GroupCommit> commits_;
};

TEST_F(GroupCommitTest, GathersWhileACommitIsUnderWay) {
  sim_.SpawnDetached(Write(*this, 1));
  sim_.RunUntil([this] { return changed_.empty() && commits_->current() == 2; }, 0s);
  for (uint64_t n = 2; n <= 5; ++n) sim_.SpawnDetached(Write(*this, n));
  sim_.RunFor(10ms);
  EXPECT_THAT(journal_->commits, ElementsAre(ElementsAre(1), ElementsAre(2, 3, 4, 5)));
  EXPECT_THAT(durable_, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(GroupCommitTest, NobodyResumesBeforeTheCommit) {
  sim_.SpawnDetached(Write(*this, 1));
  EXPECT_TRUE(sim_.RunUntil([this] { return !durable_.empty(); }));
  EXPECT_THAT(journal_->commits, ElementsAre(ElementsAre(1)));
}

TEST_F(GroupCommitTest, RidingChangesGoWithTheNextCommitOrAfterTheLinger) {
  changed_.push_back(1);
  commits_->Ride();
  sim_.RunFor(10ms);
  EXPECT_TRUE(journal_->commits.empty());
  sim_.Run(Write(*this, 2));
  EXPECT_THAT(journal_->commits, ElementsAre(ElementsAre(1, 2)));
  changed_.push_back(3);
  commits_->Ride();
  sim_.RunFor(19ms);
  EXPECT_EQ(journal_->commits.size(), 1u);
  sim_.RunFor(2ms);
  EXPECT_THAT(journal_->commits, ElementsAre(ElementsAre(1, 2), ElementsAre(3)));
}

TEST_F(GroupCommitTest, AFailureIsFinalForAllThatWaitAndAllThatCome) {
  journal_->fail = true;
  sim_.SpawnDetached(Write(*this, 1));
  sim_.RunUntil([this] { return commits_->current() == 2; }, 0s);
  sim_.SpawnDetached(Write(*this, 2));  // in the group behind it
  sim_.RunUntilIdle();
  EXPECT_THAT(failed_, ElementsAre(2, 1));
  journal_->fail = false;
  sim_.Run(Write(*this, 3));
  sim_.RunUntilIdle();
  EXPECT_THAT(failed_, ElementsAre(2, 1, 3));
  EXPECT_TRUE(journal_->commits.empty());
}

TEST_F(GroupCommitTest, TheJournalGetsATurnAfterCommits) {
  sim_.Run(Write(*this, 1));
  sim_.Run(Write(*this, 2));
  EXPECT_EQ(journal_->turns, 0);
  sim_.RunFor(200ms);
  EXPECT_EQ(journal_->turns, 1);
  sim_.RunFor(10s);
  EXPECT_EQ(journal_->turns, 1) << "nothing was written since";
}

TEST_F(GroupCommitTest, TurnsGoOnWhileThereIsMoreToDo) {
  journal_->work = 5;
  sim_.Run(Write(*this, 1));
  sim_.RunFor(10s);
  EXPECT_EQ(journal_->turns, 5);
}

TEST_F(GroupCommitTest, TurnsAreTakenUnderLoadAndLeaveMostOfTheTime) {
  journal_->work = 1'000'000;
  for (uint64_t n = 1; n <= 50'000; ++n) {  // some wait whenever a commit ends
    sim_.SpawnDetached(Write(*this, n));
    sim_.RunFor(10us);
  }
  EXPECT_GT(durable_.size(), 49'000u);
  EXPECT_GT(journal_->turns, 40);
  EXPECT_LT(journal_->turns, 120);  // of half a millisecond, in half a second
  journal_->work = 0;
  sim_.RunUntilIdle();
}

TEST_F(GroupCommitTest, AFailedTurnIsFinalToo) {
  journal_->fail_maintenance = true;
  sim_.Run(Write(*this, 1));
  sim_.RunFor(200ms);
  sim_.Run(Write(*this, 2));
  EXPECT_THAT(durable_, ElementsAre(1));
  EXPECT_THAT(failed_, ElementsAre(2));
}

TEST_F(GroupCommitTest, AtRestThereAreNoTurns) {
  sim_.Run(Write(*this, 1));
  commits_->Rest();
  sim_.Run(Write(*this, 2));
  sim_.RunFor(1s);
  EXPECT_EQ(journal_->turns, 0);
}

TEST_F(GroupCommitTest, MayBeDestroyedDuringACommit) {
  commits_->Request();
  sim_.RunUntil([this] { return commits_->current() == 2; }, 0s);
  commits_.reset();
  sim_.RunUntilIdle();
  EXPECT_EQ(sim_.pending(), 0u);
}

// Clients at the other end of a network, each with one request at a time.
runtime::Awaitable<void> Ask(testing::SimRuntime& sim, base::Micros away, int times,
                             std::function<runtime::Awaitable<void>(uint64_t)> write) {
  for (int i = 0; i < times; ++i) {
    co_await write(1);
    co_await sim.SleepFor(away);
  }
}

class SlowGroupCommitTest : public GroupCommitTest {
 protected:
  SlowGroupCommitTest() : GroupCommitTest(8ms) {}
};

TEST_F(SlowGroupCommitTest, ThoseWhoComeBackShareOneCommit) {
  auto write = [this](uint64_t n) { return Write(*this, n); };
  for (int i = 0; i < 8; ++i) {
    sim_.SpawnDetached(Ask(sim_, 50us, 50, write));
    sim_.RunFor(1ms);  // they begin apart
  }
  sim_.RunFor(10s);
  EXPECT_EQ(durable_.size(), 400u);
  EXPECT_LT(journal_->commits.size(), 70u);  // 50 if together from the beginning, else 100
}

TEST_F(GroupCommitTest, NobodyWaitsForThoseWhoDoNotComeBack) {
  auto write = [this](uint64_t n) { return Write(*this, n); };
  sim_.Run(Ask(sim_, 0us, 1, write));
  base::SteadyTime began = sim_.clock().Steady();
  sim_.Run(write(2));
  EXPECT_LE(sim_.clock().Steady() - began, 1ms);  // what the commit takes
}

constexpr base::SteadyTime kThen{base::Micros(1'000'000)};

TEST(GatherPolicyTest, WaitsForAsManyAsThereWereForHalfOfTheTime) {
  GatherPolicy policy;
  EXPECT_FALSE(policy.Waits(kThen, 1)) << "the first one of all";
  policy.Begins(1);
  policy.Ended(kThen, 1ms, 8, 3);
  EXPECT_TRUE(policy.Waits(kThen, 10));
  EXPECT_FALSE(policy.Waits(kThen, 11));
  EXPECT_TRUE(policy.Waits(kThen + 499us, 10));
  EXPECT_FALSE(policy.Waits(kThen + 500us, 10));
  EXPECT_EQ(policy.until(), kThen + 500us);
  policy.Begins(11);
  policy.Ended(kThen, 1s, 1, 0);
  EXPECT_FALSE(policy.Waits(kThen + 2ms, 0)) << "never long";
}

TEST(GatherPolicyTest, AWaitInVainIsNotRepeatedForAWhile) {
  GatherPolicy policy;
  policy.Ended(kThen, 1ms, 8, 0);
  EXPECT_TRUE(policy.Waits(kThen, 1));
  policy.Begins(3);
  for (int i = 0; i < 10; ++i) {
    policy.Ended(kThen, 1ms, 8, 0);
    EXPECT_FALSE(policy.Waits(kThen, 1));
    policy.Begins(1);
  }
  policy.Ended(kThen, 1ms, 8, 0);
  EXPECT_TRUE(policy.Waits(kThen, 1));
}

TEST(FenceSourceTest, ReservesTheNextIncarnationLongBeforeItIsUsed) {
  FenceSource fences(7, UINT32_MAX / 2 - 1);
  EXPECT_EQ(fences.reserved(), 7u);
  EXPECT_EQ(fences.Next(), model::MakeFence(7, UINT32_MAX / 2));
  EXPECT_EQ(fences.reserved(), 8u);
}

TEST(FenceSourceTest, GoesOnInTheReservedIncarnation) {
  FenceSource fences(7, UINT32_MAX - 1);
  EXPECT_EQ(fences.Next(), model::MakeFence(7, UINT32_MAX));
  EXPECT_EQ(fences.Next(), model::MakeFence(8, 1));
  EXPECT_EQ(fences.reserved(), 8u);
}

// A failed journal: nothing is acknowledged, the queue stays unhealthy, a restart shows what was
// durable.
TEST(LocalQueueFailureTest, NothingIsAcknowledgedAfterAFailedCommit) {
  testing::SimRuntime sim;
  auto store = std::make_shared<MemoryStore>();
  auto queue = MakeLocalQueue(sim, MakeMemoryJournal(store));
  ASSERT_TRUE(sim.Run(queue->Open()));
  model::TaskSpec spec;
  spec.lane = "m";
  model::TaskId id = sim.Run(queue->Submit({spec})).value()[0];
  auto claimed = sim.Run(queue->Claim({.worker = "w", .lanes = {"m"}})).value();
  TaskRef ref{claimed[0].id, claimed[0].fence};
  ASSERT_TRUE(sim.Run(queue->Start({ref}))[0]);
  store->FailCommits(base::Error(base::Code::kResourceExhausted, "disk full"));
  Completion completion{.task = ref};
  auto items = sim.Run(queue->Complete({completion}));
  ASSERT_FALSE(items[0].has_value());
  EXPECT_EQ(items[0].error().code(), base::Code::kResourceExhausted);
  EXPECT_FALSE(queue->healthy());
  store->FailCommits(std::nullopt);
  EXPECT_FALSE(sim.Run(queue->Submit({spec})).has_value());
  EXPECT_FALSE(sim.Run(queue->Get(id)).has_value()) << "memory is ahead of the disk";
  EXPECT_FALSE(sim.Run(queue->Claim({.worker = "w", .lanes = {"m"}})).has_value());
  EXPECT_EQ(sim.Run(queue->Renew({Renewal{.task = ref}}))[0], RenewalReply::kLost);
  EXPECT_EQ(queue->Stats({}).by_state[static_cast<size_t>(model::State::kSucceeded)], 0u);
  queue = MakeLocalQueue(sim, MakeMemoryJournal(store));
  ASSERT_TRUE(sim.Run(queue->Open()));
  EXPECT_EQ(sim.Run(queue->Get(id)).value().state, model::State::kQueued);
  EXPECT_EQ(store->tasks(), 1u);
  EXPECT_TRUE(sim.Run(queue->Close()));
}

// What a task may run on, the ending of its parent, is durable before anybody runs it: else a power
// cut could take the ending back when the child is under way.
TEST(LocalQueueFailureTest, NothingIsGivenOutThatStandsOnAFailedCommit) {
  testing::SimRuntime sim;
  auto store = std::make_shared<MemoryStore>();
  auto queue = MakeLocalQueue(sim, MakeMemoryJournal(store));
  ASSERT_TRUE(sim.Run(queue->Open()));
  model::TaskSpec spec;
  spec.lane = "m";
  model::TaskId parent = sim.Run(queue->Submit({spec})).value()[0];
  spec.parents = {parent};
  ASSERT_TRUE(sim.Run(queue->Submit({spec})));
  auto claimed = sim.Run(queue->Claim({.worker = "w", .lanes = {"m"}})).value();
  TaskRef ref{claimed[0].id, claimed[0].fence};
  ASSERT_TRUE(sim.Run(queue->Start({ref}))[0]);
  store->FailCommits(base::Error(base::Code::kUnavailable, "broken"));
  std::optional<base::Result<std::vector<ClaimedTask>>> child;
  sim.SpawnDetached([](Queue& q, TaskRef task) -> runtime::Awaitable<void> {
    (void)co_await q.Complete({Completion{.task = task}});
  }(*queue, ref));
  sim.SpawnDetached([](Queue& q, auto& answer) -> runtime::Awaitable<void> {
    answer = co_await q.Claim({.worker = "w", .lanes = {"m"}});
  }(*queue, child));
  ASSERT_TRUE(sim.RunUntil([&child] { return child.has_value(); }));
  EXPECT_FALSE(child->has_value());
}

// Who repeats a submission under its key is told when the first one is durable, not before.
TEST(LocalQueueFailureTest, ARepeatedSubmissionIsAcknowledgedWithTheFirst) {
  testing::SimRuntime sim;
  auto store = std::make_shared<MemoryStore>();
  auto queue = MakeLocalQueue(sim, MakeMemoryJournal(store));
  ASSERT_TRUE(sim.Run(queue->Open()));
  store->FailCommits(base::Error(base::Code::kUnavailable, "broken"));
  model::TaskSpec spec;
  spec.lane = "m";
  spec.idempotency_key = "k";
  std::vector<bool> acknowledged;
  for (int i = 0; i < 2; ++i) {
    sim.SpawnDetached(
        [](Queue& q, model::TaskSpec one, std::vector<bool>& out) -> runtime::Awaitable<void> {
          auto ids = co_await q.Submit({std::move(one)});
          out.push_back(ids.has_value());
        }(*queue, spec, acknowledged));
  }
  ASSERT_TRUE(sim.RunUntil([&acknowledged] { return acknowledged.size() == 2; }));
  EXPECT_THAT(acknowledged, ElementsAre(false, false));
}

// A task that is cancelled while its claim waits for the disk is not handed out.
TEST(LocalQueueFailureTest, WhatIsCancelledBeforeItIsHandedOutIsNot) {
  testing::SimRuntime sim({.seed = 1, .max_blocking_delay = 1s});
  auto queue = MakeLocalQueue(sim, MakeMemoryJournal(std::make_shared<MemoryStore>()));
  ASSERT_TRUE(sim.Run(queue->Open()));
  model::TaskSpec spec;
  spec.lane = "m";
  std::optional<base::Result<std::vector<ClaimedTask>>> claimed;
  sim.SpawnDetached([](Queue& q, model::TaskSpec one) -> runtime::Awaitable<void> {
    (void)co_await q.Submit({std::move(one)});
  }(*queue, spec));
  sim.SpawnDetached([](Queue& q, auto& answer) -> runtime::Awaitable<void> {
    answer = co_await q.Claim({.worker = "w", .lanes = {"m"}});
  }(*queue, claimed));
  sim.SpawnDetached(
      [](Queue& q) -> runtime::Awaitable<void> { (void)co_await q.CancelWhere({}); }(*queue));
  ASSERT_TRUE(sim.RunUntil([&claimed] { return claimed.has_value(); }));
  ASSERT_TRUE(claimed->has_value());
  EXPECT_TRUE((*claimed)->empty());
  EXPECT_TRUE(sim.Run(queue->Close()));
}

}  // namespace
}  // namespace inferq::queue
