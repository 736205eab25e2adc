// The checker is checked: a sound log passes, and for each invariant a log that breaks it is
// refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "testing/history_check.h"

namespace inferq::testing {
namespace {

using namespace std::chrono_literals;
using base::Code;
using model::Fence;
using model::State;
using model::TaskId;
using model::TaskRecord;
using model::TaskSpec;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Kind = Entry::Kind;

class ManualClock final : public base::Clock {
 public:
  base::WallTime Wall() const override { return base::WallTime(now); }
  base::SteadyTime Steady() const override { return base::SteadyTime(now); }
  base::Micros now{0};
};

class HistoryTest : public ::testing::Test {
 protected:
  static TaskSpec Spec(uint64_t label) {
    TaskSpec spec;
    spec.lane = "m";
    spec.payload = {.blob = label, .offset = 0, .length = 1};
    spec.content_hash = label;
    return spec;
  }
  static TaskSpec Keyed(uint64_t label, std::string key) {
    TaskSpec spec = Spec(label);
    spec.idempotency_key = std::move(key);
    return spec;
  }
  void Add(Kind kind) {
    Entry entry;
    entry.kind = kind;
    history_.Add(entry);
  }
  // A call and its answer; nullopt: it was accepted.
  void Submit(std::vector<TaskSpec> specs, std::vector<uint64_t> ids,
              std::optional<Code> error = std::nullopt) {
    Entry entry;
    entry.kind = Kind::kCall;
    entry.op = Op::kSubmit;
    entry.call = history_.NewCall();
    entry.specs = std::move(specs);
    history_.Add(entry);
    entry.kind = Kind::kAnswer;
    entry.specs.clear();
    entry.error = error;
    for (uint64_t id : ids) entry.ids.emplace_back(id);
    history_.Add(entry);
  }
  void Claim(const TaskSpec& spec, uint64_t id, uint64_t fence, uint32_t attempt = 1,
             bool alone = false) {
    Entry entry;
    entry.kind = Kind::kCall;
    entry.op = Op::kClaim;
    entry.call = history_.NewCall();
    history_.Add(entry);
    entry.kind = Kind::kClaimed;
    entry.task = TaskId{id};
    entry.fence = Fence{fence};
    entry.specs = {spec};
    entry.lease = 30s;
    entry.attempt = attempt;
    entry.alone = alone;
    entry.eligible = base::WallTime(0us);
    history_.Add(entry);
  }
  Entry Item(Op op, uint64_t id, uint64_t fence) {
    Entry entry;
    entry.kind = Kind::kCall;
    entry.op = op;
    entry.call = history_.NewCall();
    entry.task = TaskId{id};
    entry.fence = Fence{fence};
    return entry;
  }
  void Do(Entry entry, std::optional<Code> error = std::nullopt) {
    history_.Add(entry);
    entry.kind = Kind::kAnswer;
    entry.error = error;
    history_.Add(entry);
  }
  void Do(Op op, uint64_t id, uint64_t fence = 0, std::optional<Code> error = std::nullopt) {
    Do(Item(op, id, fence), error);
  }
  void Complete(uint64_t id, uint64_t fence, uint64_t result) {
    Entry entry = Item(Op::kComplete, id, fence);
    entry.result = {1, result, 1};
    Do(std::move(entry));
  }
  void Crash(uint64_t id, uint64_t fence) {
    Entry entry = Item(Op::kFail, id, fence);
    entry.crashed = true;
    Do(std::move(entry));
  }
  void See(const TaskRecord& record) {
    Entry entry = Item(Op::kSee, record.id.value, 0);
    history_.Add(entry);
    entry.kind = Kind::kAnswer;
    entry.record = record;
    history_.Add(entry);
  }
  static TaskRecord Record(const TaskSpec& spec, uint64_t id, State state, uint64_t finish,
                           uint64_t fence = 0, uint64_t result = 0) {
    TaskRecord record;
    record.id = TaskId{id};
    record.spec = spec;
    record.state = state;
    record.finish_sequence = finish;
    record.fence = Fence{fence};
    if (result > 0) record.outcome.result = {1, result, 1};
    return record;
  }
  void End(const TaskRecord& record) {
    state_.records.push_back(record);
    ++state_.by_state[static_cast<size_t>(record.state)];
  }
  // One task from submission to success.
  void Succeed(const TaskSpec& spec, uint64_t id, uint64_t fence) {
    Submit({spec}, {id});
    Claim(spec, id, fence);
    Do(Op::kStart, id, fence);
    Complete(id, fence, 10 + id);
    End(Record(spec, id, State::kSucceeded, id, fence, 10 + id));
  }
  std::vector<std::string> Check() { return CheckHistory(history_, state_, rules_); }

