// Batches of lines: what every queue promises of them.

#include <map>

#include "queue/conformance/queue_suite.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;
using base::Code;
using model::BatchId;
using model::State;
using model::TaskId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class BatchConformance : public QueueConformance {
 protected:
  BatchConformance() {
    auto indices = indices_;
    options().read_lines = [indices](uint64_t index, uint64_t first,
                                     uint32_t count) -> base::Result<std::vector<LineInfo>> {
      auto found = indices->find(index);
      if (found == indices->end()) return base::Fail(Code::kNotFound, "no such index");
      std::vector<LineInfo> lines;
      for (uint64_t line = first; line < found->second.size() && lines.size() < count; ++line)
        lines.push_back(found->second[line]);
      return lines;
    };
    options().line_window = 8;
    Restart();
  }

  static LineInfo Info(uint64_t line, uint32_t lane = 0) {
    return {.offset = line * 100, .length = 90, .cost = 5, .lane = lane, .locality = {}};
  }
  BatchPlan Plan(uint64_t lines, std::vector<std::string> lanes = {"m"}) {
    BatchPlan plan;
    plan.batch = queue().NewBatchId();
    plan.lanes = std::move(lanes);
    plan.lines = lines;
    plan.input_blob = 7;
    plan.index_blob = ++last_index_;
    plan.mean_cost = 5;
    auto& index = (*indices_)[plan.index_blob];
    for (uint64_t line = 0; line < lines; ++line)
      index.push_back(Info(line, static_cast<uint32_t>(line % plan.lanes.size())));
    return plan;
  }
  BatchId SubmitPlan(const BatchPlan& plan) {
    auto first = sim().Run(queue().SubmitBatch(plan));
    EXPECT_THAT(first, Succeeds());
    first_ = first.value_or(TaskId{});
    sim().RunUntilIdle();  // its first lines are read
    return plan.batch;
  }
  BatchId SubmitLines(uint64_t lines) { return SubmitPlan(Plan(lines)); }
  TaskId IdOf(uint64_t line) const { return TaskId{first_.value + line}; }
  // Claims, starts and completes up to `most` lines; what was run.
  std::vector<uint64_t> RunLines(uint64_t most = UINT64_MAX, std::string lane = "m") {
    std::vector<uint64_t> lines;
    while (lines.size() < most) {
      auto claimed = Claim(1, {lane});
      if (claimed.empty()) break;
      EXPECT_THAT(Start(claimed[0]), Succeeds());
      EXPECT_THAT(Complete(claimed[0], {9, claimed[0].spec.line, 10}), Succeeds());
      lines.push_back(claimed[0].spec.line);
      sim().RunUntilIdle();
    }
    return lines;
  }
  std::vector<model::TaskRecord> Ended(BatchId batch, uint64_t after = 0, uint32_t limit = 1000) {
    return Query({.filter = {.tenant = {}, .batch = batch, .state = {}},
                  .after = after,
                  .order = QueryRequest::Order::kFinishSequence,
                  .limit = limit});
  }
  TaskFilter Of(BatchId batch) { return {.tenant = {}, .batch = batch, .state = {}}; }
  std::vector<uint64_t> Numbers(uint64_t count) {
    std::vector<uint64_t> numbers(count);
    for (uint64_t i = 0; i < count; ++i) numbers[i] = i;
    return numbers;
  }

  std::shared_ptr<std::map<uint64_t, std::vector<LineInfo>>> indices_ =
      std::make_shared<std::map<uint64_t, std::vector<LineInfo>>>();
  uint64_t last_index_ = 0;
  TaskId first_;
};

TEST_P(BatchConformance, LinesRunInOrderAndCarryWhatTheFileSays) {
  BatchPlan plan = Plan(50);
  plan.priority = 3;
  plan.traceparent = std::string(55, 'a');
  plan.max_attempts = 7;
  BatchId batch = SubmitPlan(plan);
  EXPECT_EQ(queue().Stats(Of(batch)).total(), 50u);
  EXPECT_EQ(queue().Waiting("m"), 50u);
  ClaimedTask first = ClaimOne();
  EXPECT_EQ(first.id, IdOf(0));
  EXPECT_EQ(first.spec.payload, (model::Extent{7, 0, 90}));
  EXPECT_EQ(first.spec.traceparent, plan.traceparent);
  EXPECT_EQ(first.spec.max_attempts, 7u);
  EXPECT_EQ(first.spec.priority, 3);
  EXPECT_EQ(first.spec.cost, 5u);
  EXPECT_THAT(Release(first), Succeeds());
  EXPECT_EQ(RunLines(), Numbers(50));
  EXPECT_EQ(Count(State::kSucceeded, Of(batch)), 50u);
  EXPECT_EQ(queue().Waiting("m"), 0u);
  EXPECT_THAT(queue().LinesWithoutResult(batch, {}, 10), IsEmpty());
}

