// Tasks that are never stored, and claims of interactive ones only.

#include "queue/conformance/queue_suite.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;
using base::Code;
using model::State;
using model::TaskId;
using model::TaskSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class EphemeralConformance : public QueueConformance {
 protected:
  static TaskSpec Online() {
    TaskSpec spec = Spec();
    spec.interactive = true;
    spec.ephemeral = true;
    return spec;
  }
  bool Exists(TaskId id) {
    auto record = sim().Run(queue().Get(id));
    if (!record) EXPECT_THAT(record, FailsWith(Code::kNotFound));
    return record.has_value();
  }
  base::Result<> Refusal(TaskSpec spec) {
    auto ids = TrySubmit(One(std::move(spec)));
    EXPECT_THAT(ids, FailsWith(Code::kInvalidArgument));
    if (ids) return {};
    return std::unexpected(ids.error());
  }
  std::vector<TaskId> ClaimInteractive(uint32_t max = 10) {
    ClaimRequest request{.worker = "w", .lanes = {"m"}, .max_tasks = max, .interactive_only = true};
    std::vector<TaskId> ids;
    for (const ClaimedTask& task : sim().Run(queue().Claim(request)).value()) {
      ids.push_back(task.id);
    }
    return ids;
  }
  static Awaitable<void> ClaimInto(Queue& queue, ClaimRequest request, std::vector<TaskId>& out) {
    auto claimed = co_await queue.Claim(std::move(request));
    for (const ClaimedTask& task : claimed.value()) out.push_back(task.id);
  }
  // Starts a claim that waits.
  void SpawnClaim(bool interactive_only, std::vector<TaskId>& out) {
    ClaimRequest request{.worker = "w",
                         .lanes = {"m"},
                         .wait_until = sim().clock().Steady() + 1h,
                         .interactive_only = interactive_only};
    sim().SpawnDetached(ClaimInto(queue(), std::move(request), out));
    sim().RunUntilIdle();
  }
};

TEST_P(EphemeralConformance, LivesOutsideOfQueriesAndStats) {
  TaskId durable = Submit(Spec());
  TaskId id = Submit(Online());
  EXPECT_NE(id, durable);
  EXPECT_TRUE(IsEphemeral(id));
  model::TaskRecord record = Get(id);
  EXPECT_TRUE(record.spec.ephemeral);
  EXPECT_TRUE(record.spec.interactive);
  EXPECT_EQ(record.state, State::kQueued);
  EXPECT_EQ(Query({}).size(), 1u);
  EXPECT_EQ(queue().Stats({}).total(), 1u);
  EXPECT_EQ(queue().Waiting("m"), 2u);
  EXPECT_EQ(queue().Waiting("other"), 0u);
  EXPECT_EQ(sim().Run(queue().CancelWhere({})).value(), 1u);
  EXPECT_TRUE(Exists(id));
  EXPECT_EQ(queue().Waiting("m"), 1u);
}

TEST_P(EphemeralConformance, LeavesNoHolesInDurableIds) {
  TaskId first = Submit(Spec());
  SubmitAll({Online(), Online()});
  TaskId second = Submit(Spec());
  EXPECT_EQ(second.value, first.value + 1);
}

TEST_P(EphemeralConformance, IsForgottenWhenItEnds) {
  TaskId id = Submit(Online());
  ClaimedTask task = RunOne();
  EXPECT_EQ(task.id, id);
  EXPECT_TRUE(task.spec.interactive);
  EXPECT_EQ(StateOf(id), State::kRunning);
  EXPECT_THAT(Complete(task), Succeeds());
  EXPECT_FALSE(Exists(id));
  EXPECT_THAT(Complete(task), FailsWith(Code::kAborted));
  EXPECT_THAT(Start(task), FailsWith(Code::kAborted));
  EXPECT_THAT(Fail(task, true), FailsWith(Code::kAborted));
  EXPECT_THAT(Release(task), FailsWith(Code::kAborted));
  EXPECT_THAT(Cancel(id), FailsWith(Code::kNotFound));
  EXPECT_THAT(Requeue(id), FailsWith(Code::kNotFound));
  EXPECT_EQ(Renew(task), RenewalReply::kLost);
  EXPECT_EQ(queue().Stats({}).last_finish_sequence, 0u);
  EXPECT_EQ(queue().Stats({}).attempts, 0u);
}

