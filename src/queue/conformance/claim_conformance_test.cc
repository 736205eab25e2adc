// Claims, leases, fences, endings.

#include <set>

#include "queue/conformance/queue_suite.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;
using base::Code;
using model::State;
using model::TaskId;
using model::TaskSpec;
using ::testing::HasSubstr;

class ClaimConformance : public QueueConformance {
 protected:
  static Awaitable<void> ClaimInto(Queue& queue, ClaimRequest request, std::vector<TaskId>& out,
                                   int& ended) {
    auto claimed = co_await queue.Claim(std::move(request));
    ++ended;
    EXPECT_THAT(claimed, Succeeds());
    if (!claimed) co_return;
    for (const ClaimedTask& task : *claimed) out.push_back(task.id);
  }
  // Starts a claim that waits for `wait`.
  void SpawnClaim(std::string lane, base::Micros wait, std::vector<TaskId>& out, int& ended) {
    ClaimRequest request{
        .worker = "w", .lanes = {std::move(lane)}, .wait_until = sim().clock().Steady() + wait};
    sim().SpawnDetached(ClaimInto(queue(), std::move(request), out, ended));
    sim().RunUntilIdle();
  }
};

TEST_P(ClaimConformance, PicksByPriorityThenAge) {
  TaskId first = Submit(Spec());
  TaskSpec urgent = Spec();
  urgent.priority = 10;
  TaskId second = Submit(urgent);
  Submit(Spec("other"));
  auto claimed = Claim(10);
  ASSERT_EQ(claimed.size(), 2u);
  EXPECT_EQ(claimed[0].id, second);
  EXPECT_EQ(claimed[1].id, first);
  EXPECT_EQ(claimed[0].spec.priority, 10);
  EXPECT_GT(claimed[1].fence, claimed[0].fence);
  EXPECT_EQ(StateOf(first), State::kLeased);
  EXPECT_TRUE(Claim(10).empty()) << "one live lease per task";
}

TEST_P(ClaimConformance, HonoursTheTokenBudget) {
  TaskSpec spec = Spec();
  spec.cost = 60;
  SubmitAll({spec, spec, spec});
  ClaimRequest request{.worker = "w", .lanes = {"m"}, .max_tasks = 10, .token_budget = 120};
  EXPECT_EQ(sim().Run(queue().Claim(request)).value().size(), 2u);
  request.token_budget = 1;
  EXPECT_EQ(sim().Run(queue().Claim(request)).value().size(), 1u) << "the first always fits";
}

TEST_P(ClaimConformance, RefusesNonsense) {
  EXPECT_THAT(sim().Run(queue().Claim({.worker = "w", .lanes = {}})),
              FailsWith(Code::kInvalidArgument));
  EXPECT_THAT(sim().Run(queue().Claim({.worker = "w", .lanes = {"m"}, .max_tasks = 0})),
              FailsWith(Code::kInvalidArgument));
  EXPECT_THAT(sim().Run(queue().Claim({.worker = "w", .lanes = {"m"}, .lease = 0s})),
              FailsWith(Code::kInvalidArgument));
}

TEST_P(ClaimConformance, AWaitingClaimGetsWorkThatComes) {
  std::vector<TaskId> got;
  int ended = 0;
  SpawnClaim("m", 20s, got, ended);
  SpawnClaim("m", 20s, got, ended);
  Submit(Spec("other"));
  EXPECT_EQ(ended, 0);
  TaskId id = Submit(Spec());
  sim().RunUntilIdle();
  EXPECT_THAT(got, ::testing::ElementsAre(id));
  EXPECT_EQ(ended, 1);
  sim().RunFor(20s);
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(got.size(), 1u);
}

TEST_P(ClaimConformance, CloseWakesWaitingClaims) {
  std::vector<TaskId> got;
  int ended = 0;
  SpawnClaim("m", 24h, got, ended);
  Restart();
  EXPECT_EQ(ended, 1);
  EXPECT_TRUE(got.empty());
}