TEST_P(BatchConformance, EndingsAreListedInOrderInPages) {
  BatchId batch = SubmitLines(30);
  RunLines(25);
  auto page = Ended(batch, 0, 10);
  ASSERT_THAT(page, SizeIs(10));
  EXPECT_EQ(page[3].spec.line, 3u);
  EXPECT_EQ(page[3].outcome.result, (model::Extent{9, 3, 10}));
  EXPECT_EQ(page[3].spec.payload, (model::Extent{7, 300, 90}));
  EXPECT_EQ(page[3].state, State::kSucceeded);
  page = Ended(batch, page.back().finish_sequence);
  EXPECT_THAT(page, SizeIs(15));
  EXPECT_THAT(queue().LinesWithoutResult(batch, {}, 10), ElementsAre(25, 26, 27, 28, 29));
  EXPECT_THAT(queue().LinesWithoutResult(batch, 26, 2), ElementsAre(27, 28));
}

TEST_P(BatchConformance, GoesOnAfterARestartWhereItWas) {
  BatchId batch = SubmitLines(40);
  RunLines(15);
  ClaimedTask lost = RunOne();
  EXPECT_EQ(lost.spec.line, 15u);
  Restart();
  sim().RunUntilIdle();
  EXPECT_EQ(Count(State::kSucceeded, Of(batch)), 15u);
  EXPECT_EQ(Count(State::kQueued, Of(batch)), 25u);
  EXPECT_THAT(Complete(lost), FailsWith(Code::kAborted));
  auto rest = RunLines();
  ASSERT_THAT(rest, SizeIs(25));
  EXPECT_EQ(rest[0], 15u) << "the one that ran keeps its place";
  EXPECT_THAT(Ended(batch), SizeIs(40));
}

TEST_P(BatchConformance, ALineThatRanDuringACrashBurnsNoAttempt) {
  BatchPlan plan = Plan(3);
  plan.max_attempts = 1;
  SubmitPlan(plan);
  RunOne();
  Crash();
  sim().RunUntilIdle();
  EXPECT_EQ(RunLines(), Numbers(3));
}

TEST_P(BatchConformance, SubmittedTwiceIsTheSame) {
  BatchPlan plan = Plan(10);
  SubmitPlan(plan);
  TaskId first = first_;
  SubmitPlan(plan);
  EXPECT_EQ(first_, first);
  Restart();
  SubmitPlan(plan);
  EXPECT_EQ(first_, first);
  EXPECT_EQ(queue().Stats({}).total(), 10u);
}

TEST_P(BatchConformance, IdsAreItsOwn) {
  TaskId before = Submit(Spec("other"));
  SubmitLines(10);
  TaskId after = Submit(Spec("other"));
  EXPECT_GT(first_, before);
  EXPECT_GT(after, IdOf(9));
  EXPECT_EQ(Get(IdOf(4)).spec.line, 4u);
  EXPECT_EQ(Get(IdOf(9)).state, State::kQueued);
  Restart();
  EXPECT_GT(Submit(Spec("other")), after);
  EXPECT_EQ(Get(IdOf(9)).spec.payload, (model::Extent{7, 900, 90}));
}

TEST_P(BatchConformance, EachLaneHasItsOwnCursor) {
  BatchId batch = SubmitPlan(Plan(60, {"m", "n"}));
  auto of_n = RunLines(UINT64_MAX, "n");
  ASSERT_THAT(of_n, SizeIs(30));
  EXPECT_EQ(of_n[0], 1u);
  EXPECT_EQ(of_n[29], 59u);
  EXPECT_EQ(Count(State::kQueued, Of(batch)), 30u);
  EXPECT_THAT(RunLines(), SizeIs(30));
}

TEST_P(BatchConformance, AFailedLineIsRetriedAndKeepsItsAttemptsOverARestart) {
  BatchPlan plan = Plan(20);
  plan.max_attempts = 2;
  BatchId batch = SubmitPlan(plan);
  ClaimedTask first = RunOne();
  EXPECT_THAT(Fail(first, true), Succeeds());
  EXPECT_EQ(StateOf(first.id), State::kBlocked);
  Restart();
  sim().RunFor(10s);
  ClaimedTask again = RunOne();
  EXPECT_EQ(again.id, first.id) << "it keeps its place";
  EXPECT_EQ(again.attempt, 2u);
  EXPECT_THAT(Fail(again, true), Succeeds());
  EXPECT_EQ(StateOf(first.id), State::kFailed);
  auto ended = Ended(batch);
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(ended[0].outcome.code, Code::kUnavailable);
  EXPECT_EQ(ended[0].outcome.message, "it broke");
  EXPECT_EQ(ended[0].attempts, 2u);
  EXPECT_THAT(RunLines(), SizeIs(19));
  EXPECT_EQ(queue().Stats(Of(batch)).total(), 20u);
}

TEST_P(BatchConformance, CompletingTwiceIsTheSame) {
  SubmitLines(3);
  ClaimedTask task = RunOne();
  EXPECT_THAT(Complete(task, {9, 0, 1}), Succeeds());
  EXPECT_THAT(Complete(task, {9, 0, 1}), Succeeds());
  ClaimedTask other = RunOne();
  EXPECT_THAT(Fail(other, false), Succeeds());
  EXPECT_THAT(Fail(other, false), Succeeds());
  EXPECT_THAT(Complete(other), FailsWith(Code::kAborted));
  EXPECT_EQ(Renew(other), RenewalReply::kLost);
}