TEST_P(EphemeralConformance, RetriesAfterBackoffUntilItsAttemptsAreUsedUp) {
  TaskSpec spec = Online();
  spec.max_attempts = 2;
  TaskId id = Submit(spec);
  EXPECT_THAT(Fail(RunOne(), true), Succeeds());
  EXPECT_EQ(StateOf(id), State::kBlocked);
  EXPECT_THAT(Claim(), IsEmpty());
  sim().RunFor(10s);
  ClaimedTask again = RunOne();
  EXPECT_EQ(again.attempt, 2u);
  EXPECT_THAT(Fail(again, true), Succeeds());
  EXPECT_FALSE(Exists(id));
}

TEST_P(EphemeralConformance, ReleaseLeasesAndSuspectsWorkAsForOthers) {
  TaskId id = Submit(Online());
  EXPECT_THAT(Release(RunOne()), Succeeds());
  ClaimedTask task = RunOne();
  EXPECT_EQ(task.attempt, 1u) << "released: no attempt burned";
  sim().RunFor(20s);
  EXPECT_EQ(Renew(task, "half"), RenewalReply::kHeld);
  sim().RunFor(20s);
  EXPECT_EQ(StateOf(id), State::kRunning);
  sim().RunFor(20s);
  EXPECT_EQ(StateOf(id), State::kQueued) << "the lease ran out";
  EXPECT_THAT(Complete(task), FailsWith(Code::kAborted)) << "stale fence";
  task = RunOne();
  EXPECT_EQ(task.checkpoint, "half");
  EXPECT_THAT(Fail(task, true, true), Succeeds());
  task = ClaimOne();
  EXPECT_TRUE(task.alone);
}

TEST_P(EphemeralConformance, TimesWorkAsForOthers) {
  TaskSpec late = Online();
  late.not_before = Now() + 10s;
  TaskSpec brief = Online();
  brief.expires_at = Now() + 5s;
  auto ids = SubmitAll({late, brief, brief});
  EXPECT_EQ(StateOf(ids[0]), State::kBlocked);
  ClaimedTask running = RunOne();
  EXPECT_EQ(running.id, ids[1]);
  sim().RunFor(6s);
  EXPECT_FALSE(Exists(ids[1]));
  EXPECT_FALSE(Exists(ids[2]));
  EXPECT_THAT(Complete(running), FailsWith(Code::kAborted));
  EXPECT_THAT(Claim(), IsEmpty());
  sim().RunFor(6s);
  EXPECT_EQ(ClaimOne().id, ids[0]);
}

TEST_P(EphemeralConformance, ADueOneGoesFirst) {
  TaskId early = Submit(Online());
  TaskSpec due = Online();
  due.deadline = Now() + 1s;
  TaskId hurried = Submit(due);
  sim().RunFor(2s);
  EXPECT_THAT(ClaimInteractive(), ElementsAre(hurried, early));
}

TEST_P(EphemeralConformance, CancelAndEditWork) {
  auto ids = SubmitAll({Online(), Online(), Online()});
  EXPECT_THAT(sim().Run(queue().Edit({.id = ids[2], .priority = 100})), Succeeds());
  ClaimedTask first = RunOne();
  EXPECT_EQ(first.id, ids[2]);
  EXPECT_THAT(Cancel(first.id), Succeeds());
  EXPECT_EQ(Renew(first), RenewalReply::kLost);
  EXPECT_THAT(Complete(first), FailsWith(Code::kAborted));
  EXPECT_THAT(Cancel(ids[0]), Succeeds());
  EXPECT_EQ(ClaimOne().id, ids[1]);
  EXPECT_THAT(Claim(), IsEmpty());
}

TEST_P(EphemeralConformance, WhatNeedsTheStoreIsRefusedByName) {
  TaskId durable = Submit(Spec());
  TaskId online = Submit(Online());
  TaskSpec spec = Online();
  spec.parents = {durable};
  EXPECT_EQ(Refusal(spec).error().param(), "parents");
  spec = Online();
  spec.batch = queue().NewBatchId();
  EXPECT_EQ(Refusal(spec).error().param(), "batch");
  spec = Online();
  spec.idempotency_key = "k";
  EXPECT_EQ(Refusal(spec).error().param(), "idempotency_key");
  spec = Spec();
  spec.interactive = true;
  EXPECT_EQ(Refusal(spec).error().param(), "interactive");
  spec = Spec();
  spec.parents = {online};
  EXPECT_EQ(Refusal(spec).error().param(), "parents") << "nothing durable waits for it";
  auto mixed = TrySubmit({Spec(), Online()});
  EXPECT_THAT(mixed, FailsWith(Code::kInvalidArgument));
  EXPECT_EQ(mixed.error().param(), "ephemeral");
  EXPECT_THAT(mixed.error().message(), HasSubstr("task 1"));
  EXPECT_EQ(queue().Waiting("m"), 2u) << "nothing was added";
}

