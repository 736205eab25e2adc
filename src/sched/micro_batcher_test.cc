#include "sched/micro_batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::sched {
namespace {

using base::Code;
using base::Micros;
using base::SteadyTime;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr SteadyTime kStart{std::chrono::hours(1)};
constexpr Micros kWindow = milliseconds(10);

using Ids = std::vector<CallId>;

/// A batcher and a clock to set by hand.
class World {
 public:
  explicit World(MicroBatchOptions options = {})
      : batcher_(MicroBatcher::Make(std::move(options)).value()) {}

  MicroBatcher& batcher() { return *batcher_; }
  SteadyTime now() const { return now_; }
  void Wait(Micros time) { now_ += time; }

  base::Result<> Add(Call call) { return batcher_->Add(std::move(call), now_); }
  void AddSome(CallId first, CallId last) {
    for (CallId id = first; id <= last; ++id) ASSERT_TRUE(Add({.id = id}));
  }
  /// The members of the next batch, none if there is none.
  Ids Next(uint32_t free = 1) {
    auto batch = batcher_->Next(now_, free);
    return batch ? batch->members : Ids{};
  }
  Ids Rejected() {
    Ids ids;
    for (auto& rejected : batcher_->TakeRejected(now_)) ids.push_back(rejected.id);
    return ids;
  }
  /// From now until something is due; nullopt: never.
  std::optional<Micros> Until(uint32_t free = 1) {
    auto next = batcher_->NextDeadline(now_, free);
    return next ? std::optional(*next - now_) : std::nullopt;
  }