TEST_P(BatchConformance, CancelEndsAllLinesAtOnceAndForEver) {
  BatchId batch = SubmitLines(1000);
  RunLines(10);
  ClaimedTask running = RunOne();
  auto cancelled = sim().Run(queue().CancelWhere(Of(batch)));
  EXPECT_EQ(cancelled, 990u);
  EXPECT_EQ(Renew(running), RenewalReply::kCancelRequested);
  EXPECT_THAT(Complete(running), FailsWith(Code::kAborted));
  EXPECT_THAT(Claim(10), IsEmpty());
  EXPECT_EQ(Count(State::kCancelled, Of(batch)), 990u);
  EXPECT_EQ(Count(State::kSucceeded, Of(batch)), 10u);
  EXPECT_EQ(StateOf(IdOf(500)), State::kCancelled);
  Restart();
  EXPECT_THAT(Claim(10), IsEmpty());
  EXPECT_EQ(Count(State::kCancelled, Of(batch)), 990u);
  EXPECT_EQ(StateOf(IdOf(500)), State::kCancelled);
  EXPECT_THAT(queue().LinesWithoutResult(batch, {}, 2000), SizeIs(989)) << "one had begun";
  SubmitLines(5);
  EXPECT_EQ(RunLines(), Numbers(5)) << "the next batch is not touched";
}

TEST_P(BatchConformance, CancelOfWhatWaitsLetsRunningLinesEnd) {
  BatchId batch = SubmitLines(100);
  ClaimedTask running = RunOne();
  ClaimedTask handed_back = RunOne();
  TaskFilter filter = Of(batch);
  filter.state = State::kQueued;
  EXPECT_EQ(sim().Run(queue().CancelWhere(filter)), 98u);
  EXPECT_THAT(Release(handed_back), Succeeds());
  EXPECT_EQ(StateOf(handed_back.id), State::kCancelled) << "there is nothing to go back to";
  EXPECT_THAT(Complete(running), Succeeds());
  EXPECT_EQ(Count(State::kSucceeded, Of(batch)), 1u);
  EXPECT_EQ(Count(State::kCancelled, Of(batch)), 99u);
}

TEST_P(BatchConformance, AFilterOfSingleTasksSparesLines) {
  BatchId batch = SubmitLines(1000);
  ClaimedTask running = ClaimOne();
  TaskId single = Submit(Spec("other"));
  TaskFilter filter{.tenant = "default", .single = true};
  EXPECT_THAT(Query({.filter = filter}), SizeIs(1));
  filter.state = State::kQueued;
  EXPECT_EQ(sim().Run(queue().CancelWhere(filter)), 1u);
  EXPECT_EQ(StateOf(single), State::kCancelled);
  filter = {.tenant = "default", .lane = "other"};
  EXPECT_EQ(sim().Run(queue().CancelWhere(filter)), 0u) << "another lane";
  EXPECT_THAT(Release(running), Succeeds());
  EXPECT_EQ(Count(State::kQueued, Of(batch)), 1000u);
}

TEST_P(BatchConformance, OneLineIsCancelledByItsId) {
  BatchId batch = SubmitLines(100);
  EXPECT_THAT(Cancel(IdOf(70)), Succeeds());
  EXPECT_THAT(Cancel(IdOf(70)), Succeeds());
  EXPECT_EQ(StateOf(IdOf(70)), State::kCancelled);
  Restart();
  sim().RunUntilIdle();
  EXPECT_EQ(StateOf(IdOf(70)), State::kCancelled);
  EXPECT_THAT(RunLines(), SizeIs(99));
  EXPECT_EQ(queue().Stats(Of(batch)).total(), 100u);
  EXPECT_THAT(Cancel(IdOf(3)), FailsWith(Code::kFailedPrecondition));
}

TEST_P(BatchConformance, TheTimeOfABatchRunsOut) {
  BatchPlan plan = Plan(100);
  plan.expires_at = Now() + 60s;
  BatchId batch = SubmitPlan(plan);
  RunLines(5);
  ClaimedTask running = RunOne();
  sim().RunFor(20s);
  EXPECT_EQ(Renew(running), RenewalReply::kHeld);
  sim().RunFor(41s);
  EXPECT_THAT(Complete(running), FailsWith(Code::kAborted));
  EXPECT_EQ(Count(State::kExpired, Of(batch)), 95u);
  EXPECT_EQ(StateOf(IdOf(50)), State::kExpired);
  EXPECT_THAT(Claim(), IsEmpty());
}

TEST_P(BatchConformance, ItsTimeRunsOutWhileTheQueueIsClosed) {
  BatchPlan plan = Plan(100);
  plan.expires_at = Now() + 60s;
  BatchId batch = SubmitPlan(plan);
  ASSERT_THAT(sim().Run(queue().Close()), Succeeds());
  sim().RunFor(2h);
  Crash();
  sim().RunFor(1s);
  EXPECT_EQ(Count(State::kExpired, Of(batch)), 100u);
}