TEST_P(ClaimConformance, AWaitingClaimGetsWhatAnExpiredLeaseFrees) {
  TaskId id = Submit(Spec());
  Claim(1, {"m"}, 10s);
  std::vector<TaskId> got;
  int ended = 0;
  SpawnClaim("m", 60s, got, ended);
  sim().RunFor(10s);
  EXPECT_THAT(got, ::testing::ElementsAre(id));
}

TEST_P(ClaimConformance, ATenantAtItsCapIsPassedOverUntilItsWorkEnds) {
  options().tenants["default"] = {.weight = 1, .max_running = 1};
  Restart();
  auto ids = SubmitMany(2);
  ClaimedTask first = RunOne();
  std::vector<TaskId> got;
  int ended = 0;
  SpawnClaim("m", 60s, got, ended);
  EXPECT_EQ(ended, 0);
  EXPECT_THAT(Complete(first), Succeeds());
  sim().RunUntilIdle();
  EXPECT_THAT(got, ::testing::ElementsAre(ids[1]));
}

TEST_P(ClaimConformance, TheWholeWayToSuccess) {
  TaskId id = Submit(Spec());
  ClaimedTask task = ClaimOne();
  EXPECT_EQ(task.attempt, 1u);
  EXPECT_THAT(Complete(task), FailsWith(Code::kFailedPrecondition)) << "not started";
  EXPECT_THAT(Start(task), Succeeds());
  EXPECT_THAT(Start(task), Succeeds()) << "told twice";
  EXPECT_EQ(StateOf(id), State::kRunning);
  EXPECT_EQ(Get(id).attempts, 1u);
  EXPECT_EQ(Get(id).lease->worker, "w");
  EXPECT_THAT(Complete(task, {7, 8, 9}), Succeeds());
  EXPECT_THAT(Complete(task, {7, 8, 9}), Succeeds()) << "told twice";
  auto check = [&] {
    model::TaskRecord record = Get(id);
    EXPECT_EQ(record.state, State::kSucceeded);
    EXPECT_EQ(record.outcome.result, (model::Extent{7, 8, 9}));
    EXPECT_EQ(record.finish_sequence, 1u);
    EXPECT_EQ(record.fence, task.fence);
    EXPECT_FALSE(record.lease);
    EXPECT_EQ(queue().Stats({}).last_finish_sequence, 1u);
    EXPECT_EQ(Count(State::kSucceeded), 1u);
    EXPECT_EQ(queue().Stats({}).total(), 1u);
  };
  check();
  Restart();
  check();
  EXPECT_THAT(Complete(task), Succeeds()) << "told again after a restart";
  EXPECT_TRUE(Claim().empty());
}

TEST_P(ClaimConformance, AnExpiredLeaseFreesTheTaskAndCutsTheWorkerOff) {
  TaskSpec spec = Spec();
  spec.priority = 5;
  spec.deadline = Now() + 1h;
  TaskId id = Submit(spec);
  auto eligible = Get(id).eligible;
  ClaimedTask lost = RunOne();
  sim().RunFor(30s - 1us);
  EXPECT_EQ(StateOf(id), State::kRunning);
  sim().RunFor(1us);
  EXPECT_EQ(StateOf(id), State::kQueued);
  EXPECT_THAT(Complete(lost), FailsWith(Code::kAborted));
  EXPECT_EQ(Renew(lost), RenewalReply::kLost);
  ClaimedTask again = RunOne();
  EXPECT_GT(again.fence, lost.fence);
  EXPECT_EQ(again.attempt, 2u);
  EXPECT_THAT(Complete(lost), FailsWith(Code::kAborted));
  EXPECT_THAT(Fail(lost, true), FailsWith(Code::kAborted));
  EXPECT_THAT(Release(lost), FailsWith(Code::kAborted));
  EXPECT_THAT(Start(lost), FailsWith(Code::kAborted));
  EXPECT_EQ(StateOf(id), State::kRunning) << "a stale worker changes nothing";
  model::TaskRecord record = Get(id);
  EXPECT_EQ(record.spec.priority, 5);
  EXPECT_EQ(record.spec.deadline, spec.deadline);
  EXPECT_EQ(record.eligible, eligible);
}

