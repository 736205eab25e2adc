// Submission, idempotency, dependencies, limits.

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

class SubmitConformance : public QueueConformance {
 protected:
  TaskSpec ChildOf(std::vector<TaskId> parents,
                   model::ParentPolicy policy = model::ParentPolicy::kAllSucceeded) {
    TaskSpec spec = Spec("child");
    spec.parents = std::move(parents);
    spec.parent_policy = policy;
    return spec;
  }
  base::Error SubmitError(TaskSpec spec) {
    auto ids = TrySubmit(One(std::move(spec)));
    EXPECT_FALSE(ids.has_value());
    return ids ? base::Error(Code::kInternal, "accepted") : ids.error();
  }
};

TEST_P(SubmitConformance, AnswersOneIdPerSpecInOrderAndContiguous) {
  auto ids = SubmitMany(5);
  ASSERT_EQ(ids.size(), 5u);
  for (size_t i = 1; i < ids.size(); ++i) EXPECT_EQ(ids[i].value, ids[0].value + i);
  EXPECT_EQ(StateOf(ids[4]), State::kQueued);
  EXPECT_EQ(Get(ids[4]).version, 1u);
  EXPECT_EQ(Count(State::kQueued), 5u);
}

TEST_P(SubmitConformance, EveryFieldSurvivesARestart) {
  TaskSpec spec;
  spec.tenant = "acme";
  spec.lane = "glm";
  spec.idempotency_key = "k";
  spec.content_hash = UINT64_MAX;
  spec.priority = -7;
  spec.not_before = Now() + 1h;
  spec.deadline = Now() + 2h;
  spec.expires_at = Now() + 3h;
  spec.parent_policy = model::ParentPolicy::kAllTerminal;
  TaskSpec parent = Spec();
  parent.tenant = "acme";
  spec.parents = {Submit(parent)};
  spec.batch = queue().NewBatchId();
  spec.line = 3;
  spec.payload = {1, 2, 3};
  spec.cost = 77;
  spec.locality = {4, 5, 6, 7};
  spec.max_attempts = 9;
  spec.traceparent = std::string(55, 'a');
  TaskId id = Submit(spec);
  model::TaskRecord before = Get(id);
  Restart();
  model::TaskRecord after = Get(id);
  for (const model::TaskRecord* record : {&before, &after}) {
    const TaskSpec& got = record->spec;
    EXPECT_EQ(got.tenant, spec.tenant);
    EXPECT_EQ(got.lane, spec.lane);
    EXPECT_EQ(got.idempotency_key, spec.idempotency_key);
    EXPECT_EQ(got.content_hash, spec.content_hash);
    EXPECT_EQ(got.priority, spec.priority);
    EXPECT_EQ(got.not_before, spec.not_before);
    EXPECT_EQ(got.deadline, spec.deadline);
    EXPECT_EQ(got.expires_at, spec.expires_at);
    EXPECT_EQ(got.parents, spec.parents);
    EXPECT_EQ(got.parent_policy, spec.parent_policy);
    EXPECT_EQ(got.batch, spec.batch);
    EXPECT_EQ(got.line, spec.line);
    EXPECT_EQ(got.payload, spec.payload);
    EXPECT_EQ(got.cost, spec.cost);
    EXPECT_EQ(got.locality, spec.locality);
    EXPECT_EQ(got.max_attempts, spec.max_attempts);
    EXPECT_EQ(got.traceparent, spec.traceparent);
    EXPECT_EQ(record->state, State::kBlocked);
    EXPECT_EQ(record->version, before.version);
    EXPECT_EQ(record->submitted, before.submitted);
    EXPECT_EQ(record->eligible, before.eligible);
  }
}

TEST_P(SubmitConformance, IdsGoOnAfterARestart) {
  TaskId first = Submit(Spec());
  model::BatchId batch = queue().NewBatchId();
  Restart();
  EXPECT_GT(Submit(Spec()), first);
  EXPECT_GT(queue().NewBatchId(), batch);
}