TEST_P(BatchConformance, ALineIsRequeuedAsANewGeneration) {
  BatchId batch = SubmitLines(5);
  ClaimedTask task = RunOne();
  EXPECT_THAT(Fail(task, false), Succeeds());
  RunLines();
  EXPECT_THAT(Requeue(task.id), Succeeds());
  EXPECT_EQ(Count(State::kQueued, Of(batch)), 1u);
  EXPECT_THAT(Ended(batch), SizeIs(4));
  Restart();
  EXPECT_EQ(Get(task.id).generation, 1u);
  EXPECT_EQ(sim().Run(queue().GetPast(task.id, 0)).value().message, "it broke");
  EXPECT_THAT(sim().Run(queue().GetPast(task.id, 1)), FailsWith(Code::kNotFound));
  EXPECT_THAT(RunLines(), ElementsAre(0));
  EXPECT_EQ(StateOf(task.id), State::kSucceeded);
  EXPECT_THAT(Ended(batch), SizeIs(5));
  EXPECT_THAT(Requeue(IdOf(77)), FailsWith(Code::kNotFound));
}

TEST_P(BatchConformance, AnEditOfALineMovesItAndIsDurable) {
  SubmitLines(100);
  EditRequest edit{.id = IdOf(90), .priority = 500};
  ASSERT_THAT(sim().Run(queue().Edit(edit)), Succeeds());
  Restart();
  sim().RunUntilIdle();
  EXPECT_EQ(ClaimOne().id, IdOf(90));
  EXPECT_EQ(ClaimOne().id, IdOf(0));
}

TEST_P(BatchConformance, AnEditOfABatchMovesAllOfIt) {
  SubmitLines(20);
  TaskId first = first_;
  BatchId second = SubmitLines(20);
  ASSERT_THAT(sim().Run(queue().EditBatch({.batch = second, .priority = 500})), Succeeds());
  EXPECT_EQ(ClaimOne().id, first_);
  Restart();
  sim().RunUntilIdle();
  EXPECT_EQ(ClaimOne().id, first_);
  EXPECT_EQ(Get(IdOf(15)).spec.priority, 500);
  EXPECT_EQ(Get(first).spec.priority, 0);
  EXPECT_THAT(sim().Run(queue().EditBatch({.batch = second, .priority = 1001})),
              FailsWith(Code::kInvalidArgument));
  EXPECT_THAT(sim().Run(queue().EditBatch({.batch = BatchId{99}, .priority = 1})),
              FailsWith(Code::kNotFound));
}

TEST_P(BatchConformance, APausedBatchKeepsItsPlace) {
  BatchId batch = SubmitLines(20);
  PauseTarget target{.kind = PauseTarget::Kind::kBatch, .name = {}, .batch = batch};
  ASSERT_THAT(sim().Run(queue().SetPaused(target, true)), Succeeds());
  EXPECT_THAT(Claim(), IsEmpty());
  EXPECT_EQ(queue().Waiting("m"), 0u);
  Restart();
  sim().RunUntilIdle();
  EXPECT_THAT(Claim(), IsEmpty());
  EXPECT_TRUE(sim().Run(queue().Explain(IdOf(0))).value().batch_paused);
  ASSERT_THAT(sim().Run(queue().SetPaused(target, false)), Succeeds());
  EXPECT_EQ(RunLines(), Numbers(20));
  target.batch = BatchId{99};
  EXPECT_THAT(sim().Run(queue().SetPaused(target, true)), FailsWith(Code::kNotFound));
}

TEST_P(BatchConformance, APausedTenantOrLaneKeepsItsPlaceToo) {
  for (auto kind : {PauseTarget::Kind::kTenant, PauseTarget::Kind::kLane}) {
    PauseTarget target{
        .kind = kind, .name = kind == PauseTarget::Kind::kTenant ? "default" : "m", .batch = {}};
    TaskId id = Submit(Spec());
    ASSERT_THAT(sim().Run(queue().SetPaused(target, true)), Succeeds());
    Restart();
    EXPECT_THAT(Claim(), IsEmpty());
    auto why = sim().Run(queue().Explain(id)).value();
    EXPECT_EQ(why.tenant_paused, kind == PauseTarget::Kind::kTenant);
    EXPECT_EQ(why.lane_paused, kind == PauseTarget::Kind::kLane);
    ASSERT_THAT(sim().Run(queue().SetPaused(target, false)), Succeeds());
    Restart();
    ClaimedTask task = RunOne();
    EXPECT_EQ(task.id, id);
    EXPECT_THAT(Complete(task), Succeeds());
  }
}