TEST_P(ClaimConformance, RenewingKeepsTheLease) {
  Submit(Spec());
  ClaimedTask task = RunOne();
  for (int i = 0; i < 10; ++i) {
    sim().RunFor(20s);
    EXPECT_EQ(Renew(task), RenewalReply::kHeld);
  }
  EXPECT_THAT(Complete(task), Succeeds());
}

TEST_P(ClaimConformance, AnExpiredLeaseRefundsTheTenant) {
  TaskSpec dear = Spec();
  dear.tenant = "a";
  dear.cost = 1000;
  TaskSpec cheap = Spec();
  cheap.tenant = "b";
  SubmitAll({dear, cheap});
  ClaimedTask first = ClaimOne();
  EXPECT_EQ(first.spec.tenant, "a");
  sim().RunFor(30s);
  EXPECT_EQ(ClaimOne().spec.tenant, "a") << "its charge was taken back";
}

TEST_P(ClaimConformance, LeasesThatKeepRunningOutEndTheTask) {
  TaskSpec spec = Spec();
  spec.max_attempts = 2;
  TaskId id = Submit(spec);
  for (int i = 0; i < 2; ++i) {
    RunOne();
    sim().RunFor(30s);
  }
  EXPECT_EQ(StateOf(id), State::kFailed);
  EXPECT_EQ(Get(id).outcome.code, Code::kDeadlineExceeded);
}

TEST_P(ClaimConformance, AClaimThatWasNeverStartedCostsNoAttempt) {
  TaskSpec spec = Spec();
  spec.max_attempts = 1;
  TaskId id = Submit(spec);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(ClaimOne().attempt, 1u);
    sim().RunFor(30s);
  }
  EXPECT_EQ(StateOf(id), State::kQueued);
}

TEST_P(ClaimConformance, FencesRiseAcrossRestartsAndOldOnesStayRefused) {
  TaskId id = Submit(Spec());
  ClaimedTask before = RunOne();
  Restart();
  EXPECT_EQ(StateOf(id), State::kQueued);
  EXPECT_THAT(Complete(before), FailsWith(Code::kAborted));
  ClaimedTask after = RunOne();
  EXPECT_GT(after.fence, before.fence);
  EXPECT_EQ(after.attempt, 1u) << "our crash costs the task no attempt";
  EXPECT_THAT(Complete(before), FailsWith(Code::kAborted));
  EXPECT_THAT(Complete(after), Succeeds());
}

TEST_P(ClaimConformance, FencesRiseEvenIfTheClaimWasNeverStored) {
  Submit(Spec());
  ClaimedTask before = ClaimOne();
  Crash();
  ClaimedTask after = RunOne();
  EXPECT_GT(after.fence, before.fence);
  EXPECT_THAT(Start(before), FailsWith(Code::kAborted));
}

TEST_P(ClaimConformance, RidingChangesAreStoredSoon) {
  TaskId id = Submit(Spec());
  ClaimedTask task = RunOne();
  EXPECT_EQ(Renew(task, "half"), RenewalReply::kHeld);
  auto version = Get(id).version;
  sim().RunFor(20ms);
  Crash();
  EXPECT_EQ(Get(id).version, version + 1) << "claimed and started, then recovered";
  EXPECT_EQ(Get(id).checkpoint, "half");
}

TEST_P(ClaimConformance, AFailureIsRetriedAfterBackoffWithoutLosingItsPlace) {
  TaskId id = Submit(Spec());
  auto eligible = Get(id).eligible;
  EXPECT_THAT(Fail(RunOne(), true), Succeeds());
  model::TaskRecord record = Get(id);
  EXPECT_EQ(record.state, State::kBlocked);
  ASSERT_TRUE(record.retry_at);
  EXPECT_GE(*record.retry_at, Now() + 500ms);
  EXPECT_LE(*record.retry_at, Now() + 1s);
  EXPECT_TRUE(Claim().empty());
  sim().RunFor(*record.retry_at - Now());
  Submit(Spec());
  EXPECT_EQ(ClaimOne().id, id) << "older than the new one";
  EXPECT_EQ(Get(id).eligible, eligible);
  EXPECT_FALSE(Get(id).retry_at);
}

