#include "sched/micro_batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

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

// Random histories against a model that looks at everything.

/// The rules of MicroBatcher's comment over a plain list.
class NaiveBatcher {
 public:
  struct Item {
    Call call;
    uint64_t number = 0;  // in the order of coming
    SteadyTime came{};
    SteadyTime hold_until{};
    std::optional<SteadyTime> timeout = {};
    std::optional<SteadyTime> delayed = {};
  };

  explicit NaiveBatcher(MicroBatchOptions options) : options_(std::move(options)) {}

  Code Add(Call call, SteadyTime now) {
    if (call.timeout < Micros(0)) return Code::kInvalidArgument;
    Expire(now);
    if (call.level == 0 || call.level > options_.priority_levels) {
      call.level = options_.default_priority_level;
    }
    if (std::ranges::count(items_, call.id, IdOf) > 0) return Code::kAlreadyExists;
    const QueuePolicy& policy = PolicyOf(call);
    auto level = std::ranges::count(items_, call.level, [](auto& i) { return i.call.level; });
    if (policy.max_queue_size > 0 && static_cast<uint64_t>(level) >= policy.max_queue_size) {
      return Code::kResourceExhausted;
    }
    Micros timeout = policy.default_timeout;
    if (policy.allow_timeout_override && call.timeout != Micros(0)) timeout = call.timeout;
    Item item{.call = call, .number = ++last_number_, .came = now};
    item.hold_until = now + options_.max_queue_delay;
    if (timeout != Micros(0)) {
      item.timeout = now + timeout;
      item.hold_until = now + std::min(options_.max_queue_delay, timeout / 2);
    }
    items_.push_back(item);
    return Code::kCancelled;  // stands for OK
  }

  bool Cancel(CallId id) {
    return std::erase_if(items_, [id](auto& item) { return item.call.id == id; }) > 0;
  }

  Ids Next(SteadyTime now, uint32_t free) {
    Expire(now);
    if (free == 0 || items_.empty()) return {};
    std::vector<Item> order = items_;
    std::ranges::sort(order, [this](auto& a, auto& b) { return Before(a, b); });
    size_t size = 0;
    uint64_t tokens = 0;
    uint64_t most = options_.max_batch_tokens;
    auto joins = [&](const Call& call) {
      if (size == 0) return true;
      if (size == options_.max_batch_size || call.shape != order[0].call.shape) return false;
      return most == 0 || tokens + call.tokens <= most;
    };
    while (size < order.size() && joins(order[size].call)) tokens += order[size++].call.tokens;
    bool closed = size < order.size() || size == options_.max_batch_size;
    if (most > 0 && tokens >= most) closed = true;
    size_t leaves = 0;
    for (size_t preferred : options_.preferred_batch_size) {
      if (preferred <= size) leaves = std::max(leaves, preferred);
    }
    bool held = std::ranges::all_of(items_, [now](auto& item) { return item.hold_until > now; });
    if (leaves == 0 && (closed || !held)) leaves = size;
    Ids ids;
    for (size_t i = 0; i < leaves; ++i) ids.push_back(order[i].call.id);
    for (CallId id : ids) Cancel(id);
    return ids;
  }

  Ids TakeRejected(SteadyTime now) {
    Expire(now);
    return std::exchange(rejected_, {});
  }

  /// Tries each microsecond, as far as any hold or timeout of these tests goes.
  std::optional<SteadyTime> NextDeadline(SteadyTime now, uint32_t free) const {
    NaiveBatcher trial = *this;
    trial.Expire(now);
    if (!trial.rejected_.empty()) return now;
    for (SteadyTime t = now; t <= now + Micros(40); t += Micros(1)) {
      NaiveBatcher copy = trial;
      if (!copy.Next(t, free).empty() || !copy.rejected_.empty()) return t;
      if (copy.Delayed() != trial.Delayed()) return t;
    }
    return std::nullopt;
  }

  size_t waiting() const { return items_.size(); }

 private:
  static CallId IdOf(const Item& item) { return item.call.id; }