TEST_P(BatchConformance, AForgottenBatchIsGone) {
  BatchId batch = SubmitLines(20);
  EXPECT_THAT(sim().Run(queue().ForgetBatch(batch)), FailsWith(Code::kFailedPrecondition));
  RunLines();
  EXPECT_TRUE(queue().UsesBlob(9));
  EXPECT_TRUE(queue().UsesBlob(7));
  ASSERT_THAT(sim().Run(queue().ForgetBatch(batch)), Succeeds());
  ASSERT_THAT(sim().Run(queue().ForgetBatch(batch)), Succeeds());
  EXPECT_FALSE(queue().UsesBlob(9));
  EXPECT_FALSE(queue().UsesBlob(7));
  EXPECT_EQ(queue().Stats({}).total(), 0u);
  EXPECT_THAT(sim().Run(queue().Get(IdOf(3))), FailsWith(Code::kNotFound));
  Restart();
  EXPECT_EQ(queue().Stats({}).total(), 0u);
  EXPECT_THAT(Ended(batch), IsEmpty());
  TaskId last = IdOf(19);
  EXPECT_GT(Submit(Spec()), last) << "its ids are not given out again";
}

TEST_P(BatchConformance, ResultsKeepTheirBlobOverARestart) {
  SubmitLines(20);
  RunLines(1);
  Restart();
  EXPECT_TRUE(queue().UsesBlob(9));
}

TEST_P(BatchConformance, AChildWaitsForALine) {
  SubmitLines(20);
  model::TaskSpec child = Spec("children");
  child.parents = {IdOf(3), IdOf(15)};
  TaskId id = Submit(child);
  EXPECT_EQ(StateOf(id), State::kBlocked);
  EXPECT_THAT(sim().Run(queue().Explain(id)).value().parents, ElementsAre(IdOf(3), IdOf(15)));
  RunLines(2);  // the first parent, which its child pulls forward, and another
  EXPECT_EQ(StateOf(IdOf(3)), State::kSucceeded);
  EXPECT_EQ(StateOf(id), State::kBlocked);
  Restart();
  sim().RunUntilIdle();
  EXPECT_EQ(StateOf(id), State::kBlocked);
  RunLines();
  EXPECT_EQ(ClaimOne("children").id, id);
  child.parents = {TaskId{IdOf(19).value + 1000}};
  EXPECT_THAT(TrySubmit({child}), FailsWith(Code::kInvalidArgument));
}

TEST_P(BatchConformance, AChildOfACancelledLineFails) {
  BatchId batch = SubmitLines(100);
  model::TaskSpec child = Spec("children");
  child.parents = {IdOf(90)};
  TaskId id = Submit(child);
  child.parents = {IdOf(91)};
  child.parent_policy = model::ParentPolicy::kAllTerminal;
  TaskId other = Submit(child);
  ASSERT_THAT(sim().Run(queue().CancelWhere(Of(batch))), Succeeds());
  EXPECT_EQ(StateOf(id), State::kFailed);
  EXPECT_EQ(StateOf(other), State::kQueued);
}

TEST_P(BatchConformance, ListsLinesByIdWhateverTheyAre) {
  BatchId batch = SubmitLines(40);
  RunLines(3);
  ClaimedTask running = RunOne();
  EXPECT_THAT(Cancel(IdOf(30)), Succeeds());
  auto all = Query({.filter = Of(batch), .limit = 1000});
  ASSERT_THAT(all, SizeIs(40));
  for (uint64_t line = 0; line < 40; ++line) EXPECT_EQ(all[line].id, IdOf(line));
  EXPECT_EQ(all[2].state, State::kSucceeded);
  EXPECT_EQ(all[3].state, State::kRunning);
  EXPECT_EQ(all[4].state, State::kQueued);
  EXPECT_EQ(all[30].state, State::kCancelled);
  EXPECT_EQ(all[39].spec.payload, (model::Extent{7, 3900, 90}));
  TaskFilter filter = Of(batch);
  filter.state = State::kCancelled;
  EXPECT_THAT(Query({.filter = filter}), SizeIs(1));
  filter.state = State::kQueued;
  auto page = Query({.filter = filter, .after = IdOf(9).value, .limit = 5});
  ASSERT_THAT(page, SizeIs(5));
  EXPECT_EQ(page[0].id, IdOf(10));
}

TEST_P(BatchConformance, ADamagedIndexEndsTheLinesThatItLost) {
  BatchPlan plan = Plan(50);
  (*indices_)[plan.index_blob].resize(20);
  BatchId batch = SubmitPlan(plan);
  EXPECT_THAT(RunLines(), SizeIs(::testing::Le(20)));
  EXPECT_EQ(Count(State::kSucceeded, Of(batch)) + Count(State::kFailed, Of(batch)), 50u);
  EXPECT_GE(Count(State::kFailed, Of(batch)), 30u);
  SubmitLines(5);
  EXPECT_EQ(RunLines(), Numbers(5)) << "others are not touched";
}

TEST_P(BatchConformance, LinesAreBounded) {
  options().room.lines = 100;
  Restart();
  SubmitLines(60);
  EXPECT_THAT(sim().Run(queue().SubmitBatch(Plan(60))), FailsWith(Code::kResourceExhausted));
  RunLines();
  BatchId second = SubmitLines(60);
  RunOne();
  RunOne();
  ASSERT_THAT(sim().Run(queue().CancelWhere(Of(second))), Succeeds());
  SubmitLines(1);  // those that ran are not counted twice
  SubmitLines(60);
  Restart();
  EXPECT_THAT(sim().Run(queue().SubmitBatch(Plan(40))), FailsWith(Code::kResourceExhausted));
}