TEST_P(ClaimConformance, BackoffGrowsAndSurvivesARestart) {
  TaskSpec spec = Spec();
  spec.max_attempts = 5;
  TaskId id = Submit(spec);
  base::Micros last{0};
  for (int i = 1; i < 5; ++i) {
    EXPECT_THAT(Fail(RunOne(), true), Succeeds());
    base::Micros wait = *Get(id).retry_at - Now();
    base::Micros full = (1 << (i - 1)) * base::Micros(1s);
    EXPECT_GE(wait, full / 2);
    EXPECT_LE(wait, full);
    EXPECT_GT(wait, last / 2);
    last = wait;
    Restart();
    EXPECT_EQ(StateOf(id), State::kBlocked);
    sim().RunFor(wait);
    EXPECT_EQ(StateOf(id), State::kQueued);
    EXPECT_EQ(Get(id).attempts, static_cast<uint32_t>(i));
  }
  EXPECT_THAT(Fail(RunOne(), true), Succeeds());
  EXPECT_EQ(StateOf(id), State::kFailed);
  EXPECT_EQ(Get(id).outcome.message, "it broke");
}

TEST_P(ClaimConformance, APermanentFailureEndsAtOnceAndKeepsItsLine) {
  TaskId id = Submit(Spec());
  ClaimedTask task = RunOne();
  Failure failure{
      .task = Ref(task), .error = base::Error(Code::kInvalidArgument, "bad"), .result = {1, 2, 3}};
  std::vector<Failure> failures = {failure, failure};
  auto items = sim().Run(queue().Fail(failures));
  EXPECT_THAT(items[0], Succeeds());
  EXPECT_THAT(items[1], Succeeds()) << "told twice";
  Restart();
  EXPECT_EQ(StateOf(id), State::kFailed);
  EXPECT_EQ(Get(id).outcome.code, Code::kInvalidArgument);
  EXPECT_EQ(Get(id).outcome.result, (model::Extent{1, 2, 3}));
}

TEST_P(ClaimConformance, ReleaseTakesTheStartBack) {
  TaskId id = Submit(Spec());
  ClaimedTask task = RunOne();
  EXPECT_THAT(Release(task), Succeeds());
  EXPECT_EQ(StateOf(id), State::kQueued);
  EXPECT_EQ(Get(id).attempts, 0u);
  EXPECT_THAT(Release(task), FailsWith(Code::kAborted));
  Restart();
  EXPECT_EQ(Get(id).attempts, 0u);
  EXPECT_EQ(ClaimOne().attempt, 1u);
}

TEST_P(ClaimConformance, ACrashMakesSuspectsThatRunAloneAndNeighboursGoFree) {
  auto ids = SubmitMany(3);
  auto claimed = Claim(3);
  EXPECT_THAT(Start(claimed[0]), Succeeds());
  EXPECT_THAT(Start(claimed[1]), Succeeds());
  for (const ClaimedTask& task : claimed) EXPECT_THAT(Fail(task, true, true), Succeeds());
  EXPECT_TRUE(Get(ids[0]).suspect);
  EXPECT_TRUE(Get(ids[1]).suspect);
  EXPECT_FALSE(Get(ids[2]).suspect) << "it was not running";
  EXPECT_EQ(Get(ids[0]).attempts, 0u) << "burns no attempt";
  EXPECT_EQ(Get(ids[0]).crashes, 0u) << "it was not alone";
  Restart();
  auto first = Claim(10);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_TRUE(first[0].alone);
  EXPECT_THAT(Start(first[0]), Succeeds());
  EXPECT_THAT(Complete(first[0]), Succeeds());
}

TEST_P(ClaimConformance, ThreeCrashesAloneAreADeadLetter) {
  TaskId id = Submit(Spec());
  EXPECT_THAT(Fail(RunOne(), true, true), Succeeds());  // suspected
  for (uint32_t crash = 1; crash <= 3; ++crash) {
    EXPECT_EQ(StateOf(id), State::kQueued);
    ClaimedTask task = RunOne();
    EXPECT_TRUE(task.alone);
    EXPECT_THAT(Fail(task, true, true), Succeeds());
    EXPECT_EQ(Get(id).crashes, crash);
  }
  EXPECT_EQ(StateOf(id), State::kFailed);
  EXPECT_THAT(Get(id).outcome.message, HasSubstr("dead letter"));
}