  const QueuePolicy& PolicyOf(const Call& call) const {
    auto found = options_.priority_queue_policy.find(call.level);
    if (found != options_.priority_queue_policy.end()) return found->second;
    return options_.default_queue_policy;
  }

  bool Before(const Item& a, const Item& b) const {
    if (options_.aging_per_level == Micros(0)) {
      if (a.call.level != b.call.level) return a.call.level < b.call.level;
      if (a.delayed.has_value() != b.delayed.has_value()) return !a.delayed;
    } else if (Standing(a) != Standing(b)) {
      return Standing(a) < Standing(b);
    }
    return a.number < b.number;
  }

  SteadyTime Standing(const Item& item) const {
    SteadyTime standing = item.delayed.value_or(item.came);
    uint32_t below = item.call.level + (item.delayed ? 1 : 0);
    for (uint32_t i = 0; i < below; ++i) standing += options_.aging_per_level;
    return standing;
  }

  /// In the order of timeouts, then of coming.
  void Expire(SteadyTime now) {
    std::vector<Item> over;
    for (auto& item : items_) {
      if (!item.timeout || *item.timeout > now) continue;
      if (PolicyOf(item.call).timeout_action == TimeoutAction::kDelay) {
        item.delayed = std::exchange(item.timeout, std::nullopt);
      } else {
        over.push_back(item);
      }
    }
    std::ranges::sort(over, {}, [](auto& item) { return std::pair(*item.timeout, item.number); });
    for (auto& item : over) {
      rejected_.push_back(item.call.id);
      Cancel(item.call.id);
    }
  }

  int64_t Delayed() const {
    return std::ranges::count_if(items_, [](auto& item) { return item.delayed.has_value(); });
  }

  MicroBatchOptions options_;
  std::vector<Item> items_;
  uint64_t last_number_ = 0;
  Ids rejected_;
};

// The same histories in every run unless RC_PARAMS says otherwise.
const bool kSeeded = setenv("RC_PARAMS", "seed=1 max_success=1000 max_size=200", 0) == 0;

struct Step {
  uint32_t kind = 0, a = 0, b = 0, c = 0, d = 0;
};

std::ostream& operator<<(std::ostream& out, const Step& s) {
  return out << "{" << s.kind << "," << s.a << "," << s.b << "," << s.c << "," << s.d << "}";
}

rc::Gen<Step> AnyStep() {
  auto number = rc::gen::inRange<uint32_t>(0, 1u << 16);
  return rc::gen::build<Step>(rc::gen::set(&Step::kind, rc::gen::inRange<uint32_t>(0, 10)),
                              rc::gen::set(&Step::a, number), rc::gen::set(&Step::b, number),
                              rc::gen::set(&Step::c, number), rc::gen::set(&Step::d, number));
}

/// Plays one history to both and follows each call to its end.
class Twins {
 public:
  explicit Twins(const MicroBatchOptions& options)
      : options_(options), real_(MicroBatcher::Make(options).value()), naive_(options) {}

  void Play(const Step& s) {
    if (s.kind < 5) Add(s);
    if (s.kind == 5) Cancel(1 + s.a % (last_id_ + 1));
    if (s.kind == 6) now_ += Micros(s.a % 15);
    if (s.kind == 7) Reject();
    if (s.kind >= 8) Flush(s.a % 5 == 4 ? UINT32_MAX : s.a % 5);
    if (s.b % 8 == 0) CompareDeadlines(s.c % 3 ? 1 : 0);
  }

  /// Lets time pass until nothing waits: each call ends once.
  void Drain() {
    Flush(UINT32_MAX);
    now_ += Micros(200);
    Flush(UINT32_MAX);
    RC_ASSERT(real_->waiting() == 0u);
    RC_ASSERT(live_.empty());
  }