TEST_P(BatchConformance, BadPlansAreRefusedByField) {
  auto error = [this](auto change) {
    BatchPlan plan = Plan(5);
    change(plan);
    auto first = sim().Run(queue().SubmitBatch(plan));
    EXPECT_THAT(first, FailsWith(Code::kInvalidArgument));
    return first ? "" : first.error().param();
  };
  EXPECT_EQ(error([](BatchPlan& plan) { plan.lanes = {}; }), "lanes");
  EXPECT_EQ(error([](BatchPlan& plan) { plan.lanes = {"m", "m"}; }), "lanes");
  EXPECT_EQ(error([](BatchPlan& plan) { plan.lines = 0; }), "lines");
  EXPECT_EQ(error([](BatchPlan& plan) { plan.tenant = ""; }), "tenant");
  EXPECT_EQ(error([](BatchPlan& plan) { plan.priority = 1001; }), "priority");
  EXPECT_EQ(error([](BatchPlan& plan) { plan.max_attempts = 0; }), "max_attempts");
  EXPECT_EQ(error([this](BatchPlan& plan) { plan.expires_at = Now(); }), "expires_at");
  EXPECT_EQ(error([](BatchPlan& plan) { plan.batch = {}; }), "batch");
}

TEST_P(BatchConformance, ALeaseOfAnotherProcessOutlivesARestart) {
  SubmitLines(5);
  TaskId single = Submit(Spec("k"));
  ClaimRequest request{.worker = "far", .lanes = {"m", "k"}, .max_tasks = 2, .external = true};
  auto claimed = sim().Run(queue().Claim(request)).value();
  ASSERT_THAT(claimed, SizeIs(2));
  for (const ClaimedTask& task : claimed) EXPECT_THAT(Start(task), Succeeds());
  Restart();
  sim().RunUntilIdle();
  EXPECT_EQ(StateOf(single), State::kRunning);
  EXPECT_EQ(Get(single).lease->worker, "far");
  sim().RunFor(20s);  // its ttl is fresh
  for (const ClaimedTask& task : claimed) EXPECT_THAT(Complete(task), Succeeds());
  EXPECT_THAT(RunLines(), ElementsAre(1, 2, 3, 4));
}

TEST_P(BatchConformance, ALeaseOfAnotherProcessRunsOutAfterARestart) {
  SubmitLines(2);
  ClaimRequest request{.worker = "far", .lanes = {"m"}, .external = true};
  auto claimed = sim().Run(queue().Claim(request)).value();
  ASSERT_THAT(claimed, SizeIs(1));
  EXPECT_THAT(Start(claimed[0]), Succeeds());
  Restart();
  sim().RunFor(31s);
  EXPECT_THAT(Complete(claimed[0]), FailsWith(Code::kAborted));
  EXPECT_EQ(RunLines(), Numbers(2));
}

TEST_P(BatchConformance, ASmallBatchIsNotStuckBehindALongOne) {
  options().line_window = 4096;
  Restart();
  SubmitLines(50'000);
  auto work = [this](int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_THAT(RunLines(1), SizeIs(1));
      sim().RunFor(50ms);  // twenty lines a second
    }
  };
  work(400);
  uint64_t before = first_.value;
  BatchId small = SubmitLines(20);
  ASSERT_GT(first_.value, before);
  work(200);  // ten seconds
  EXPECT_EQ(Count(State::kSucceeded, Of(small)), 20u);
}

TEST_P(BatchConformance, RetentionDropsOldEndingsAndNothingThatLives) {
  options().retention.count = 3;
  Restart();
  TaskId parent = Submit(Spec());
  EXPECT_THAT(Complete(RunOne(), {8, 0, 1}), Succeeds());
  model::TaskSpec child = Spec("other");
  TaskId open = Submit(Spec("never"));
  child.parents = {parent, open};
  TaskId waiting = Submit(child);
  for (int i = 0; i < 6; ++i) {
    Submit(Spec());
    EXPECT_THAT(Complete(RunOne(), {9, 0, 1}), Succeeds());
    sim().RunFor(1s);
  }
  EXPECT_EQ(StateOf(parent), State::kSucceeded) << "somebody waits with it";
  EXPECT_EQ(StateOf(waiting), State::kBlocked);
  EXPECT_LE(Count(State::kSucceeded), 4u);
  EXPECT_EQ(Count(State::kQueued), 1u);
  Restart();
  EXPECT_LE(Count(State::kSucceeded), 4u);
  EXPECT_EQ(StateOf(parent), State::kSucceeded);
}

