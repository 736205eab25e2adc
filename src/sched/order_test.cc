#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sched/scheduler.h"

namespace inferq::sched {
namespace {

using model::TaskId;
using testing::ElementsAre;
using testing::IsEmpty;

base::WallTime At(int64_t seconds) { return base::WallTime(std::chrono::seconds(seconds)); }

using Factory = std::unique_ptr<Scheduler> (*)(OrderPolicy);

/// Each rule of the order, by example, for both implementations.
class OrderTest : public testing::TestWithParam<Factory> {
 protected:
  void SetPolicy(OrderPolicy policy) {
    policy_ = policy;
    scheduler_ = GetParam()(policy);
  }

  /// A task of tenant "t" in lane "m"; its key is its id in seconds unless changed.
  static Entry Task(uint64_t id) {
    return {.id = TaskId{id}, .tenant = "t", .lane = "m", .key = static_cast<Key>(id) * 1'000'000};
  }
  Entry With(Entry entry, auto change) {
    change(entry);
    return entry;
  }
  void AddAll(std::initializer_list<uint64_t> ids) {
    for (uint64_t id : ids) scheduler_->Add(Task(id));
  }
  void AddFor(const std::string& tenant, uint64_t id, model::TokenCount cost = 1) {
    scheduler_->Add(With(Task(id), [&](Entry& e) { e.tenant = tenant, e.cost = cost; }));
  }
  void AddInteractive(const std::string& tenant, uint64_t id, model::TokenCount cost = 1) {
    scheduler_->Add(
        With(Task(id), [&](Entry& e) { e.tenant = tenant, e.cost = cost, e.interactive = true; }));
  }
  void AddDue(uint64_t id, int64_t deadline) {
    scheduler_->Add(With(Task(id), [&](Entry& e) { e.deadline = At(deadline); }));
  }

  void AddAlike(std::vector<std::pair<uint64_t, model::LocalityKey>> tasks,
                const std::string& tenant = "t") {
    for (auto& [id, locality] : tasks) {
      scheduler_->Add(With(Task(id), [&](Entry& e) { e.tenant = tenant, e.locality = locality; }));
    }
  }

  std::vector<uint64_t> Pick(uint32_t n, std::vector<std::string> lanes = {"m"},
                             model::TokenCount budget = UINT64_MAX) {
    PickRequest request{.lanes = lanes, .max_tasks = n, .token_budget = budget, .now = now_};
    std::vector<uint64_t> ids;
    for (TaskId id : scheduler_->Pick(request)) ids.push_back(id.value);
    return ids;
  }
  std::vector<uint64_t> PickInteractive(uint32_t n) {
    std::vector<std::string> lanes{"m"};
    std::vector<uint64_t> ids;
    for (TaskId id : scheduler_->Pick(
             {.lanes = lanes, .max_tasks = n, .now = now_, .interactive_only = true})) {
      ids.push_back(id.value);
    }
    return ids;
  }
  /// n picks of one task each.
  std::vector<uint64_t> PickEach(int n) {
    std::vector<uint64_t> ids;
    for (int i = 0; i < n; ++i) {
      for (uint64_t id : Pick(1)) ids.push_back(id);
    }
    return ids;
  }