 private:
  void Add(const Step& s) {
    static const std::vector<std::string> kShapes{"a", "a", "a", "b"};
    Call call{.id = s.d % 10 == 0 ? 1 + s.a % (last_id_ + 1) : last_id_ + 1,
              .shape = kShapes[s.a % 4],
              .tokens = s.b % 6,
              .level = s.c % 5,
              .timeout = Micros(s.d % 3 ? 0 : static_cast<int>(s.d % 40) - 1)};
    if (call.id <= last_id_) Reject();  // else it could be a rejected one that was not taken yet
    Code expected = naive_.Add(call, now_);
    auto added = real_->Add(call, now_);
    RC_ASSERT((added ? Code::kCancelled : added.error().code()) == expected);
    if (!added) return;
    last_id_ = std::max(last_id_, call.id);
    came_[call.id] = now_;
    RC_ASSERT(live_.insert(call.id).second);
  }

  void Cancel(CallId id) {
    bool cancelled = real_->Cancel(id);
    RC_ASSERT(cancelled == naive_.Cancel(id));
    if (cancelled) End(id);
  }

  void Reject() {
    Ids rejected;
    for (auto& call : real_->TakeRejected(now_)) rejected.push_back(call.id);
    RC_ASSERT(rejected == naive_.TakeRejected(now_));
    for (CallId id : rejected) End(id);
  }

  void Flush(uint32_t free) {
    Reject();
    for (uint32_t left = free;; --left) {
      auto batch = real_->Next(now_, left);
      Ids members = batch ? batch->members : Ids{};
      RC_ASSERT(members == naive_.Next(now_, left));
      if (!batch) break;
      RC_ASSERT(members.size() <= options_.max_batch_size);
      for (CallId id : members) End(id);
    }
    Reject();
    if (free != UINT32_MAX) return;
    for (CallId id : live_) RC_ASSERT(now_ - came_.at(id) < options_.max_queue_delay);
  }

  void End(CallId id) { RC_ASSERT(live_.erase(id) == 1u); }

  void CompareDeadlines(uint32_t free) {
    RC_ASSERT(real_->NextDeadline(now_, free) == naive_.NextDeadline(now_, free));
    Reject();
    RC_ASSERT(real_->waiting() == naive_.waiting());
  }

  const MicroBatchOptions options_;
  std::unique_ptr<MicroBatcher> real_;
  NaiveBatcher naive_;
  SteadyTime now_ = kStart;
  CallId last_id_ = 0;
  std::set<CallId> live_;
  std::map<CallId, SteadyTime> came_;
};

QueuePolicy AnyPolicy() {
  return {.timeout_action = *rc::gen::element(TimeoutAction::kReject, TimeoutAction::kDelay),
          .default_timeout = Micros(*rc::gen::element(0, 1, 7, 30)),
          .allow_timeout_override = *rc::gen::arbitrary<bool>(),
          .max_queue_size = *rc::gen::element<uint64_t>(0, 0, 3, 6)};
}

MicroBatchOptions AnyOptions() {
  MicroBatchOptions options;
  options.max_batch_size = *rc::gen::inRange<uint32_t>(1, 7);
  for (uint32_t size = 1; size <= options.max_batch_size; ++size) {
    if (*rc::gen::inRange(0, 6) == 0) options.preferred_batch_size.push_back(size);
  }
  options.max_queue_delay = Micros(*rc::gen::element(0, 10, 25));
  options.max_batch_tokens = *rc::gen::element<uint64_t>(0, 0, 4, 9);
  options.priority_levels = *rc::gen::inRange<uint32_t>(0, 4);
  if (options.priority_levels > 0) {
    options.default_priority_level = *rc::gen::inRange(1u, options.priority_levels + 1);
    options.priority_queue_policy[1] = AnyPolicy();
  }
  options.aging_per_level = Micros(*rc::gen::element(0, 5, 20));
  options.default_queue_policy = AnyPolicy();
  return options;
}

RC_GTEST_PROP(MicroBatcherProperty, AgreesWithTheNaiveModel, ()) {
  MicroBatchOptions options = AnyOptions();
  auto history = *rc::gen::container<std::vector<Step>>(AnyStep());
  Twins twins(options);
  for (const Step& step : history) twins.Play(step);
  twins.Drain();
}

}  // namespace
}  // namespace inferq::sched