  ManualClock clock_;
  History history_{clock_};
  FinalState state_;
  HistoryRules rules_;
};

#define EXPECT_BREACH(name) EXPECT_THAT(Check(), Contains(StartsWith(name)))

TEST_F(HistoryTest, ASoundLogPasses) {
  Succeed(Spec(1), 1, 1);
  Succeed(Keyed(2, "k"), 2, 2);
  Submit({Keyed(2, "k")}, {2});
  Do(Op::kComplete, 2, 1, Code::kAborted);
  Do(Op::kCancel, 2, 0, Code::kFailedPrecondition);
  Submit({Keyed(3, "k")}, {}, Code::kAlreadyExists);
  Submit({Spec(4)}, {}, Code::kUnavailable);  // in doubt, and not there
  Add(Kind::kClosing);
  Add(Kind::kStopped);
  Add(Kind::kOpened);
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(HistoryTest, I1AnAcknowledgedTaskIsGone) {
  Submit({Spec(1)}, {1});
  EXPECT_BREACH("I1");
}
TEST_F(HistoryTest, I1HalfASubmissionIsThere) {
  Submit({Spec(1), Spec(2)}, {}, Code::kUnavailable);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I1");
}
TEST_F(HistoryTest, I1ATaskIsNotWhatWasSubmitted) {
  Succeed(Spec(1), 1, 1);
  state_.records[0].spec.cost = 99;
  EXPECT_BREACH("I1");
}
TEST_F(HistoryTest, I1ATaskThatNobodySubmitted) {
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I1");
}
TEST_F(HistoryTest, I1WorkIsLeft) {
  Submit({Spec(1)}, {1});
  End(Record(Spec(1), 1, State::kQueued, 0));
  EXPECT_BREACH("I1");
  rules_.all_ended = false;
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(HistoryTest, I2TwoLiveLeases) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1);
  clock_.now = 29s;
  Claim(Spec(1), 1, 2);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I2");
}
TEST_F(HistoryTest, I2ALeaseMayRunOut) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1);
  clock_.now = 30s;
  Claim(Spec(1), 1, 2);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_THAT(Check(), IsEmpty());
}
TEST_F(HistoryTest, I2ARenewedLeaseLives) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1);
  clock_.now = 20s;
  Entry renewal = Item(Op::kRenew, 1, 1);
  renewal.lease = 30s;
  Do(renewal);
  clock_.now = 40s;
  Claim(Spec(1), 1, 2);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I2");
}
TEST_F(HistoryTest, I2AFenceFalls) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 2);
  Do(Op::kRelease, 1, 2);
  Claim(Spec(1), 1, 1);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I2");
}
TEST_F(HistoryTest, I2AStaleFenceIsTaken) {
  for (Op op : {Op::kStart, Op::kRenew, Op::kComplete, Op::kFail, Op::kRelease}) {
    SCOPED_TRACE(OpName(op));
    history_ = History(clock_);
    state_ = {};
    Submit({Spec(1)}, {1});
    Claim(Spec(1), 1, 1);
    clock_.now += 31s;
    Claim(Spec(1), 1, 2);
    Do(op, 1, 1);
    End(Record(Spec(1), 1, State::kCancelled, 1));
    EXPECT_BREACH("I2");
  }
}
TEST_F(HistoryTest, I2AStaleFenceIsRefusedForTheWrongReason) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1);
  clock_.now = 31s;
  Claim(Spec(1), 1, 2);
  Do(Op::kComplete, 1, 1, Code::kInternal);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I2");
}