  OrderPolicy policy_;
  std::unique_ptr<Scheduler> scheduler_ = GetParam()(policy_);
  base::WallTime now_ = At(100);
};

INSTANTIATE_TEST_SUITE_P(Indexed, OrderTest, testing::Values(&MakeScheduler));
INSTANTIATE_TEST_SUITE_P(Naive, OrderTest, testing::Values(&MakeNaiveScheduler));

TEST_P(OrderTest, SmallestKeyFirstThenId) {
  AddAll({3, 1});
  scheduler_->Add(With(Task(2), [](Entry& e) { e.key = 1'000'000; }));
  EXPECT_THAT(Pick(2), ElementsAre(1, 2));
  EXPECT_THAT(Pick(9), ElementsAre(3));
  EXPECT_THAT(Pick(1), IsEmpty());
}

TEST_P(OrderTest, OnlyNamedLanes) {
  scheduler_->Add(With(Task(1), [](Entry& e) { e.lane = "other"; }));
  AddAll({2});
  EXPECT_EQ(scheduler_->waiting_in("other"), 1u);
  EXPECT_EQ(scheduler_->waiting_in("none"), 0u);
  EXPECT_THAT(Pick(9), ElementsAre(2));
  EXPECT_THAT(Pick(9, {"other", "m", "none"}), ElementsAre(1));
}

TEST_P(OrderTest, SeveralLanesAreOneOrder) {
  for (uint64_t id : {4u, 1u, 3u, 2u}) {
    scheduler_->Add(With(Task(id), [&](Entry& e) { e.lane = id % 2 ? "a" : "b"; }));
  }
  EXPECT_THAT(Pick(9, {"b", "a"}), ElementsAre(1, 2, 3, 4));
}

TEST_P(OrderTest, RemovesAndEdits) {
  AddAll({1, 2, 3});
  EXPECT_TRUE(scheduler_->Remove(TaskId{1}));
  EXPECT_FALSE(scheduler_->Remove(TaskId{1}));
  EXPECT_TRUE(scheduler_->Edit(TaskId{3}, 0, std::nullopt));
  EXPECT_FALSE(scheduler_->Edit(TaskId{9}, 0, std::nullopt));
  EXPECT_EQ(scheduler_->waiting(), 2u);
  EXPECT_THAT(Pick(9), ElementsAre(3, 2));
}

TEST_P(OrderTest, AnEditedDeadlineCounts) {
  AddAll({1, 2});
  scheduler_->Edit(TaskId{2}, 2'000'000, At(50));
  EXPECT_THAT(PickEach(1), ElementsAre(2));
  AddDue(3, 10);
  scheduler_->Edit(TaskId{3}, 3'000'000, std::nullopt);
  EXPECT_THAT(PickEach(2), ElementsAre(1, 3));
}

TEST_P(OrderTest, DueWorkAlternatesWithOtherWork) {
  AddAll({1, 2, 3});
  for (uint64_t id : {11u, 12u, 13u, 14u}) AddDue(id, static_cast<int64_t>(30 - id));
  EXPECT_THAT(PickEach(7), ElementsAre(14, 1, 13, 2, 12, 3, 11));
}

TEST_P(OrderTest, DueWorkGoesByDeadlineWhenNothingElseWaits) {
  for (uint64_t id : {11u, 12u, 13u}) AddDue(id, static_cast<int64_t>(30 - id));
  EXPECT_THAT(PickEach(3), ElementsAre(13, 12, 11));
}

TEST_P(OrderTest, AWiderQuotaWindowAllowsDueWorkInARow) {
  SetPolicy({.due_quota_window = 4});
  AddAll({1, 2, 3, 4});
  for (uint64_t id : {11u, 12u, 13u, 14u}) AddDue(id, static_cast<int64_t>(id));
  EXPECT_THAT(PickEach(8), ElementsAre(11, 12, 1, 2, 13, 14, 3, 4));
}

TEST_P(OrderTest, WithoutAQuotaDueWorkWaitsForTheRest) {
  SetPolicy({.due_quota_window = 1});
  AddAll({1, 2});
  AddDue(11, 1);
  EXPECT_THAT(PickEach(3), ElementsAre(1, 2, 11));
}

TEST_P(OrderTest, TheQuotaIsKeptForEachLane) {
  for (const char* lane : {"a", "b"}) {
    for (uint64_t i = 0; i < 2; ++i) {
      uint64_t base = lane[0] == 'a' ? 10 : 20;
      scheduler_->Add(With(Task(base + i), [&](Entry& e) { e.lane = lane; }));
      scheduler_->Add(With(Task(base + 5 + i), [&](Entry& e) {
        e.lane = lane;
        e.deadline = At(1);
      }));
    }
  }
  EXPECT_THAT(Pick(1, {"a"}), ElementsAre(15));
  EXPECT_THAT(Pick(1, {"b"}), ElementsAre(25));
  EXPECT_THAT(Pick(1, {"a"}), ElementsAre(10));
  EXPECT_THAT(Pick(1, {"b"}), ElementsAre(20));
}

TEST_P(OrderTest, TheQuotaIsThatOfTheLaneThatWouldWait) {
  for (uint64_t id : {11u, 12u, 13u}) {
    scheduler_->Add(With(Task(id), [](Entry& e) { e.lane = "late", e.deadline = At(1); }));
  }
  AddAll({1, 2});
  std::vector<uint64_t> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(Pick(1, {"late", "m"}).at(0));
  EXPECT_THAT(ids, ElementsAre(11, 1, 12, 2, 13));
}

TEST_P(OrderTest, ADeadlineMattersOnlyOnceDue) {
  AddAll({1});
  scheduler_->Add(With(Task(2), [](Entry& e) {
    e.deadline = At(110);
    e.expected_run = std::chrono::seconds(10);
  }));
  AddAll({3, 4});
  EXPECT_THAT(PickEach(1), ElementsAre(1)) << "now + run == deadline is in time";
  now_ += base::Micros(1);
  AddAll({1});
  EXPECT_THAT(PickEach(1), ElementsAre(2));
}

TEST_P(OrderTest, AClockSetBackMakesWorkNotDueAgain) {
  AddAll({1, 2});
  AddDue(3, 50);
  EXPECT_EQ(scheduler_->Explain(TaskId{3}, At(100))->ahead_in_lane, 0u);
  now_ = At(40);
  EXPECT_THAT(PickEach(3), ElementsAre(1, 2, 3));
}

TEST_P(OrderTest, TenantsTakeTurnsByCost) {
  for (uint64_t i = 0; i < 3; ++i) {
    AddFor("a", 10 + i, 2);
    AddFor("b", 20 + i, 1);
  }
  EXPECT_THAT(PickEach(6), ElementsAre(10, 20, 21, 11, 22, 12));
}

TEST_P(OrderTest, WeightsDivideTheCost) {
  scheduler_->SetTenant("a", {.weight = 3});
  for (uint64_t i = 0; i < 6; ++i) {
    AddFor("a", 10 + i, 3);
    AddFor("b", 20 + i, 3);
  }
  EXPECT_THAT(PickEach(8), ElementsAre(10, 20, 11, 12, 13, 21, 14, 15));
}

TEST_P(OrderTest, SettlingChargesWhatItReallyCost) {
  for (uint64_t i = 0; i < 3; ++i) {
    AddFor("a", 10 + i);
    AddFor("b", 20 + i);
  }
  EXPECT_THAT(PickEach(1), ElementsAre(10));
  scheduler_->Settle("a", 1, 3);
  EXPECT_THAT(PickEach(4), ElementsAre(20, 21, 22, 11));
}

TEST_P(OrderTest, WeightsDivideWhatIsSettledToo) {
  scheduler_->SetTenant("a", {.weight = 2});
  for (uint64_t i = 0; i < 3; ++i) {
    AddFor("a", 10 + i, 2);
    AddFor("b", 20 + i);
  }
  EXPECT_THAT(PickEach(1), ElementsAre(10));
  scheduler_->Settle("a", 2, 4);
  EXPECT_THAT(PickEach(4), ElementsAre(20, 21, 11, 22)) << "a is at 2, as b after two";
}

TEST_P(OrderTest, ARefundGivesTheTurnBack) {
  AddFor("a", 10);
  AddFor("a", 11);
  AddFor("b", 20);
  EXPECT_THAT(PickEach(1), ElementsAre(10));
  scheduler_->Refund("a", 1);
  EXPECT_THAT(PickEach(2), ElementsAre(11, 20));
}

TEST_P(OrderTest, ATenantAtItsCapIsPassedOver) {
  scheduler_->SetTenant("a", {.max_running = 1});
  AddFor("a", 10);
  AddFor("a", 11);
  AddFor("b", 20, 100);
  AddFor("b", 21, 100);
  EXPECT_THAT(Pick(9), ElementsAre(10, 20, 21));
  EXPECT_TRUE(scheduler_->Explain(TaskId{11}, now_)->tenant_capped);
  EXPECT_THAT(Pick(9), IsEmpty());
  scheduler_->Settle("a", 1, 1);
  EXPECT_THAT(Pick(9), ElementsAre(11));
}

TEST_P(OrderTest, AChargeCountsAsRunning) {
  scheduler_->SetTenant("a", {.max_running = 1});
  scheduler_->Charge("a", 5);
  AddFor("a", 10);
  EXPECT_THAT(Pick(1), IsEmpty());
  scheduler_->Refund("a", 5);
  EXPECT_THAT(Pick(1), ElementsAre(10));
}

TEST_P(OrderTest, AnIdleTenantComesBackAtTheCurrentTime) {
  for (uint64_t i = 0; i < 20; ++i) AddFor("b", 20 + i);
  PickEach(10);
  for (uint64_t i = 0; i < 5; ++i) AddFor("a", 10 + i);
  EXPECT_THAT(PickEach(4), ElementsAre(10, 30, 11, 31)) << "no credit for the past";
}

TEST_P(OrderTest, BothIdleNobodyGainsByComingFirst) {
  AddFor("b", 1, 1000);
  EXPECT_THAT(PickEach(1), ElementsAre(1));
  AddFor("b", 21);
  EXPECT_THAT(PickEach(1), ElementsAre(21));
  for (uint64_t i = 0; i < 3; ++i) AddFor("a", 10 + i);
  AddFor("b", 22);
  EXPECT_THAT(PickEach(4), ElementsAre(10, 11, 22, 12))
      << "a starts 1 behind b, not 1001; tie: name";
}

TEST_P(OrderTest, RestoredVirtualTimesHoldUntilTheFirstPick) {
  scheduler_->RestoreVirtualTime("a", 5);
  scheduler_->RestoreVirtualTime("b", 7);
  AddFor("b", 20);
  for (uint64_t i = 0; i < 4; ++i) AddFor("a", 10 + i);
  EXPECT_THAT(PickEach(4), ElementsAre(10, 11, 12, 20)) << "tie at 7: by name";
  AddFor("b", 21);
  auto times = scheduler_->VirtualTimes();
  EXPECT_EQ(times, (std::vector<std::pair<std::string, double>>{{"a", 8}, {"b", 8}}));
}

TEST_P(OrderTest, WhoIsIdleIsToldAtTheTimeItWouldComeBackAt) {
  AddFor("idle", 10);
  for (uint64_t i = 0; i < 3; ++i) AddFor("busy", 20 + i);
  EXPECT_THAT(PickEach(3), ElementsAre(20, 10, 21));
  auto times = scheduler_->VirtualTimes();
  EXPECT_EQ(times, (std::vector<std::pair<std::string, double>>{{"busy", 2}, {"idle", 2}}))
      << "a restart gives it no credit either";
}

TEST_P(OrderTest, TheTokenBudgetEndsThePickButNeverForbidsTheFirst) {
  for (uint64_t i = 1; i <= 4; ++i) AddFor("t", i, i == 3 ? 10 : 4);
  EXPECT_THAT(Pick(9, {"m"}, 9), ElementsAre(1, 2)) << "4 does not overtake 3";
  EXPECT_THAT(Pick(9, {"m"}, 1), ElementsAre(3));
}

TEST_P(OrderTest, ASuspectIsPickedAlone) {
  AddAll({1});
  scheduler_->Add(With(Task(2), [](Entry& e) { e.alone = true; }));
  AddAll({3});
  EXPECT_THAT(Pick(9), ElementsAre(1));
  EXPECT_THAT(Pick(9), ElementsAre(2));
  EXPECT_THAT(Pick(9), ElementsAre(3));
}

TEST_P(OrderTest, AClaimKeepsSharedPrefixesTogetherInsideTheWindow) {
  SetPolicy({.prefix_window = std::chrono::seconds(5)});
  auto add = [&](uint64_t id, model::LocalityKey locality) {
    scheduler_->Add(With(Task(id), [&](Entry& e) { e.locality = locality; }));
  };
  add(1, {7, 8});
  add(2, {5});
  add(3, {7, 9});
  add(4, {7, 8, 1});
  add(8, {7, 8, 1});
  // After 1: 4 shares two parts. After 4: 8 shares three but is more than 5 s behind 2; 3 shares
  // one.
  EXPECT_THAT(Pick(9), ElementsAre(1, 4, 3, 2, 8));
}

TEST_P(OrderTest, ClaimsOfOneTaskEachKeepPrefixesTogetherAsWell) {
  SetPolicy({.prefix_window = std::chrono::seconds(50)});
  AddAlike({{1, {7}}, {2, {5}}, {3, {7}}, {4, {5}}});
  EXPECT_THAT(PickEach(4), ElementsAre(1, 3, 2, 4));
}

TEST_P(OrderTest, WithoutAWindowPrefixesCountForNothing) {
  AddAlike({{1, {7}}, {2, {5}}, {3, {7}}});
  EXPECT_THAT(PickEach(3), ElementsAre(1, 2, 3));
}

TEST_P(OrderTest, TenantsThatTakeTurnsKeepTheirOwnPrefixes) {
  SetPolicy({.prefix_window = std::chrono::seconds(50)});
  AddAlike({{1, {7}}, {2, {5}}, {3, {7}}}, "a");
  AddAlike({{11, {9}}, {12, {7}}, {13, {9}}}, "b");
  EXPECT_THAT(PickEach(6), ElementsAre(1, 11, 3, 13, 2, 12));
}

TEST_P(OrderTest, EachLaneRemembersItsPrefix) {
  SetPolicy({.prefix_window = std::chrono::seconds(50)});
  AddAlike({{1, {7}}, {2, {5}}, {3, {7}}});
  for (uint64_t id : {4u, 5u, 6u}) {
    scheduler_->Add(
        With(Task(id), [&](Entry& e) { e.lane = "other", e.locality = {id == 5 ? 8u : 9u, 1}; }));
  }
  EXPECT_THAT(Pick(1), ElementsAre(1));
  EXPECT_THAT(Pick(1, {"other"}), ElementsAre(4));
  EXPECT_THAT(Pick(9, {"m", "other"}), ElementsAre(6, 3, 2, 5)) << "6 shares two parts, 3 one";
}

TEST_P(OrderTest, DueWorkDoesNotTearAGroupApart) {
  SetPolicy({.prefix_window = std::chrono::seconds(50)});
  AddAlike({{1, {7}}, {2, {5}}, {3, {7}}});
  EXPECT_THAT(Pick(1), ElementsAre(1));
  scheduler_->Add(With(Task(9), [](Entry& e) { e.deadline = At(1), e.locality = {5}; }));
  EXPECT_THAT(PickEach(3), ElementsAre(9, 3, 2));
}

TEST_P(OrderTest, InteractivePicksNeitherFollowNorDisturbPrefixes) {
  SetPolicy({.prefix_window = std::chrono::seconds(50)});
  AddAlike({{1, {7}}, {2, {5}}, {3, {7}}});
  for (uint64_t id : {11u, 12u}) {
    scheduler_->Add(With(Task(id), [&](Entry& e) {
      e.interactive = true;
      e.locality = {id == 11 ? 5u : 7u};
    }));
  }
  EXPECT_THAT(Pick(1), ElementsAre(1));
  EXPECT_THAT(PickInteractive(1), ElementsAre(11)) << "by key, though 12 shares more";
  EXPECT_THAT(Pick(1), ElementsAre(3)) << "as if nothing had been picked between";
}

TEST_P(OrderTest, AnInteractivePickConsidersOnlyThoseByTheSameRules) {
  AddAll({1, 2});
  for (uint64_t id : {5u, 4u}) AddInteractive("t", id);
  scheduler_->Add(With(Task(6), [](Entry& e) { e.interactive = true, e.deadline = At(99); }));
  EXPECT_THAT(PickInteractive(1), ElementsAre(6)) << "due";
  EXPECT_THAT(PickInteractive(9), ElementsAre(4, 5)) << "by key";
  EXPECT_THAT(PickInteractive(9), IsEmpty());
  EXPECT_THAT(Pick(9), ElementsAre(1, 2));
}

TEST_P(OrderTest, OtherPicksTreatInteractiveTasksLikeAnyOther) {
  AddAll({1, 3});
  AddInteractive("t", 2);
  EXPECT_THAT(Pick(9), ElementsAre(1, 2, 3));
}

TEST_P(OrderTest, AnInteractivePickChoosesAmongTenantsThatHaveSuchWork) {
  AddFor("idle", 1);
  for (uint64_t id : {11u, 12u}) AddInteractive("a", id, 10);
  for (uint64_t id : {21u, 22u}) AddInteractive("b", id, 15);
  EXPECT_THAT(PickInteractive(3), ElementsAre(11, 21, 12)) << "the least virtual time";
  scheduler_->SetTenant("b", {.max_running = 1});
  EXPECT_THAT(PickInteractive(1), IsEmpty()) << "capped";
  EXPECT_THAT(Pick(1), ElementsAre(1)) << "and charged: the third has used nothing";
}

TEST_P(OrderTest, InteractivePicksAreChargedToTheSameVirtualTime) {
  AddInteractive("a", 1, 100);
  EXPECT_THAT(PickInteractive(1), ElementsAre(1));
  AddFor("b", 21);
  AddFor("a", 11);
  AddFor("b", 22);
  EXPECT_THAT(PickEach(3), ElementsAre(21, 22, 11));
}

TEST_P(OrderTest, WhoLivesOnInteractivePicksGainsNoCredit) {
  for (uint64_t i = 0; i < 20; ++i) AddFor("batch", 100 + i, 10);
  PickEach(10);  // its virtual time: 100
  for (uint64_t i = 0; i < 3; ++i) {
    AddInteractive("online", 1 + i);  // enters at 100, not at the 0 of an idle kind
    EXPECT_THAT(PickInteractive(1), ElementsAre(1 + i));
  }
  EXPECT_THAT(scheduler_->VirtualTimes(),
              ElementsAre(std::pair("batch", 100.0), std::pair("online", 103.0)));
}

TEST_P(OrderTest, WhoLivesOnInteractivePicksPushesNobodyBack) {
  for (uint64_t i = 0; i < 9; ++i) AddFor("batch", 100 + i);
  AddInteractive("online", 1, 1000);
  AddInteractive("online", 2, 1000);
  EXPECT_THAT(PickInteractive(1), ElementsAre(1));
  EXPECT_THAT(PickInteractive(1), ElementsAre(2)) << "at 1000, far ahead of the lane";
  for (uint64_t i = 0; i < 2; ++i) AddFor("new", 200 + i);
  EXPECT_THAT(PickEach(4), ElementsAre(100, 200, 101, 201)) << "it enters beside batch, at 0";
}

TEST_P(OrderTest, AloneInTheLaneInteractivePicksMoveItsClock) {
  AddInteractive("a", 1, 1000);
  AddInteractive("a", 2, 1);
  EXPECT_THAT(PickInteractive(1), ElementsAre(1));
  EXPECT_THAT(PickInteractive(1), ElementsAre(2));
  AddInteractive("b", 3);
  EXPECT_THAT(scheduler_->VirtualTimes(),
              ElementsAre(std::pair("a", 1001.0), std::pair("b", 1000.0)));
}

TEST_P(OrderTest, ExplainsWhatGoesBefore) {
  AddAll({1, 2, 3});
  AddDue(11, 20);
  AddDue(12, 10);
  AddFor("a", 20, 5);
  PickEach(1);
  EXPECT_EQ(scheduler_->Explain(TaskId{11}, now_)->ahead_in_lane, 1u);
  auto standing = scheduler_->Explain(TaskId{3}, now_);
  EXPECT_EQ(standing->ahead_in_lane, 4u) << "two due ones and 1 and 2";
  EXPECT_FALSE(standing->tenant_capped);
  EXPECT_FALSE(scheduler_->Explain(TaskId{20}, now_));
}

TEST_P(OrderTest, SettlingMoreThanWasPickedIsABug) {
  EXPECT_DEATH(scheduler_->Settle("a", 1, 1), "running > 0");
}

}  // namespace
}  // namespace inferq::sched
