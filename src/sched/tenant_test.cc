// Guarantees, buckets and pauses, by example, for both implementations.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sched/scheduler.h"

namespace inferq::sched {
namespace {

using model::BatchId;
using model::TaskId;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

base::WallTime At(int64_t second) { return base::WallTime(seconds(second)); }

using Factory = std::unique_ptr<Scheduler> (*)(OrderPolicy);

class TenantTest : public testing::TestWithParam<Factory> {
 protected:
  struct Where {
    std::string lane = "m";
    uint64_t batch = 0;
    bool interactive = false;
  };
  /// Its key is its id in seconds.
  void Add(const std::string& tenant, uint64_t id, model::TokenCount cost = 1) {
    Add(tenant, id, cost, {});
  }
  void Add(const std::string& tenant, uint64_t id, model::TokenCount cost, Where where) {
    scheduler_->Add({.id = {id},
                     .tenant = tenant,
                     .lane = where.lane,
                     .key = static_cast<Key>(id) * 1'000'000,
                     .cost = cost,
                     .interactive = where.interactive,
                     .batch = BatchId{where.batch}});
  }
  void AddMany(const std::string& tenant, uint64_t first, int n, model::TokenCount cost = 1) {
    for (int i = 0; i < n; ++i) Add(tenant, first + static_cast<uint64_t>(i), cost);
  }
  std::vector<uint64_t> Pick(uint32_t n, std::vector<std::string> lanes = {"m"},
                             bool interactive_only = false) {
    PickRequest request{
        .lanes = lanes, .max_tasks = n, .now = now_, .interactive_only = interactive_only};
    std::vector<uint64_t> ids;
    for (TaskId id : scheduler_->Pick(request)) ids.push_back(id.value);
    return ids;
  }
  std::vector<uint64_t> PickEach(int n) {
    std::vector<uint64_t> ids;
    for (int i = 0; i < n; ++i) {
      for (uint64_t id : Pick(1)) ids.push_back(id);
    }
    return ids;
  }
  std::optional<base::WallTime> Next(std::vector<std::string> lanes = {"m"}) {
    return scheduler_->NextEligible(lanes, now_);
  }
  Standing Of(uint64_t id) { return scheduler_->Explain(TaskId{id}, now_).value(); }
  double VirtualTime(const std::string& tenant) {
    for (auto& [name, time] : scheduler_->VirtualTimes()) {
      if (name == tenant) return time;
    }
    return -1;
  }