TEST_F(HistoryTest, I3AnEndingIsTakenBack) {
  Submit({Spec(1)}, {1});
  See(Record(Spec(1), 1, State::kCancelled, 1));
  See(Record(Spec(1), 1, State::kQueued, 0));
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I3");
}
TEST_F(HistoryTest, I3AResultIsReplaced) {
  Succeed(Spec(1), 1, 1);
  state_.records[0].outcome.result.offset = 77;
  EXPECT_BREACH("I3");
}
TEST_F(HistoryTest, I3ATaskIsCompletedTwice) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1);
  Complete(1, 1, 5);
  Claim(Spec(1), 1, 2);
  Complete(1, 2, 6);
  End(Record(Spec(1), 1, State::kSucceeded, 1, 2, 6));
  EXPECT_BREACH("I3: task_0000000000000001 was completed twice");
}
TEST_F(HistoryTest, I3AnEndedTaskIsGivenOut) {
  Succeed(Spec(1), 1, 1);
  Claim(Spec(1), 1, 2);
  EXPECT_BREACH("I3: task_0000000000000001 was given out");
}
TEST_F(HistoryTest, I3ARequeueExcusesIt) {
  Succeed(Spec(1), 1, 1);
  Do(Op::kRequeue, 1);
  Claim(Spec(1), 1, 2);
  Complete(1, 2, 6);
  state_.records[0] = Record(Spec(1), 1, State::kSucceeded, 2, 2, 6);
  state_.records[0].generation = 1;
  EXPECT_THAT(Check(), IsEmpty());
}
TEST_F(HistoryTest, I3AGenerationThatNobodyAskedFor) {
  Succeed(Spec(1), 1, 1);
  state_.records[0].generation = 1;
  EXPECT_BREACH("I3");
}
TEST_F(HistoryTest, I3TwoEndingsHaveOneNumber) {
  Succeed(Spec(1), 1, 1);
  Succeed(Spec(2), 2, 2);
  state_.records[1].finish_sequence = 1;
  EXPECT_BREACH("I3");
}

TEST_F(HistoryTest, I4OneKeyTwoTasks) {
  Succeed(Keyed(1, "k"), 1, 1);
  Succeed(Keyed(2, "k"), 2, 2);
  EXPECT_BREACH("I4");
}
TEST_F(HistoryTest, I4ALostReplyMadeASecondTask) {
  Submit({Keyed(1, "k")}, {}, Code::kUnavailable);
  Succeed(Keyed(1, "k"), 2, 1);
  End(Record(Keyed(1, "k"), 1, State::kCancelled, 9));
  EXPECT_BREACH("I4");
}
TEST_F(HistoryTest, I4OtherContentIsAccepted) {
  Succeed(Keyed(1, "k"), 1, 1);
  Submit({Keyed(2, "k")}, {1});
  EXPECT_BREACH("I4");
}
TEST_F(HistoryTest, I4AConflictWithNothing) {
  Submit({Keyed(1, "k")}, {}, Code::kAlreadyExists);
  EXPECT_BREACH("I4");
}
TEST_F(HistoryTest, I4AKeyIsFreeAfterItsTime) {
  Succeed(Keyed(1, "k"), 1, 1);
  clock_.now = 24h;
  Succeed(Keyed(2, "k"), 2, 2);
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(HistoryTest, I5TooManyAttempts) {
  Succeed(Spec(1), 1, 1);
  state_.records[0].attempts = 4;
  EXPECT_BREACH("I5");
}
TEST_F(HistoryTest, I5GivenOutForAnAttemptTooMany) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1, 4);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I5");
}
TEST_F(HistoryTest, I5AReleaseBurnsAnAttempt) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1, 1);
  Do(Op::kStart, 1, 1);
  Do(Op::kRelease, 1, 1);
  Claim(Spec(1), 1, 2, 2);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I5");
}
TEST_F(HistoryTest, I5ACrashBurnsAnAttempt) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1, 1);
  Do(Op::kStart, 1, 1);
  Crash(1, 1);
  Claim(Spec(1), 1, 2, 2, true);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I5");
}
TEST_F(HistoryTest, I5APoisonTaskRunsAFourthTimeAlone) {
  Submit({Spec(1)}, {1});
  for (uint64_t fence = 1; fence <= 4; ++fence) {
    Claim(Spec(1), 1, fence, 1, true);
    Do(Op::kStart, 1, fence);
    Crash(1, fence);
  }
  End(Record(Spec(1), 1, State::kFailed, 1));
  EXPECT_BREACH("I5");
}
TEST_F(HistoryTest, I5TooManyCrashes) {
  Succeed(Spec(1), 1, 1);
  state_.records[0].crashes = 4;
  EXPECT_BREACH("I5");
}