TEST_P(BatchConformance, RetentionByAgeAndBytes) {
  options().retention.age = 1h;
  options().retention.bytes = 100;
  Restart();
  TaskId old = Submit(Spec());
  EXPECT_THAT(Complete(RunOne(), {9, 0, 10}), Succeeds());
  sim().RunFor(30min);
  EXPECT_EQ(StateOf(old), State::kSucceeded);
  Restart();
  sim().RunFor(31min);
  EXPECT_THAT(sim().Run(queue().Get(old)), FailsWith(Code::kNotFound));
  EXPECT_FALSE(queue().UsesBlob(9));
  TaskId big = Submit(Spec());
  EXPECT_THAT(Complete(RunOne(), {9, 0, 80}), Succeeds());
  TaskId next = Submit(Spec());
  EXPECT_THAT(Complete(RunOne(), {9, 0, 80}), Succeeds());
  sim().RunFor(1s);
  EXPECT_THAT(sim().Run(queue().Get(big)), FailsWith(Code::kNotFound));
  EXPECT_EQ(StateOf(next), State::kSucceeded);
}

TEST_P(BatchConformance, AKeyOutlivesItsTask) {
  options().retention.count = 0;
  Restart();
  TaskId id = Submit(Keyed("a"));
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  sim().RunFor(1s);
  EXPECT_THAT(sim().Run(queue().Get(id)), FailsWith(Code::kNotFound));
  EXPECT_EQ(Submit(Keyed("a")), id);
}

// A child's parent has ended and is gone, while the child waits for another, or for its time.
TEST_P(BatchConformance, AParentMayBeForgottenBeforeItsChildRuns) {
  BatchId batch = SubmitLines(3);
  model::TaskSpec child = Spec("children");
  TaskId open = Submit(Spec());
  child.parents = {IdOf(1), open};
  TaskId waiting = Submit(child);
  while (true) {
    auto claimed = Claim(1);
    ASSERT_THAT(claimed, SizeIs(1));
    if (claimed[0].id == open) break;
    EXPECT_THAT(Start(claimed[0]), Succeeds());
    EXPECT_THAT(Complete(claimed[0]), Succeeds());
  }
  RunLines();
  ASSERT_THAT(sim().Run(queue().ForgetBatch(batch)), Succeeds());
  Restart();
  EXPECT_EQ(StateOf(waiting), State::kBlocked);
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_EQ(ClaimOne("children").id, waiting);
}

TEST_P(BatchConformance, AParentMayBeDroppedBeforeItsChildsTime) {
  options().retention.count = 0;
  Restart();
  model::TaskSpec child = Spec("children");
  TaskId parent = Submit(Spec());
  child.parents = {parent};
  child.not_before = Now() + 1h;
  TaskId waiting = Submit(child);
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  sim().RunFor(1s);
  EXPECT_THAT(sim().Run(queue().Get(parent)), FailsWith(Code::kNotFound));
  Restart();
  sim().RunFor(1h);
  EXPECT_EQ(ClaimOne("children").id, waiting);
}

// A line that runs when what waits is cancelled dies with the process: so it was cancelled, too.
TEST_P(BatchConformance, AChildOfALineThatWasLostInACutBatchFails) {
  BatchId batch = SubmitLines(3);
  model::TaskSpec child = Spec("children");
  child.parents = {IdOf(0)};
  TaskId id = Submit(child);
  EXPECT_EQ(RunOne().id, IdOf(0));
  TaskFilter waiting = Of(batch);
  waiting.state = State::kQueued;
  ASSERT_THAT(sim().Run(queue().CancelWhere(waiting)), Succeeds());
  EXPECT_EQ(StateOf(id), State::kBlocked);
  Restart();
  EXPECT_EQ(StateOf(IdOf(0)), State::kCancelled);
  EXPECT_EQ(StateOf(id), State::kFailed);
}

// Somebody else had the task when the power went.
TEST_P(BatchConformance, ALeaseThatRanOutIsNotBroughtBackByACrash) {
  SubmitLines(1);
  ClaimRequest request{.worker = "far", .lanes = {"m"}, .lease = 10s, .external = true};
  ClaimedTask first = sim().Run(queue().Claim(request)).value()[0];
  EXPECT_THAT(Start(first), Succeeds());
  sim().RunFor(9999ms);
  request.wait_until = sim().clock().Steady() + 1s;
  ASSERT_THAT(sim().Run(queue().Claim(request)).value(), SizeIs(1));
  Crash();
  EXPECT_THAT(Complete(first), FailsWith(Code::kAborted));
}

TEST_P(BatchConformance, GrandchildrenOfALineThatWasLostFailToo) {
  BatchId batch = SubmitLines(3);
  model::TaskSpec child = Spec("children");
  child.parents = {IdOf(0)};
  TaskId id = Submit(child);
  child.parents = {id};
  TaskId grandchild = Submit(child);
  ClaimedTask line = RunOne();
  EXPECT_THAT(Renew(line, "half"), ::testing::Eq(RenewalReply::kHeld));  // now it has a row
  TaskFilter waiting = Of(batch);
  waiting.state = State::kQueued;
  ASSERT_THAT(sim().Run(queue().CancelWhere(waiting)), Succeeds());
  Restart();
  EXPECT_EQ(StateOf(id), State::kFailed);
  EXPECT_EQ(StateOf(grandchild), State::kFailed);
}