  std::unique_ptr<Scheduler> scheduler_ = GetParam()({});
  base::WallTime now_ = At(1'000);
};

INSTANTIATE_TEST_SUITE_P(Indexed, TenantTest, testing::Values(&MakeScheduler));
INSTANTIATE_TEST_SUITE_P(Naive, TenantTest, testing::Values(&MakeNaiveScheduler));

// Pauses.

TEST_P(TenantTest, APausedTenantIsPassedOverAndKeepsItsPlaces) {
  Add("a", 1);
  Add("a", 2);
  Add("b", 3);
  scheduler_->PauseTenant("a", true);
  EXPECT_EQ(scheduler_->waiting(), 3u);
  EXPECT_EQ(scheduler_->waiting_in("m"), 1u);
  EXPECT_EQ(scheduler_->paused(), 2u);
  EXPECT_TRUE(Of(1).tenant_paused);
  EXPECT_THAT(Pick(9), ElementsAre(3));
  scheduler_->PauseTenant("a", false);
  EXPECT_EQ(scheduler_->paused(), 0u);
  EXPECT_FALSE(Of(1).tenant_paused);
  EXPECT_THAT(Pick(9), ElementsAre(1, 2));
}

TEST_P(TenantTest, APausedLaneIsPassedOver) {
  Add("a", 1);
  Add("a", 2, 1, {.lane = "other"});
  scheduler_->PauseLane("m", true);
  EXPECT_EQ(scheduler_->waiting_in("m"), 0u);
  EXPECT_EQ(scheduler_->waiting_in("other"), 1u);
  EXPECT_TRUE(Of(1).lane_paused);
  EXPECT_FALSE(Of(2).lane_paused);
  EXPECT_THAT(Pick(9, {"m", "other"}), ElementsAre(2));
  scheduler_->PauseLane("m", false);
  EXPECT_THAT(Pick(9, {"m", "other"}), ElementsAre(1));
}

TEST_P(TenantTest, APausedBatchIsPassedOverNewTasksOfItAsWell) {
  Add("a", 1, 1, {.batch = 7});
  Add("a", 2);
  scheduler_->PauseBatch(BatchId{7}, true);
  Add("a", 3, 1, {.batch = 7});
  EXPECT_EQ(scheduler_->waiting_in("m"), 1u);
  EXPECT_EQ(scheduler_->paused(), 2u);
  EXPECT_TRUE(Of(3).batch_paused);
  EXPECT_EQ(Of(3).ahead_in_lane, 1u) << "1 does not run before it now";
  EXPECT_THAT(Pick(9), ElementsAre(2));
  Add("a", 4);
  scheduler_->PauseBatch(BatchId{7}, false);
  EXPECT_FALSE(Of(3).batch_paused);
  EXPECT_THAT(Pick(9), ElementsAre(1, 3, 4));
}

TEST_P(TenantTest, PausedTasksCanBeEditedAndRemoved) {
  for (uint64_t id : {1u, 2u, 3u}) Add("a", id, 1, {.batch = 7});
  scheduler_->PauseBatch(BatchId{7}, true);
  EXPECT_TRUE(scheduler_->Remove(TaskId{1}));
  EXPECT_TRUE(scheduler_->Edit(TaskId{3}, 0, std::nullopt));
  EXPECT_EQ(scheduler_->paused(), 2u);
  scheduler_->PauseBatch(BatchId{7}, false);
  EXPECT_THAT(Pick(9), ElementsAre(3, 2));
}

TEST_P(TenantTest, WhatIsPausedTwiceIsResumedOnce) {
  Add("a", 1, 1, {.batch = 7});
  for (int i = 0; i < 2; ++i) {
    scheduler_->PauseBatch(BatchId{7}, true);
    scheduler_->PauseTenant("a", true);
    scheduler_->PauseLane("m", true);
  }
  scheduler_->PauseBatch(BatchId{7}, false);
  EXPECT_THAT(Pick(1), IsEmpty());
  scheduler_->PauseTenant("a", false);
  EXPECT_THAT(Pick(1), IsEmpty());
  scheduler_->PauseLane("m", false);
  EXPECT_THAT(Pick(1), ElementsAre(1));
}

TEST_P(TenantTest, APausedTenantHasNoClaimOnThePast) {
  AddMany("b", 20, 20);
  AddMany("a", 10, 5);
  scheduler_->PauseTenant("a", true);
  PickEach(10);
  scheduler_->PauseTenant("a", false);
  EXPECT_THAT(PickEach(4), ElementsAre(10, 30, 11, 31));
}

TEST_P(TenantTest, NorHasOneWhoseOnlyBatchOrLaneWasPaused) {
  AddMany("b", 20, 20);
  for (uint64_t id : {10u, 11u}) Add("a", id, 1, {.batch = 7});
  for (uint64_t id : {12u, 13u}) Add("c", id, 1, {.lane = "other"});
  scheduler_->PauseBatch(BatchId{7}, true);
  scheduler_->PauseLane("other", true);
  PickEach(10);
  scheduler_->PauseBatch(BatchId{7}, false);
  EXPECT_EQ(VirtualTime("a"), 10);
  scheduler_->PauseLane("other", false);
  EXPECT_EQ(Of(12).tenant_virtual_time, 0) << "in its own lane nothing has happened";
}

TEST_P(TenantTest, WhoStillWaitsElsewhereKeepsItsClaim) {
  AddMany("b", 20, 20);
  Add("a", 10, 1, {.batch = 7});
  Add("a", 11, 1, {.lane = "other"});
  scheduler_->PauseBatch(BatchId{7}, true);
  PickEach(10);
  scheduler_->PauseBatch(BatchId{7}, false);
  EXPECT_EQ(VirtualTime("a"), 0);
}

TEST_P(TenantTest, PausedWorkDoesNotHoldTheLanesClockBack) {
  AddMany("a", 10, 3);
  scheduler_->PauseTenant("a", true);
  AddMany("b", 20, 20);
  PickEach(10);
  Add("c", 5);
  EXPECT_EQ(VirtualTime("c"), 10) << "beside b, not beside a at 0";
}

// Buckets.

TEST_P(TenantTest, AnEmptyBucketHoldsATenantUpUntilItRefills) {
  scheduler_->SetTenant("a", {.tokens_per_minute = 60});
  AddMany("a", 1, 9, 30);
  Add("b", 50);
  EXPECT_THAT(Pick(9), ElementsAre(1, 50, 2)) << "full at first: 60";
  EXPECT_THAT(Next(), Optional(now_ + base::Micros(1)));
  now_ += base::Micros(1);
  EXPECT_THAT(Pick(9), ElementsAre(3)) << "something in it; overdrawn by one task";
  EXPECT_THAT(Of(4).throttled_until, Optional(now_ + seconds(30)));
  EXPECT_THAT(Next(), Optional(now_ + seconds(30)));
  now_ += seconds(30) - base::Micros(1);
  EXPECT_THAT(Pick(9), IsEmpty());
  now_ += base::Micros(1);
  EXPECT_FALSE(Of(4).throttled_until);
  EXPECT_THAT(Next(), Optional(now_)) << "as the last pick left it";
  EXPECT_THAT(Pick(9), ElementsAre(4));
}

TEST_P(TenantTest, ABucketHoldsNoMoreThanAMinute) {
  scheduler_->SetTenant("a", {.tokens_per_minute = 60});
  AddMany("a", 1, 99, 20);
  EXPECT_EQ(Pick(99).size(), 3u);
  now_ += std::chrono::hours(5);
  EXPECT_EQ(Pick(99).size(), 3u);
}

TEST_P(TenantTest, SettlementsAndRefundsCorrectTheBucket) {
  scheduler_->SetTenant("a", {.tokens_per_minute = 60});
  AddMany("a", 1, 9, 60);
  EXPECT_THAT(Pick(9), ElementsAre(1));
  scheduler_->Refund("a", 60);
  EXPECT_THAT(Pick(9), ElementsAre(2)) << "full again";
  scheduler_->Settle("a", 60, 90);
  EXPECT_THAT(Next(), Optional(now_ + seconds(30) + base::Micros(1)));
  scheduler_->Charge("a", 10);
  EXPECT_THAT(Next(), Optional(now_ + seconds(40) + base::Micros(1)));
}

TEST_P(TenantTest, AClockSetBackStopsTheRefillForOneStep) {
  scheduler_->SetTenant("a", {.tokens_per_minute = 60});
  AddMany("a", 1, 9, 60);
  EXPECT_THAT(Pick(9), ElementsAre(1));
  now_ -= std::chrono::hours(1);
  EXPECT_THAT(Pick(9), IsEmpty());
  EXPECT_THAT(Next(), Optional(now_ + base::Micros(1)));
  now_ += base::Micros(1);
  EXPECT_THAT(Pick(9), ElementsAre(2));
}

TEST_P(TenantTest, NextEligibleNamesOnlyThoseHeldUpByNothingElse) {
  scheduler_->SetTenant("a", {.max_running = 1, .tokens_per_minute = 60});
  AddMany("a", 1, 3, 60);
  EXPECT_THAT(Pick(9), ElementsAre(1));
  EXPECT_EQ(Next(), std::nullopt) << "capped as well";
  scheduler_->Settle("a", 60, 60);
  EXPECT_NE(Next(), std::nullopt);
  EXPECT_EQ(Next({"other"}), std::nullopt);
  scheduler_->PauseTenant("a", true);
  EXPECT_EQ(Next(), std::nullopt);
  scheduler_->PauseTenant("a", false);
  scheduler_->PauseLane("m", true);
  EXPECT_EQ(Next(), std::nullopt);
  scheduler_->PauseLane("m", false);
  scheduler_->SetTenant("a", {.tokens_per_minute = 0});
  EXPECT_EQ(Next(), std::nullopt) << "never";
  EXPECT_THAT(Of(2).throttled_until, Optional(base::WallTime::max()));
  EXPECT_THAT(Pick(9), IsEmpty());
}

TEST_P(TenantTest, ABucketBearsAnyCost) {
  scheduler_->SetTenant("a", {.tokens_per_minute = 1});
  AddMany("a", 1, 2, UINT64_MAX);
  EXPECT_THAT(Pick(9), ElementsAre(1));
  EXPECT_THAT(Next(), Optional(testing::Gt(now_ + std::chrono::years(30))));
  scheduler_->Settle("a", UINT64_MAX, 0);
  EXPECT_THAT(Pick(9), ElementsAre(2));
}

TEST_P(TenantTest, WithoutABoundThereIsNoBucket) {
  AddMany("a", 1, 9, UINT64_MAX / 16);
  EXPECT_EQ(Pick(99).size(), 9u);
}

// Guarantees.

TEST_P(TenantTest, WhoIsBelowItsGuaranteeGoesFirst) {
  scheduler_->SetTenant("z", {.weight = 0.001, .min_share = 0.25});
  AddMany("a", 100, 20);
  AddMany("z", 1, 9);
  // z is never the one with the least virtual time, but for the start.
  EXPECT_THAT(PickEach(9), ElementsAre(100, 1, 101, 102, 103, 2, 104, 105, 106));
  EXPECT_TRUE(Of(3).below_guarantee) << "4 given since it got 1";
  EXPECT_FALSE(Of(107).below_guarantee);
}

TEST_P(TenantTest, TheMostOwedGoesFirst) {
  scheduler_->SetTenant("y", {.weight = 0.001, .min_share = 0.2});
  scheduler_->SetTenant("z", {.weight = 0.001, .min_share = 0.2});
  AddMany("a", 100, 9, 10);
  Add("z", 1);
  Add("z", 2);
  EXPECT_THAT(PickEach(1), ElementsAre(100));
  Add("y", 11);
  EXPECT_THAT(PickEach(2), ElementsAre(1, 2)) << "y is owed a part of what is given from now on";
}

TEST_P(TenantTest, AGuaranteeSavesUpNoCreditWhileItCouldNotBeUsed) {
  scheduler_->SetTenant("z", {.weight = 0.001, .min_share = 0.5});
  AddMany("a", 100, 60);
  PickEach(20);
  AddMany("z", 1, 20);
  EXPECT_THAT(PickEach(4), ElementsAre(120, 1, 121, 2)) << "idle";
  scheduler_->PauseTenant("z", true);
  PickEach(20);
  scheduler_->PauseTenant("z", false);
  EXPECT_THAT(PickEach(4), ElementsAre(142, 3, 143, 4)) << "paused";
}

TEST_P(TenantTest, WhatItGotBeyondItsGuaranteeIsSoonForgotten) {
  scheduler_->SetTenant("z", {.weight = 0.001, .min_share = 0.5});
  AddMany("z", 1, 40);
  PickEach(30);  // alone: all
  AddMany("a", 100, 20);
  // 31 by virtual time; 32 because it is owed.
  EXPECT_THAT(PickEach(5), ElementsAre(100, 31, 101, 102, 32));
}

TEST_P(TenantTest, AGuaranteeHoldsForWhatTheNamedLanesGiveTogether) {
  scheduler_->SetTenant("z", {.weight = 0.001, .min_share = 0.5});
  for (uint64_t i = 0; i < 9; ++i) Add("a", 100 + i, 1, {.lane = "other"});
  AddMany("z", 1, 4);
  Pick(1, {"other"});
  EXPECT_FALSE(Of(1).below_guarantee) << "that pick could not have taken it";
  EXPECT_THAT(Pick(1, {"m", "other"}), ElementsAre(1)) << "virtual time 0";
  Pick(2, {"m", "other"});
  EXPECT_THAT(Pick(1, {"m", "other"}), ElementsAre(2));
}

TEST_P(TenantTest, PicksOfInteractiveTasksAloneLeaveGuaranteesAsTheyAre) {
  scheduler_->SetTenant("z", {.weight = 0.001, .min_share = 0.5});
  Add("z", 1, 1, {.interactive = true});
  Add("z", 2, 1, {.interactive = true});
  for (uint64_t i = 0; i < 9; ++i) Add("a", 100 + i, 1, {.interactive = true});
  EXPECT_THAT(PickEach(3), ElementsAre(100, 1, 101));
  EXPECT_TRUE(Of(2).below_guarantee);
  EXPECT_THAT(Pick(1, {"m"}, true), ElementsAre(102)) << "the least virtual time";
  EXPECT_THAT(Pick(1), ElementsAre(2));
  Add("z", 3);
  Pick(1, {"m"}, true);
  EXPECT_FALSE(Of(3).below_guarantee) << "nothing was given since";
}

TEST_P(TenantTest, GuaranteesThatAddUpToTooMuchHaveABoundedPast) {
  for (const char* tenant : {"x", "y"}) {
    scheduler_->SetTenant(tenant, {.weight = 0.001, .min_share = 0.6});
  }
  AddMany("x", 1, 600);
  AddMany("y", 10'001, 900);
  AddMany("a", 20'001, 300);
  auto others = [&](int picks) {
    return std::ranges::count_if(PickEach(picks), [](uint64_t id) { return id > 20'000; });
  };
  EXPECT_LE(others(1'200), 2) << "all is guaranteed";
  EXPECT_GE(others(150), 20) << "x has no more; y is owed 64 tasks, not 200";
}

TEST_P(TenantTest, GuaranteesAreParts) {
  EXPECT_DEATH(scheduler_->SetTenant("a", {.min_share = 1}), "min_share < 1");
  EXPECT_DEATH(scheduler_->SetTenant("a", {.min_share = -0.1}), "min_share >= 0");
}

}  // namespace
}  // namespace inferq::sched