TEST_F(HistoryTest, I6AChildIsGivenOutBeforeItsParentEnded) {
  TaskSpec child = Spec(2);
  child.parents = {TaskId{1}};
  Submit({Spec(1)}, {1});
  Succeed(child, 2, 2);
  See(Record(Spec(1), 1, State::kRunning, 0));
  End(Record(Spec(1), 1, State::kSucceeded, 9));
  EXPECT_BREACH("I6");
}
TEST_F(HistoryTest, I6AChildRunsThoughItsParentFailed) {
  TaskSpec child = Spec(2);
  child.parents = {TaskId{1}};
  Submit({Spec(1)}, {1});
  End(Record(Spec(1), 1, State::kFailed, 9));
  Succeed(child, 2, 2);
  EXPECT_BREACH("I6");
  state_.records[1].spec.parent_policy = model::ParentPolicy::kAllTerminal;
  EXPECT_THAT(Check(), IsEmpty());
}
TEST_F(HistoryTest, I6AParentIsGone) {
  TaskSpec child = Spec(2);
  child.parents = {TaskId{1}};
  Succeed(child, 2, 2);
  EXPECT_BREACH("I6");
}

TEST_F(HistoryTest, I7CountsDisagree) {
  Succeed(Spec(1), 1, 1);
  ++state_.by_state[static_cast<size_t>(State::kRunning)];
  EXPECT_BREACH("I7");
}
TEST_F(HistoryTest, I7AnEndingWithoutANumber) {
  Succeed(Spec(1), 1, 1);
  state_.records[0].finish_sequence = 0;
  EXPECT_BREACH("I7");
}
TEST_F(HistoryTest, I7ALeaseIsLeft) {
  Succeed(Spec(1), 1, 1);
  state_.records[0].lease = model::Lease{};
  EXPECT_BREACH("I7");
}
TEST_F(HistoryTest, I7ACapIsExceeded) {
  rules_.max_running["default"] = 1;
  Submit({Spec(1), Spec(2)}, {1, 2});
  Claim(Spec(1), 1, 1);
  Claim(Spec(2), 2, 2);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  End(Record(Spec(2), 2, State::kCancelled, 2));
  EXPECT_BREACH("I7");
}

TEST_F(HistoryTest, I8AWaitIsTooLong) {
  rules_.max_wait = 10s;
  clock_.now = 11s;
  Succeed(Spec(1), 1, 1);
  EXPECT_BREACH("I8");
}

TEST_F(HistoryTest, I9TheLaterKeyGoesFirst) {
  rules_.aging_per_second = 1;
  TaskSpec urgent = Spec(2);
  urgent.priority = 5;
  Submit({Spec(1), urgent}, {1, 2});
  Claim(Spec(1), 1, 1);
  Claim(urgent, 2, 2);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  End(Record(urgent, 2, State::kCancelled, 2));
  EXPECT_BREACH("I9");
  rules_.aging_per_second = 0;
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(HistoryTest, I10GivenOutWhileClosing) {
  Submit({Spec(1)}, {1});
  Add(Kind::kClosing);
  Claim(Spec(1), 1, 1);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I10");
}
TEST_F(HistoryTest, I10TakenWhileClosing) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1);
  Add(Kind::kClosing);
  Complete(1, 1, 5);
  End(Record(Spec(1), 1, State::kSucceeded, 1, 1, 5));
  EXPECT_BREACH("I10");
}

TEST_F(HistoryTest, I11ACancelIsForgotten) {
  Submit({Spec(1)}, {1});
  Do(Op::kCancel, 1);
  End(Record(Spec(1), 1, State::kFailed, 1));
  EXPECT_BREACH("I11");
}
TEST_F(HistoryTest, I11ACancelledTaskIsGivenOut) {
  Submit({Spec(1)}, {1});
  Do(Op::kCancel, 1);
  Claim(Spec(1), 1, 1);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I11");
}
TEST_F(HistoryTest, I11ACancelledTaskStarts) {
  Submit({Spec(1)}, {1});
  Claim(Spec(1), 1, 1);
  Do(Op::kCancel, 1);
  Do(Op::kStart, 1, 1);
  End(Record(Spec(1), 1, State::kCancelled, 1));
  EXPECT_BREACH("I11");
}

}  // namespace
}  // namespace inferq::testing