TEST_P(SubmitConformance, BadFieldsAreNamedAndNothingIsAdded) {
  TaskSpec bad = Spec();
  bad.priority = 1001;
  auto ids = TrySubmit({Spec(), bad, Spec()});
  ASSERT_THAT(ids, FailsWith(Code::kInvalidArgument));
  EXPECT_THAT(ids.error().message(), HasSubstr("task 1: priority"));
  EXPECT_EQ(ids.error().param(), "priority");
  EXPECT_EQ(queue().Stats({}).total(), 0u);

  auto with = [](auto change) {
    TaskSpec spec = Spec();
    change(spec);
    return spec;
  };
  for (const TaskSpec& spec :
       {with([](TaskSpec& s) { s.lane.clear(); }), with([](TaskSpec& s) { s.tenant.clear(); }),
        with([](TaskSpec& s) { s.tenant = std::string(129, 'x'); }),
        with([](TaskSpec& s) { s.tenant = std::string("a\0b", 3); }),
        with([](TaskSpec& s) { s.idempotency_key = std::string(129, 'x'); }),
        with([](TaskSpec& s) { s.max_attempts = 0; }),
        with([](TaskSpec& s) { s.traceparent = "short"; }),
        with([this](TaskSpec& s) { s.deadline = Now(); }),
        with([this](TaskSpec& s) { s.expires_at = Now() - 1s; }),
        with([](TaskSpec& s) { s.not_before = base::WallTime::max(); })}) {
    EXPECT_EQ(SubmitError(spec).code(), Code::kInvalidArgument);
  }
  EXPECT_THAT(TrySubmit({}), FailsWith(Code::kInvalidArgument));
  EXPECT_THAT(TrySubmit(std::vector<TaskSpec>(10'001, Spec())), FailsWith(Code::kInvalidArgument));
}

TEST_P(SubmitConformance, ABatchBelongsToOneTenant) {
  TaskSpec line = Spec();
  line.batch = queue().NewBatchId();
  Submit(line);
  line.tenant = "other";
  EXPECT_EQ(SubmitError(line).param(), "batch");
}

TEST_P(SubmitConformance, SameKeySameContentIsTheSameTask) {
  TaskId first = Submit(Keyed("k"));
  EXPECT_EQ(Submit(Keyed("k")), first);
  Restart();
  EXPECT_EQ(Submit(Keyed("k")), first);
  TaskSpec other = Keyed("k");
  other.tenant = "other";
  EXPECT_NE(Submit(other), first);
  EXPECT_EQ(queue().Stats({}).total(), 2u);
}

TEST_P(SubmitConformance, SameKeyOtherContentIsRefused) {
  Submit(Keyed("k", 1));
  EXPECT_EQ(SubmitError(Keyed("k", 2)).code(), Code::kAlreadyExists);
  Restart();
  EXPECT_EQ(SubmitError(Keyed("k", 2)).code(), Code::kAlreadyExists);
  EXPECT_THAT(TrySubmit({Spec(), Keyed("new", 1), Keyed("new", 2)}),
              FailsWith(Code::kAlreadyExists));
  EXPECT_EQ(queue().Stats({}).total(), 1u);
}

// A key that is known already makes "that spec" and "that task" one parent.
TEST_P(SubmitConformance, AParentThatIsNamedTwiceOverItsKeyCountsOnce) {
  TaskId parent = Submit(Keyed("k"));
  TaskSpec child = Spec();
  child.parents = {InThisCall(0), parent};
  TaskId id = SubmitAll({Keyed("k"), child})[1];
  EXPECT_THAT(Get(id).spec.parents, ElementsAre(parent));
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_EQ(StateOf(id), State::kQueued);
}

TEST_P(SubmitConformance, ATaskThatIsItsOwnParentOverItsKeyIsACycle) {
  TaskSpec first = Keyed("k");
  first.parents = {InThisCall(1)};
  EXPECT_THAT(TrySubmit({first, Keyed("k")}), FailsWith(Code::kInvalidArgument));
  EXPECT_EQ(queue().Stats({}).total(), 0u);
}

TEST_P(SubmitConformance, SameKeyWithinOneCallIsOneTask) {
  auto ids = SubmitAll({Keyed("k"), Spec(), Keyed("k")});
  EXPECT_EQ(ids[0], ids[2]);
  EXPECT_EQ(queue().Stats({}).total(), 2u);
}

TEST_P(SubmitConformance, KeysAreForgottenAfterADay) {
  TaskId first = Submit(Keyed("k"));
  sim().RunFor(24h - 1s);
  EXPECT_EQ(Submit(Keyed("k")), first);
  sim().RunFor(1s);
  TaskId second = Submit(Keyed("k", 2));
  EXPECT_NE(second, first);
  Restart();
  EXPECT_EQ(Submit(Keyed("k", 2)), second);
}

TEST_P(SubmitConformance, ARepeatIsAcceptedAfterItsDeadline) {
  TaskSpec spec = Keyed("k");
  spec.deadline = Now() + 1s;
  TaskId id = Submit(spec);
  sim().RunFor(2s);
  EXPECT_EQ(Submit(spec), id);
}

Awaitable<void> SubmitInto(Queue& queue, std::vector<TaskSpec> specs, std::vector<TaskId>& out) {
  auto ids = co_await queue.Submit(std::move(specs));
  EXPECT_THAT(ids, Succeeds());
  if (ids) out.insert(out.end(), ids->begin(), ids->end());
}

TEST_P(SubmitConformance, ConcurrentSubmissionsOfOneKeyAreOneTask) {
  std::vector<TaskId> ids;
  for (int i = 0; i < 10; ++i) sim().SpawnDetached(SubmitInto(queue(), One(Keyed("k")), ids));
  sim().RunUntilIdle();
  ASSERT_EQ(ids.size(), 10u);
  for (TaskId id : ids) EXPECT_EQ(id, ids[0]);
  EXPECT_EQ(queue().Stats({}).total(), 1u);
}

TEST_P(SubmitConformance, NotBeforeBlocksUntilItsTime) {
  TaskSpec spec = Spec();
  spec.not_before = Now() + 90s;
  TaskId id = Submit(spec);
  EXPECT_EQ(StateOf(id), State::kBlocked);
  EXPECT_TRUE(Claim().empty());
  sim().RunFor(90s - 1us);
  EXPECT_TRUE(Claim().empty());
  sim().RunFor(1us);
  EXPECT_EQ(ClaimOne().id, id);
  EXPECT_EQ(Get(id).eligible, *spec.not_before);
}

TEST_P(SubmitConformance, NotBeforeSurvivesARestart) {
  TaskSpec spec = Spec();
  spec.not_before = Now() + 90s;
  TaskId id = Submit(spec);
  Restart();
  EXPECT_TRUE(Claim().empty());
  sim().RunFor(90s);
  EXPECT_EQ(ClaimOne().id, id);
}

TEST_P(SubmitConformance, NotBeforeFollowsCivilTime) {
  TaskSpec spec = Spec();
  spec.not_before = Now() + 2h;
  Submit(spec);
  sim().JumpWallClock(2h);
  sim().RunFor(60s);  // noticed within a minute
  EXPECT_EQ(Claim().size(), 1u);
}

TEST_P(SubmitConformance, AChildWaitsForAllItsParents) {
  auto parents = SubmitMany(2);
  TaskId child = Submit(ChildOf(parents));
  EXPECT_EQ(StateOf(child), State::kBlocked);
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_TRUE(Claim(1, {"child"}).empty());
  Restart();
  EXPECT_TRUE(Claim(1, {"child"}).empty());
  sim().RunFor(5s);
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  auto ended = Now();
  EXPECT_EQ(ClaimOne("child").id, child);
  EXPECT_TRUE(Claim(1, {"child"}).empty()) << "a join fires once";
  EXPECT_EQ(Get(child).eligible, ended);
}

TEST_P(SubmitConformance, AChildOfEndedParentsIsQueuedAtOnce) {
  TaskId parent = Submit(Spec());
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_EQ(StateOf(Submit(ChildOf({parent}))), State::kQueued);
}

TEST_P(SubmitConformance, AFailedParentFailsItsDescendants) {
  TaskId parent = Submit(Spec());
  TaskId child = Submit(ChildOf({parent}));
  TaskId grandchild = Submit(ChildOf({child}));
  TaskId any = Submit(ChildOf({child}, model::ParentPolicy::kAllTerminal));
  EXPECT_THAT(Fail(RunOne(), false), Succeeds());
  EXPECT_EQ(StateOf(child), State::kFailed);
  EXPECT_EQ(StateOf(grandchild), State::kFailed);
  EXPECT_EQ(StateOf(any), State::kQueued);
  EXPECT_THAT(Get(child).outcome.message, HasSubstr(ToString(parent)));
  TaskId late = Submit(ChildOf({parent}));
  EXPECT_EQ(StateOf(late), State::kFailed);
  Restart();
  EXPECT_EQ(StateOf(grandchild), State::kFailed);
  EXPECT_EQ(StateOf(any), State::kQueued);
}

TEST_P(SubmitConformance, UnknownAndForeignParentsAreRefused) {
  TaskSpec foreign = Spec();
  foreign.tenant = "other";
  TaskId theirs = Submit(foreign);
  EXPECT_EQ(SubmitError(ChildOf({TaskId{12345}})).param(), "parents");
  EXPECT_EQ(SubmitError(ChildOf({theirs})).param(), "parents");
  TaskId ours = Submit(Spec());
  EXPECT_EQ(SubmitError(ChildOf({ours, ours})).param(), "parents");
}

TEST_P(SubmitConformance, AGraphIsAddedInOneCall) {
  auto ids = SubmitAll({ChildOf({InThisCall(1), InThisCall(2)}), Spec(), Spec()});
  EXPECT_EQ(StateOf(ids[0]), State::kBlocked);
  Restart();
  for (int i = 0; i < 2; ++i) EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_EQ(ClaimOne("child").id, ids[0]);
}

TEST_P(SubmitConformance, CyclesAreRefused) {
  EXPECT_EQ(SubmitError(ChildOf({InThisCall(0)})).code(), Code::kInvalidArgument);
  auto ids = TrySubmit(
      {Spec(), ChildOf({InThisCall(2)}), ChildOf({InThisCall(3)}), ChildOf({InThisCall(1)})});
  ASSERT_THAT(ids, FailsWith(Code::kInvalidArgument));
  EXPECT_THAT(ids.error().message(), HasSubstr("cycle"));
  EXPECT_EQ(SubmitError(ChildOf({InThisCall(7)})).code(), Code::kInvalidArgument);
  EXPECT_EQ(queue().Stats({}).total(), 0u);
}

TEST_P(SubmitConformance, ParentsOfNearlyCompleteJoinsGoFirst) {
  auto ids = SubmitMany(3);           // same age and priority: by id
  Submit(ChildOf({ids[1], ids[2]}));  // 5 points each
  Submit(ChildOf({ids[2]}));          // 10 points
  EXPECT_EQ(ClaimOne().id, ids[2]);
  EXPECT_EQ(ClaimOne().id, ids[1]);
  EXPECT_EQ(ClaimOne().id, ids[0]);
}

TEST_P(SubmitConformance, AFullQueueRefusesWithAHintAndTakesWorkAgain) {
  options().room.tasks = 3;
  Restart();
  SubmitMany(2);
  auto refused = TrySubmit({Spec(), Spec()});
  ASSERT_THAT(refused, FailsWith(Code::kResourceExhausted));
  EXPECT_GE(refused.error().retry_after(), 1s);
  EXPECT_LE(refused.error().retry_after(), 60s);
  EXPECT_EQ(queue().Stats({}).total(), 2u);
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  SubmitMany(2);
}

TEST_P(SubmitConformance, ATenantHasItsOwnBounds) {
  options().room.tasks_per_tenant = 2;
  options().room.bytes_per_tenant = 100;
  Restart();
  auto of = [](std::string tenant, uint64_t bytes) {
    TaskSpec spec = Spec();
    spec.tenant = std::move(tenant);
    spec.payload = {1, 0, bytes};
    return spec;
  };
  SubmitAll({of("ann", 10), of("ann", 10)});
  auto refused = TrySubmit({of("ann", 10)});
  ASSERT_THAT(refused, FailsWith(Code::kResourceExhausted));
  EXPECT_GE(refused.error().retry_after(), 1s);
  Submit(of("bob", 60));
  EXPECT_THAT(TrySubmit({of("bob", 60)}), FailsWith(Code::kResourceExhausted));
  Submit(of("bob", 40));
  for (int i = 0; i < 4; ++i) EXPECT_THAT(Complete(RunOne()), Succeeds());
  SubmitAll({of("ann", 50), of("bob", 100)});
}

TEST_P(SubmitConformance, TheBytesOfAllRequestsAreBounded) {
  options().room.bytes = 100;
  Restart();
  TaskSpec spec = Spec();
  spec.payload = {1, 0, 60};
  Submit(spec);
  EXPECT_THAT(TrySubmit({spec}), FailsWith(Code::kResourceExhausted));
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  Submit(spec);
  Restart();  // what lives is counted anew
  EXPECT_THAT(TrySubmit({spec}), FailsWith(Code::kResourceExhausted));
}

INSTANTIATE_TEST_SUITE_P(Queues, SubmitConformance, ::testing::ValuesIn(Implementations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace inferq::queue