TEST_P(ClaimConformance, AnOrdinaryFailureClearsTheSuspicion) {
  TaskId id = Submit(Spec());
  EXPECT_THAT(Fail(RunOne(), true, true), Succeeds());
  EXPECT_THAT(Fail(RunOne(), true), Succeeds());
  EXPECT_FALSE(Get(id).suspect);
}

TEST_P(ClaimConformance, ACheckpointGoesToTheNextClaimer) {
  TaskId id = Submit(Spec());
  ClaimedTask task = RunOne();
  EXPECT_EQ(Renew(task, "half way"), RenewalReply::kHeld);
  EXPECT_EQ(Renew(task), RenewalReply::kHeld) << "leaves it";
  EXPECT_EQ(Renew(task, std::string(64 * 1024 + 1, 'x')), RenewalReply::kHeld)
      << "too big: kept as it was";
  EXPECT_THAT(Release(task), Succeeds());
  Restart();
  ClaimedTask next = RunOne();
  EXPECT_EQ(next.checkpoint, "half way");
  EXPECT_THAT(Complete(next), Succeeds());
  EXPECT_EQ(Get(id).checkpoint, "");
}

TEST_P(ClaimConformance, ExpiresAtEndsATaskInAnyLiveState) {
  std::vector<TaskId> ids;
  for (int i = 0; i < 3; ++i) {
    TaskSpec spec = Spec(fmt::format("lane{}", i));
    spec.expires_at = Now() + 10s;
    ids.push_back(Submit(spec));
  }
  TaskSpec blocked = Spec();
  blocked.not_before = Now() + 20s;
  blocked.expires_at = Now() + 10s;
  ids.push_back(Submit(blocked));
  ClaimedTask leased = ClaimOne("lane1");
  ClaimedTask running = RunOne("lane2");
  sim().RunFor(10s - 1us);
  for (TaskId id : ids) EXPECT_FALSE(IsTerminal(StateOf(id)));
  sim().RunFor(1us);
  for (TaskId id : ids) EXPECT_EQ(StateOf(id), State::kExpired);
  EXPECT_THAT(Complete(running), FailsWith(Code::kAborted));
  EXPECT_EQ(Renew(running), RenewalReply::kLost);
  EXPECT_GT(Get(running.id).fence, running.fence) << "fence raised";
  sim().RunFor(20s);
  Restart();
  for (TaskId id : ids) EXPECT_EQ(StateOf(id), State::kExpired);
}

TEST_P(ClaimConformance, ExpiryIsCaughtUpAfterARestart) {
  TaskSpec spec = Spec();
  spec.expires_at = Now() + 10s;
  TaskId id = Submit(spec);
  EXPECT_THAT(sim().Run(queue().Close()), Succeeds());
  sim().RunFor(1h);
  Crash();
  sim().RunFor(1us);
  EXPECT_EQ(StateOf(id), State::kExpired);
}

TEST_P(ClaimConformance, OneRefusedItemDoesNotTouchItsNeighbours) {
  SubmitMany(2);
  auto claimed = Claim(2);
  for (const auto& task : claimed) EXPECT_THAT(Start(task), Succeeds());
  TaskRef stale{claimed[0].id, model::Fence{1}};
  TaskRef unknown{TaskId{999}, model::Fence{1}};
  std::vector<Completion> completions = {
      {.task = stale}, {.task = Ref(claimed[0])}, {.task = unknown}, {.task = Ref(claimed[1])}};
  auto items = sim().Run(queue().Complete(completions));
  EXPECT_THAT(items[0], FailsWith(Code::kAborted));
  EXPECT_THAT(items[1], Succeeds());
  EXPECT_THAT(items[2], FailsWith(Code::kAborted));
  EXPECT_THAT(items[3], Succeeds());
}

INSTANTIATE_TEST_SUITE_P(Queues, ClaimConformance, ::testing::ValuesIn(Implementations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace inferq::queue