// A cancel of everything in one lane is none of the batches of others.
TEST_P(BatchConformance, ALaneMeansNoBatchOfOthers) {
  BatchId batch = SubmitLines(20);
  model::TaskSpec spec = Spec("kind");
  TaskId id = Submit(spec);
  TaskFilter filter{.tenant = "default", .batch = {}, .state = {}, .lane = "kind"};
  EXPECT_EQ(sim().Run(queue().CancelWhere(filter)).value_or(0), 1u);
  EXPECT_EQ(StateOf(id), State::kCancelled);
  EXPECT_EQ(Count(State::kQueued, Of(batch)), 20u);
  EXPECT_THAT(Query({.filter = filter}), SizeIs(1));
  SubmitPlan(Plan(20, {"kind", "m"}));
  EXPECT_THAT(Query({.filter = filter}), SizeIs(11));
  EXPECT_THAT(sim().Run(queue().CancelWhere(filter)), FailsWith(Code::kInvalidArgument));
  filter.lane = "m";
  filter.batch = batch;
  EXPECT_EQ(sim().Run(queue().CancelWhere(filter)).value_or(0), 20u);
}

TEST_P(BatchConformance, ALineThatIsRequeuedAfterItsTimeIsNotExpiredByARestart) {
  BatchPlan plan = Plan(2);
  plan.expires_at = Now() + 1min;
  BatchId batch = SubmitPlan(plan);
  RunLines();
  sim().RunFor(2min);
  EXPECT_THAT(Requeue(IdOf(1)), Succeeds());
  Restart();
  sim().RunFor(2min);
  EXPECT_EQ(Count(State::kQueued, Of(batch)), 1u);
}

TEST_P(BatchConformance, ALineThatEndedBeforeItsNeighboursDoesNotRunAgain) {
  SubmitLines(6);
  auto claimed = Claim(4);
  ASSERT_THAT(claimed, SizeIs(4));
  EXPECT_THAT(Start(claimed[2]), Succeeds());
  EXPECT_THAT(Complete(claimed[2]), Succeeds());
  Restart();
  sim().RunUntilIdle();
  EXPECT_THAT(RunLines(), ElementsAre(0, 1, 3, 4, 5));
}

// Its last line ends, and somebody asks for another one, while it is being forgotten.
TEST_P(BatchConformance, ForgettingWaitsForWhatIsUnderWay) {
  BatchId batch = SubmitLines(3);
  RunLines(2);
  ClaimedTask last = RunOne();
  bool told = false;
  auto complete = [](Queue& queue, TaskRef ref, bool& done) -> Awaitable<void> {
    std::vector<Completion> completions{{.task = ref, .result = {9, 2, 10}}};
    auto items = co_await queue.Complete(completions);
    EXPECT_THAT(items[0], Succeeds());
    done = true;
  };
  auto forget = [](Queue& queue, BatchId id) -> Awaitable<void> {
    EXPECT_THAT(co_await queue.ForgetBatch(id), FailsWith(Code::kFailedPrecondition));
  };
  auto requeue = [](Queue& queue, std::vector<TaskId> ids) -> Awaitable<void> {
    (void)co_await queue.Requeue(ids);
  };
  sim().SpawnDetached(forget(queue(), batch));
  sim().RunUntilIdle();
  sim().SpawnDetached(complete(queue(), Ref(last), told));
  base::Result<> forgotten = sim().Run(queue().ForgetBatch(batch));
  EXPECT_THAT(forgotten, Succeeds());
  sim().RunUntilIdle();
  EXPECT_TRUE(told);
  EXPECT_EQ(queue().Stats({}).total(), 0u);
  Restart();
  EXPECT_EQ(queue().Stats({}).total(), 0u);

  BatchId other = SubmitLines(100);
  RunLines();
  sim().SpawnDetached(requeue(queue(), {IdOf(0), IdOf(99)}));  // has the first, reads the other
  EXPECT_THAT(sim().Run(queue().ForgetBatch(other)),
              ::testing::AnyOf(Succeeds(), FailsWith(Code::kFailedPrecondition)));
  sim().RunUntilIdle();
}

// A call that fails half way leaves no ended line in memory, which would count as live.
TEST_P(BatchConformance, ACallThatCannotReadTheIndexLeavesNothingBehind) {
  BatchPlan plan = Plan(20);
  BatchId batch = SubmitPlan(plan);
  RunLines(2);
  ASSERT_THAT(sim().Run(queue().CancelWhere(Of(batch))), Succeeds());
  (*indices_)[plan.index_blob].resize(1);
  std::vector<TaskId> ids{IdOf(0), IdOf(1)};
  for (const auto& item : sim().Run(queue().Requeue(ids))) EXPECT_FALSE(item.has_value());
  EXPECT_THAT(sim().Run(queue().ForgetBatch(batch)), Succeeds());
}

INSTANTIATE_TEST_SUITE_P(Queues, BatchConformance, ::testing::ValuesIn(Implementations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace inferq::queue