 private:
  std::unique_ptr<MicroBatcher> batcher_;
  SteadyTime now_ = kStart;
};

MicroBatchOptions Levels(uint32_t levels, Micros aging = Micros(0)) {
  MicroBatchOptions options;
  options.priority_levels = levels;
  options.default_priority_level = levels;
  options.aging_per_level = aging;
  return options;
}

// max_batch_size

TEST(MicroBatchSize, AFullBatchLeavesAtOnceAndInOrder) {
  World world({.max_batch_size = 3});
  world.AddSome(1, 2);
  EXPECT_THAT(world.Next(), IsEmpty());
  world.AddSome(3, 7);
  EXPECT_THAT(world.Next(), ElementsAre(1, 2, 3));
  EXPECT_THAT(world.Next(), ElementsAre(4, 5, 6));
  EXPECT_THAT(world.Next(), IsEmpty()) << "the seventh waits for others";
}

TEST(MicroBatchSize, NothingLeavesWithoutAFreeInstance) {
  World world({.max_batch_size = 2});
  world.AddSome(1, 3);
  world.Wait(2 * kWindow);
  EXPECT_THAT(world.Next(0), IsEmpty());
  EXPECT_EQ(world.Until(0), std::nullopt) << "no timer helps";
  EXPECT_THAT(world.Next(1), ElementsAre(1, 2));
  EXPECT_THAT(world.Next(1), ElementsAre(3));
}

// preferred_batch_size

TEST(MicroBatchPreferred, TheLargestThatCanBeFormedLeavesAtOnce) {
  World world({.max_batch_size = 8, .preferred_batch_size = {4, 2}});
  world.AddSome(1, 1);
  EXPECT_THAT(world.Next(), IsEmpty());
  world.AddSome(2, 7);
  EXPECT_THAT(world.Next(), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(world.Next(), ElementsAre(5, 6));
  EXPECT_THAT(world.Next(), IsEmpty());
  world.Wait(kWindow);
  EXPECT_THAT(world.Next(), ElementsAre(7)) << "the window counts below the smallest";
}

// max_queue_delay

TEST(MicroBatchDelay, IsTenMillisecondsFromTheOldestAndExact) {
  World world;
  world.AddSome(1, 1);
  world.Wait(milliseconds(4));
  world.AddSome(2, 2);
  EXPECT_EQ(world.Until(), milliseconds(6));
  world.Wait(milliseconds(6) - Micros(1));
  EXPECT_THAT(world.Next(), IsEmpty());
  world.Wait(Micros(1));
  EXPECT_EQ(world.Until(), Micros(0));
  EXPECT_THAT(world.Next(), ElementsAre(1, 2));
  EXPECT_EQ(world.Until(), std::nullopt);
}

TEST(MicroBatchDelay, ZeroSendsWhatIsThere) {
  World world({.max_queue_delay = Micros(0)});
  EXPECT_THAT(world.Next(), IsEmpty());
  world.AddSome(1, 2);
  EXPECT_EQ(world.Until(), Micros(0));
  EXPECT_THAT(world.Next(), ElementsAre(1, 2));
}

TEST(MicroBatchDelay, HoldsForTheOldestOfAllNotOnlyOfTheHead) {
  MicroBatchOptions options = Levels(2);
  World world(options);
  ASSERT_TRUE(world.Add({.id = 1, .level = 2}));
  world.Wait(milliseconds(9));
  ASSERT_TRUE(world.Add({.id = 2, .shape = "other", .level = 1}));
  ASSERT_TRUE(world.Add({.id = 3, .shape = "other", .level = 1}));
  EXPECT_THAT(world.Next(), ElementsAre(2, 3));
  EXPECT_EQ(world.Until(), milliseconds(1));
}

// max_batch_tokens

TEST(MicroBatchTokens, CloseABatchBeforeTheOneThatDoesNotFit) {
  World world({.max_batch_tokens = 10});
  for (CallId id = 1; id <= 2; ++id) ASSERT_TRUE(world.Add({.id = id, .tokens = 4}));
  EXPECT_THAT(world.Next(), IsEmpty());
  ASSERT_TRUE(world.Add({.id = 3, .tokens = 3}));
  ASSERT_TRUE(world.Add({.id = 4, .tokens = 1}));
  auto batch = world.batcher().Next(world.now(), 1);
  ASSERT_TRUE(batch);
  EXPECT_THAT(batch->members, ElementsAre(1, 2)) << "a small one does not overtake the third";
  EXPECT_EQ(batch->tokens, 8u);
  EXPECT_THAT(world.Next(), IsEmpty());
}

TEST(MicroBatchTokens, AtTheBoundTheBatchLeavesAtOnce) {
  World world({.max_batch_tokens = 10});
  ASSERT_TRUE(world.Add({.id = 1, .tokens = 4}));
  ASSERT_TRUE(world.Add({.id = 2, .tokens = 6}));
  EXPECT_THAT(world.Next(), ElementsAre(1, 2));
}

TEST(MicroBatchTokens, ACallAboveTheBoundGoesAlone) {
  World world({.max_batch_tokens = 10});
  ASSERT_TRUE(world.Add({.id = 1, .tokens = UINT64_MAX}));
  ASSERT_TRUE(world.Add({.id = 2, .tokens = 5}));
  ASSERT_TRUE(world.Add({.id = 3, .tokens = UINT64_MAX}));
  EXPECT_THAT(world.Next(), ElementsAre(1));
  EXPECT_THAT(world.Next(), ElementsAre(2));
  EXPECT_THAT(world.Next(), ElementsAre(3));
}

TEST(MicroBatchTokens, TheirSumDoesNotWrap) {
  World world({.max_batch_size = 2});
  for (CallId id = 1; id <= 2; ++id) ASSERT_TRUE(world.Add({.id = id, .tokens = UINT64_MAX}));
  EXPECT_EQ(world.batcher().Next(world.now(), 1)->tokens, UINT64_MAX);
}

// shape

TEST(MicroBatchShape, AnotherOneClosesTheBatch) {
  World world;
  ASSERT_TRUE(world.Add({.id = 1, .shape = "a"}));
  ASSERT_TRUE(world.Add({.id = 2, .shape = "a"}));
  EXPECT_THAT(world.Next(), IsEmpty());
  ASSERT_TRUE(world.Add({.id = 3, .shape = "b"}));
  ASSERT_TRUE(world.Add({.id = 4, .shape = "a"}));
  EXPECT_EQ(world.Until(), Micros(0));
  EXPECT_THAT(world.Next(), ElementsAre(1, 2));
  EXPECT_THAT(world.Next(), ElementsAre(3));
  EXPECT_THAT(world.Next(), IsEmpty());
}

TEST(MicroBatchShape, IsOpenAgainWhenTheOneBetweenIsGone) {
  World world({.max_batch_size = 3});
  ASSERT_TRUE(world.Add({.id = 1, .shape = "a"}));
  ASSERT_TRUE(world.Add({.id = 2, .shape = "b"}));
  ASSERT_TRUE(world.Add({.id = 3, .shape = "a"}));
  ASSERT_EQ(world.Until(), Micros(0));
  ASSERT_TRUE(world.batcher().Cancel(2));
  EXPECT_EQ(world.Until(), kWindow);
  ASSERT_TRUE(world.Add({.id = 4, .shape = "a"}));
  EXPECT_THAT(world.Next(), ElementsAre(1, 3, 4));
}

// preserve_ordering

TEST(MicroBatchOrdering, AnswersOfALaterBatchWaitForTheEarlierOnes) {
  World world({.max_batch_size = 1, .preserve_ordering = true});
  world.AddSome(1, 3);
  for (int i = 0; i < 3; ++i) world.Next();
  MicroBatcher& batcher = world.batcher();
  EXPECT_THAT(batcher.Finish(3), IsEmpty());
  EXPECT_THAT(batcher.Finish(1), ElementsAre(1));
  EXPECT_THAT(batcher.Finish(3), IsEmpty()) << "ended already";
  EXPECT_THAT(batcher.Finish(2), ElementsAre(2, 3));
  EXPECT_THAT(batcher.Finish(2), IsEmpty());
  EXPECT_THAT(batcher.Finish(9), IsEmpty());
}

TEST(MicroBatchOrdering, IsOffUnlessAskedFor) {
  World world({.max_batch_size = 1});
  world.AddSome(1, 2);
  for (int i = 0; i < 2; ++i) world.Next();
  EXPECT_THAT(world.batcher().Finish(2), ElementsAre(2));
  EXPECT_THAT(world.batcher().Finish(2), IsEmpty());
  EXPECT_THAT(world.batcher().Finish(1), ElementsAre(1));
}

// priority_levels, default_priority_level, aging_per_level

TEST(MicroBatchLevels, GoFirstAndABatchMaySpanThem) {
  World world(Levels(3));
  ASSERT_TRUE(world.Add({.id = 1, .level = 3}));
  ASSERT_TRUE(world.Add({.id = 2, .level = 2}));
  ASSERT_TRUE(world.Add({.id = 3, .level = 1}));
  ASSERT_TRUE(world.Add({.id = 4, .level = 2}));
  world.Wait(kWindow);
  EXPECT_THAT(world.Next(), ElementsAre(3, 2, 4, 1));
}

TEST(MicroBatchLevels, UnknownOnesAreTheDefault) {
  MicroBatchOptions options = Levels(3);
  options.default_priority_level = 2;
  World world(options);
  ASSERT_TRUE(world.Add({.id = 1, .level = 3}));
  ASSERT_TRUE(world.Add({.id = 2, .level = 0}));
  ASSERT_TRUE(world.Add({.id = 3, .level = UINT32_MAX}));
  ASSERT_TRUE(world.Add({.id = 4, .level = 1}));
  world.Wait(kWindow);
  EXPECT_THAT(world.Next(), ElementsAre(4, 2, 3, 1));
}

TEST(MicroBatchLevels, ALaterHigherOneEntersTheBatchBeingFormed) {
  MicroBatchOptions options = Levels(2);
  options.max_batch_size = 2;
  World world(options);
  ASSERT_TRUE(world.Add({.id = 1, .level = 2}));
  ASSERT_EQ(world.Until(), kWindow);
  ASSERT_TRUE(world.Add({.id = 2, .shape = "other", .level = 1}));
  EXPECT_THAT(world.Next(), ElementsAre(2));
  ASSERT_TRUE(world.Add({.id = 3, .level = 1}));
  EXPECT_THAT(world.Next(), ElementsAre(3, 1));
}

/// How long a call of the last of four levels waits under a flood of the first.
Micros WaitOfTheLast(Micros aging, int rounds) {
  MicroBatchOptions options = Levels(4, aging);
  options.max_batch_size = 1;
  World world(options);
  EXPECT_TRUE(world.Add({.id = 1, .level = 4}));
  for (CallId id = 2; id < 2u + static_cast<CallId>(rounds); ++id) {
    EXPECT_TRUE(world.Add({.id = id, .level = 1}));
    if (world.Next() == Ids{1}) break;
    world.Wait(milliseconds(1));
  }
  return world.now() - kStart;
}

TEST(MicroBatchAging, BoundsTheWaitOfTheLastLevel) {
  EXPECT_EQ(WaitOfTheLast(milliseconds(50), 10'000), milliseconds(150));
  EXPECT_EQ(WaitOfTheLast(milliseconds(1), 10'000), milliseconds(3));
}

TEST(MicroBatchAging, OffIsStrictAndStarves) {
  EXPECT_EQ(WaitOfTheLast(Micros(0), 10'000), milliseconds(10'000));
}

// timeout_action, default_timeout, allow_timeout_override, max_queue_size

MicroBatchOptions Policy(QueuePolicy policy) {
  MicroBatchOptions options;
  options.default_queue_policy = policy;
  return options;
}

TEST(MicroBatchTimeout, RejectsExactlyWhenItRunsOut) {
  World world(Policy({.default_timeout = milliseconds(30)}));
  world.AddSome(1, 1);
  world.Wait(milliseconds(1));
  world.AddSome(2, 2);
  EXPECT_EQ(world.Until(0), milliseconds(29));
  world.Wait(milliseconds(29) - Micros(1));
  EXPECT_THAT(world.Rejected(), IsEmpty());
  world.Wait(Micros(1));
  EXPECT_EQ(world.Until(0), Micros(0));
  auto rejected = world.batcher().TakeRejected(world.now());
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0].id, 1u);
  EXPECT_EQ(rejected[0].error.code(), Code::kUnavailable);
  EXPECT_THAT(world.Rejected(), IsEmpty()) << "once";
  EXPECT_FALSE(world.batcher().Cancel(1));
  EXPECT_THAT(world.Next(), ElementsAre(2)) << "its window is over";
}

TEST(MicroBatchTimeout, IsOverBeforeABatchIsFormed) {
  World world(Policy({.default_timeout = milliseconds(30)}));
  world.AddSome(1, 1);
  world.Wait(milliseconds(30));
  EXPECT_THAT(world.Next(), IsEmpty());
  EXPECT_EQ(world.Until(), Micros(0)) << "to take the rejected one";
  EXPECT_THAT(world.Rejected(), ElementsAre(1));
  EXPECT_EQ(world.Until(), std::nullopt);
}

TEST(MicroBatchTimeout, NoCallTimesOutForTheSakeOfTheWindow) {
  World world(Policy({.default_timeout = milliseconds(10)}));
  world.AddSome(1, 1);
  EXPECT_EQ(world.Until(), milliseconds(5));
  world.Wait(milliseconds(5));
  EXPECT_THAT(world.Next(), ElementsAre(1));
}

TEST(MicroBatchTimeout, DelaySendsItBehindThoseInTime) {
  MicroBatchOptions options = Levels(2);
  options.default_queue_policy = {.timeout_action = TimeoutAction::kDelay,
                                  .default_timeout = milliseconds(20)};
  World world(options);
  ASSERT_TRUE(world.Add({.id = 1, .level = 1}));
  world.Wait(milliseconds(20));
  ASSERT_TRUE(world.Add({.id = 2, .level = 2}));
  ASSERT_TRUE(world.Add({.id = 3, .level = 1}));
  EXPECT_THAT(world.Next(), ElementsAre(3, 1, 2)) << "behind its own level, before the next";
  EXPECT_THAT(world.Rejected(), IsEmpty());
}

/// How many later calls of its level go before a delayed one, one call a millisecond.
int OvertakenWhenDelayed(Micros aging) {
  MicroBatchOptions options = Levels(1, aging);
  options.max_batch_size = 1;
  options.default_queue_policy.timeout_action = TimeoutAction::kDelay;
  options.default_queue_policy.allow_timeout_override = true;
  World world(options);
  EXPECT_TRUE(world.Add({.id = 1, .timeout = milliseconds(20)}));
  world.Wait(milliseconds(20));
  for (CallId id = 2; id < 1'000; ++id) {
    EXPECT_TRUE(world.Add({.id = id}));
    if (world.Next() == Ids{1}) return static_cast<int>(id) - 2;
    world.Wait(milliseconds(1));
  }
  return 1'000;
}

TEST(MicroBatchTimeout, DelayDoesNotStarveWithAging) {
  EXPECT_EQ(OvertakenWhenDelayed(milliseconds(50)), 50);
  EXPECT_EQ(OvertakenWhenDelayed(Micros(0)), 1'000) << "strict: for ever";
}

TEST(MicroBatchTimeout, OfACallCountsOnlyWhenAllowedAndThenBothWays) {
  for (bool allowed : {false, true}) {
    World world(Policy({.default_timeout = milliseconds(30), .allow_timeout_override = allowed}));
    ASSERT_TRUE(world.Add({.id = 1, .timeout = milliseconds(20)}));
    ASSERT_TRUE(world.Add({.id = 2, .timeout = milliseconds(40)}));
    ASSERT_TRUE(world.Add({.id = 3}));
    world.Wait(milliseconds(20));
    EXPECT_EQ(world.Rejected(), allowed ? Ids{1} : Ids{});
    world.Wait(milliseconds(10));
    EXPECT_EQ(world.Rejected(), allowed ? Ids{3} : (Ids{1, 2, 3}));
    world.Wait(milliseconds(10));
    EXPECT_EQ(world.Rejected(), allowed ? Ids{2} : Ids{});
  }
}

TEST(MicroBatchTimeout, OfACallCountsWithoutADefault) {
  World world(Policy({.allow_timeout_override = true}));
  ASSERT_TRUE(world.Add({.id = 1, .timeout = milliseconds(20)}));
  ASSERT_TRUE(world.Add({.id = 2}));
  world.Wait(milliseconds(20));
  EXPECT_THAT(world.Rejected(), ElementsAre(1));
  EXPECT_EQ(world.Until(0), std::nullopt) << "none by default";
}

TEST(MicroBatchTimeout, HostileOnesAreRefusedOrNone) {
  World world(Policy({.default_timeout = milliseconds(30), .allow_timeout_override = true}));
  auto added = world.Add({.id = 1, .timeout = Micros(-1)});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(added.error().param(), "timeout");
  ASSERT_TRUE(world.Add({.id = 2, .timeout = Micros::max()}));
  EXPECT_EQ(world.Until(0), std::nullopt) << "more than a day is no timeout";
  ASSERT_TRUE(world.Add({.id = 3, .timeout = Micros(1)}));
  EXPECT_THAT(world.Next(), ElementsAre(2, 3)) << "a hold of nothing, then";
}

TEST(MicroBatchQueueSize, BoundsEachLevelApart) {
  MicroBatchOptions options = Levels(2);
  options.default_queue_policy.max_queue_size = 2;
  options.priority_queue_policy[1] = {.default_timeout = milliseconds(30), .max_queue_size = 1};
  World world(options);
  ASSERT_TRUE(world.Add({.id = 1, .level = 1}));
  EXPECT_EQ(world.Add({.id = 2, .level = 1}).error().code(), Code::kResourceExhausted);
  ASSERT_TRUE(world.Add({.id = 3, .level = 2}));
  ASSERT_TRUE(world.Add({.id = 4, .level = 0}));
  EXPECT_EQ(world.Add({.id = 5, .level = 2}).error().code(), Code::kResourceExhausted);
  ASSERT_TRUE(world.batcher().Cancel(3));
  EXPECT_TRUE(world.Add({.id = 6, .level = 2})) << "a cancelled one makes room";
  world.Wait(milliseconds(30));
  EXPECT_TRUE(world.Add({.id = 7, .level = 1})) << "and one that timed out";
  EXPECT_THAT(world.Next(), ElementsAre(7, 4, 6));
  EXPECT_TRUE(world.Add({.id = 8, .level = 1})) << "and one that left";
}

TEST(MicroBatchIds, WaitOnceAndMayComeAgainAfterwards) {
  World world({.max_queue_delay = Micros(0)});
  ASSERT_TRUE(world.Add({.id = 1}));
  EXPECT_EQ(world.Add({.id = 1}).error().code(), Code::kAlreadyExists);
  EXPECT_THAT(world.Next(), ElementsAre(1));
  EXPECT_FALSE(world.batcher().Cancel(1)) << "it is on its way";
  ASSERT_TRUE(world.Add({.id = 1, .shape = "alone 1"})) << "a suspect";
  ASSERT_TRUE(world.Add({.id = 2}));
  EXPECT_THAT(world.Next(), ElementsAre(1));
  EXPECT_EQ(world.batcher().waiting(), 1u);
}

// Options that do not make sense.

std::string WrongField(MicroBatchOptions options) {
  auto made = MicroBatcher::Make(std::move(options));
  if (made) return "";
  EXPECT_EQ(made.error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(made.error().message().starts_with(made.error().param())) << "names it";
  return made.error().param();
}

TEST(MicroBatchOptions, AreChecked) {
  EXPECT_EQ(WrongField({}), "");
  EXPECT_EQ(WrongField({.max_batch_size = 0}), "max_batch_size");
  EXPECT_EQ(WrongField({.max_batch_size = kMaxBatchSizeBound + 1}), "max_batch_size");
  EXPECT_EQ(WrongField({.preferred_batch_size = {4, 0}}), "preferred_batch_size");
  EXPECT_EQ(WrongField({.preferred_batch_size = {4, 33}}), "preferred_batch_size");
  EXPECT_EQ(WrongField({.max_queue_delay = Micros(-1)}), "max_queue_delay");
  EXPECT_EQ(WrongField({.max_queue_delay = Micros::max()}), "max_queue_delay");
  EXPECT_EQ(WrongField({.aging_per_level = Micros(-1)}), "aging_per_level");
  EXPECT_EQ(WrongField(Policy({.default_timeout = Micros(-1)})),
            "default_queue_policy.default_timeout");
}

TEST(MicroBatchOptions, LevelsMustExist) {
  EXPECT_EQ(WrongField(Levels(kMaxPriorityLevels)), "");
  EXPECT_EQ(WrongField(Levels(kMaxPriorityLevels + 1)), "priority_levels");
  EXPECT_EQ(WrongField({.priority_levels = 2}), "default_priority_level") << "required";
  EXPECT_EQ(WrongField({.priority_levels = 2, .default_priority_level = 3}),
            "default_priority_level");
  EXPECT_EQ(WrongField({.default_priority_level = 1}), "default_priority_level");
  MicroBatchOptions options = Levels(2);
  options.priority_queue_policy[3] = {};
  EXPECT_EQ(WrongField(options), "priority_queue_policy");
  options.priority_queue_policy = {{0, {}}};
  EXPECT_EQ(WrongField(options), "priority_queue_policy");
  options.priority_queue_policy = {{2, {.default_timeout = Micros(-1)}}};
  EXPECT_EQ(WrongField(options), "priority_queue_policy.2.default_timeout");
}

TEST(MicroBatchOptions, OrderIsNotPreservedAcrossLevelsOrDelays) {
  MicroBatchOptions options = Levels(1);
  options.preserve_ordering = true;
  EXPECT_EQ(WrongField(options), "");
  options.priority_queue_policy[1].timeout_action = TimeoutAction::kDelay;
  EXPECT_EQ(WrongField(options), "preserve_ordering");
  options = Levels(2);
  options.preserve_ordering = true;
  EXPECT_EQ(WrongField(options), "preserve_ordering");
  options = Policy({.timeout_action = TimeoutAction::kDelay});
  options.preserve_ordering = true;
  EXPECT_EQ(WrongField(options), "preserve_ordering");
}

}  // namespace
}  // namespace inferq::sched