TEST_P(EphemeralConformance, CountsTowardsTheLimitOfLiveTasks) {
  options().room.tasks = 3;
  Restart();
  Submit(Spec());
  SubmitAll({Online(), Online()});
  EXPECT_THAT(TrySubmit({Online()}), FailsWith(Code::kResourceExhausted));
  EXPECT_THAT(TrySubmit({Spec()}), FailsWith(Code::kResourceExhausted));
  ClaimedTask task;
  do {
    task = RunOne();
  } while (!IsEphemeral(task.id));
  EXPECT_THAT(Complete(task), Succeeds());
  EXPECT_THAT(TrySubmit({Online()}), Succeeds());
}

TEST_P(EphemeralConformance, SomePlacesAreKeptForIt) {
  options().room.tasks = 3;
  options().room.kept_for_ephemeral = 1;
  Restart();
  SubmitAll({Spec(), Spec()});
  EXPECT_THAT(TrySubmit({Spec()}), FailsWith(Code::kResourceExhausted));
  EXPECT_THAT(TrySubmit({Online()}), Succeeds());
}

TEST_P(EphemeralConformance, ARestartForgetsItButNotWhatItsTenantUsed) {
  TaskSpec spec = Online();
  spec.tenant = "a";
  spec.cost = 1000;
  TaskId id = Submit(spec);
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  TaskId left = Submit(spec);
  Restart();
  EXPECT_FALSE(Exists(left));
  EXPECT_EQ(queue().Waiting("m"), 0u);
  TaskSpec other = Spec();
  other.tenant = "b";
  TaskId b = Submit(other);
  EXPECT_GT(Submit(spec), left) << "an id is not given to another task";
  EXPECT_GT(left, id);
  EXPECT_EQ(ClaimOne().id, b) << "a has used more";
}

TEST_P(EphemeralConformance, WhatItsTenantUsedIsStoredWithinSeconds) {
  TaskSpec spec = Online();
  spec.tenant = "a";
  spec.cost = 1000;
  Submit(spec);
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  sim().RunFor(2s);
  Crash();
  TaskSpec other = Spec();
  other.tenant = "b";
  TaskId b = Submit(other);
  Submit(spec);
  EXPECT_EQ(ClaimOne().id, b);
}

TEST_P(EphemeralConformance, AnInteractiveClaimTakesNothingElse) {
  TaskSpec urgent = Spec();
  urgent.priority = 1000;
  Submit(urgent);
  TaskSpec quiet = Spec();
  quiet.ephemeral = true;
  Submit(quiet);
  EXPECT_THAT(ClaimInteractive(), IsEmpty());
  TaskId id = Submit(Online());
  EXPECT_THAT(ClaimInteractive(), ElementsAre(id));
  EXPECT_EQ(Claim(10).size(), 2u);
}

TEST_P(EphemeralConformance, AnInteractiveClaimIsWokenByWhatItServes) {
  std::vector<TaskId> reserved;
  SpawnClaim(true, reserved);
  Submit(Spec());
  sim().RunUntilIdle();
  EXPECT_THAT(reserved, IsEmpty());
  TaskId id = Submit(Online());
  sim().RunUntilIdle();
  EXPECT_THAT(reserved, ElementsAre(id));
}

TEST_P(EphemeralConformance, AClaimThatTookAnotherTaskHandsItsWakeOn) {
  std::vector<TaskId> general;
  std::vector<TaskId> reserved;
  SpawnClaim(false, general);
  SpawnClaim(true, reserved);
  TaskSpec urgent = Online();
  urgent.interactive = false;
  urgent.priority = 1000;
  auto ids = SubmitAll({Online(), urgent});  // the first wakes the general claim, for the second
  sim().RunUntilIdle();
  EXPECT_THAT(general, ElementsAre(ids[1]));
  EXPECT_THAT(reserved, ElementsAre(ids[0]));
}

TEST_P(EphemeralConformance, ATenantsPolicyCanBeSetWhileOpen) {
  queue().SetTenant("default", {.max_running = 0});
  std::vector<TaskId> claimed;
  TaskId id = Submit(Online());
  SpawnClaim(true, claimed);
  EXPECT_THAT(claimed, IsEmpty());
  queue().SetTenant("default", {.max_running = 1});
  sim().RunUntilIdle();
  EXPECT_THAT(claimed, ElementsAre(id));
}

INSTANTIATE_TEST_SUITE_P(Queues, EphemeralConformance, ::testing::ValuesIn(Implementations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace inferq::queue
