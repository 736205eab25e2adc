// Cancel, requeue, edit, queries, counts, closing.

#include "queue/conformance/queue_suite.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;
using base::Code;
using model::State;
using model::TaskId;
using model::TaskSpec;
using ::testing::ElementsAre;

class EditConformance : public QueueConformance {
 protected:
  static std::vector<TaskId> Ids(const std::vector<model::TaskRecord>& records) {
    std::vector<TaskId> ids;
    for (const auto& record : records) ids.push_back(record.id);
    return ids;
  }
  std::vector<TaskSpec> Lines(model::BatchId batch, size_t count, std::string tenant = "default") {
    std::vector<TaskSpec> lines(count, Spec());
    for (size_t i = 0; i < count; ++i) {
      lines[i].batch = batch;
      lines[i].line = i;
      lines[i].tenant = tenant;
    }
    return lines;
  }
};

TEST_P(EditConformance, ACancelledTaskNeverStarts) {
  TaskId id = Submit(Spec());
  EXPECT_THAT(Cancel(id), Succeeds());
  Crash();
  EXPECT_EQ(StateOf(id), State::kCancelled);
  EXPECT_TRUE(Claim().empty());
  EXPECT_THAT(Cancel(id), Succeeds()) << "again";
  EXPECT_THAT(Cancel(TaskId{77}), FailsWith(Code::kNotFound));
}

TEST_P(EditConformance, ACancelledClaimIsToldAndItsResultRefused) {
  TaskId leased = Submit(Spec());
  ClaimedTask claim = ClaimOne();
  EXPECT_THAT(Cancel(leased), Succeeds());
  EXPECT_THAT(Start(claim), FailsWith(Code::kAborted));
  TaskId id = Submit(Spec());
  ClaimedTask task = RunOne();
  EXPECT_THAT(Cancel(id), Succeeds());
  EXPECT_EQ(Renew(task), RenewalReply::kCancelRequested);
  EXPECT_THAT(Complete(task), FailsWith(Code::kAborted));
  EXPECT_EQ(StateOf(id), State::kCancelled);
  Restart();
  EXPECT_EQ(Renew(task), RenewalReply::kCancelRequested);
}

TEST_P(EditConformance, AnEndedTaskCannotBeCancelled) {
  TaskId id = Submit(Spec());
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_THAT(Cancel(id), FailsWith(Code::kFailedPrecondition));
}

TEST_P(EditConformance, CancelWhereEndsAllThatMatch) {
  model::BatchId batch = queue().NewBatchId();
  SubmitAll(Lines(batch, 10'000));
  TaskId other = Submit(Spec());
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_EQ(sim().Run(queue().CancelWhere({.batch = batch})).value(), 9'999u);
  EXPECT_EQ(Count(State::kCancelled, {.batch = batch}), 9'999u);
  EXPECT_EQ(StateOf(other), State::kQueued);
  EXPECT_EQ(sim().Run(queue().CancelWhere({.batch = batch})).value(), 0u);
  EXPECT_EQ(sim().Run(queue().CancelWhere({.tenant = "nobody"})).value(), 0u);
  Crash();
  EXPECT_EQ(Count(State::kCancelled), 9'999u);
}

TEST_P(EditConformance, RequeueStartsANewGeneration) {
  TaskId id = Submit(Spec());
  ClaimedTask old = RunOne();
  EXPECT_THAT(Requeue(id), FailsWith(Code::kFailedPrecondition)) << "live";
  EXPECT_THAT(Fail(old, false), Succeeds());
  auto version = Get(id).version;
  EXPECT_THAT(Requeue(id), Succeeds());
  Restart();
  model::TaskRecord record = Get(id);
  EXPECT_EQ(record.state, State::kQueued);
  EXPECT_EQ(record.generation, 1u);
  EXPECT_EQ(record.attempts, 0u);
  EXPECT_EQ(record.finish_sequence, 0u);
  EXPECT_GT(record.version, version);
  EXPECT_THAT(Complete(old), FailsWith(Code::kAborted));
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_EQ(Get(id).finish_sequence, 2u);
  EXPECT_EQ(Count(State::kSucceeded), 1u);
  EXPECT_EQ(Count(State::kFailed), 0u);
  EXPECT_THAT(Requeue(TaskId{77}), FailsWith(Code::kNotFound));
}

TEST_P(EditConformance, ARequeuedParentIsWaitedForAgain) {
  auto parents = SubmitMany(2);
  TaskSpec spec = Spec("child");
  spec.parents = parents;
  TaskId child = Submit(spec);
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_THAT(Requeue(parents[0]), Succeeds());
  ClaimedTask a = RunOne();
  ClaimedTask b = RunOne();
  EXPECT_THAT(Complete(a), Succeeds());
  EXPECT_EQ(StateOf(child), State::kBlocked);
  EXPECT_THAT(Complete(b), Succeeds());
  EXPECT_EQ(StateOf(child), State::kQueued);
}

TEST_P(EditConformance, AChildIsRequeuedOnlyWhereItsParentsAllowIt) {
  TaskId parent = Submit(Spec());
  TaskSpec spec = Spec("child");
  spec.parents = {parent};
  TaskId child = Submit(spec);
  EXPECT_THAT(Fail(RunOne(), false), Succeeds());
  EXPECT_THAT(Requeue(child), FailsWith(Code::kFailedPrecondition));
  EXPECT_THAT(Requeue(parent), Succeeds());
  EXPECT_THAT(Requeue(child), Succeeds());
  EXPECT_EQ(StateOf(child), State::kBlocked);
  EXPECT_THAT(Complete(RunOne()), Succeeds());
  EXPECT_EQ(ClaimOne("child").id, child);
}

TEST_P(EditConformance, EditChangesTheOrder) {
  auto ids = SubmitMany(2);
  auto version = sim().Run(queue().Edit({.id = ids[1], .if_version = 1, .priority = 10})).value();
  EXPECT_EQ(version, 2u);
  Restart();
  EXPECT_EQ(Get(ids[1]).spec.priority, 10);
  EXPECT_EQ(Get(ids[1]).version, 2u);
  EXPECT_EQ(ClaimOne().id, ids[1]);
}

TEST_P(EditConformance, EditChecksVersionStateAndRange) {
  TaskId id = Submit(Spec());
  EXPECT_THAT(sim().Run(queue().Edit({.id = id, .if_version = 9, .priority = 1})),
              FailsWith(Code::kFailedPrecondition));
  EXPECT_THAT(sim().Run(queue().Edit({.id = id, .priority = 9999})),
              FailsWith(Code::kInvalidArgument));
  EXPECT_THAT(sim().Run(queue().Edit({.id = TaskId{77}})), FailsWith(Code::kNotFound));
  EditRequest deadline{.id = id, .deadline = std::optional(Now() + 1h)};
  EXPECT_THAT(sim().Run(queue().Edit(deadline)), Succeeds());
  EXPECT_EQ(Get(id).spec.deadline, Now() + 1h);
  EXPECT_THAT(Cancel(id), Succeeds());
  EXPECT_THAT(sim().Run(queue().Edit({.id = id, .priority = 1})),
              FailsWith(Code::kFailedPrecondition));
}

TEST_P(EditConformance, QueryPagesThroughABatchById) {
  model::BatchId batch = queue().NewBatchId();
  SubmitMany(3);
  auto first = SubmitAll(Lines(batch, 4));
  SubmitMany(3);
  auto second = SubmitAll(Lines(batch, 3));
  std::vector<TaskId> seen;
  QueryRequest request{.filter = {.batch = batch}, .limit = 2};
  for (auto page = Query(request); !page.empty(); page = Query(request)) {
    EXPECT_LE(page.size(), 2u);
    for (TaskId id : Ids(page)) seen.push_back(id);
    request.after = seen.back().value;
  }
  first.insert(first.end(), second.begin(), second.end());
  EXPECT_EQ(seen, first);
  EXPECT_EQ(queue().Stats({.batch = batch}).total(), 7u);
}

TEST_P(EditConformance, QueryFollowsTheOrderOfEndings) {
  auto ids = SubmitMany(4);
  auto claimed = Claim(4);
  for (const auto& task : claimed) EXPECT_THAT(Start(task), Succeeds());
  EXPECT_THAT(Complete(claimed[2]), Succeeds());
  EXPECT_THAT(Complete(claimed[0]), Succeeds());
  EXPECT_THAT(Cancel(ids[3]), Succeeds());
  QueryRequest request{.order = QueryRequest::Order::kFinishSequence};
  EXPECT_THAT(Ids(Query(request)), ElementsAre(ids[2], ids[0], ids[3]));
  EXPECT_THAT(Requeue(ids[2]), Succeeds());
  EXPECT_THAT(Complete(claimed[1]), Succeeds());
  Restart();
  EXPECT_THAT(Ids(Query(request)), ElementsAre(ids[0], ids[3], ids[1]));
  request.after = 2;
  EXPECT_THAT(Ids(Query(request)), ElementsAre(ids[3], ids[1]));
  request.filter.state = State::kCancelled;
  EXPECT_THAT(Ids(Query(request)), ElementsAre(ids[3]));
}

TEST_P(EditConformance, QueryFiltersByTenantAndState) {
  auto ids = SubmitAll(Lines({}, 3, "a"));
  SubmitAll(Lines({}, 3, "b"));
  EXPECT_THAT(Cancel(ids[1]), Succeeds());
  EXPECT_EQ(Ids(Query({.filter = {.tenant = "a"}})), ids);
  EXPECT_THAT(Ids(Query({.filter = {.tenant = "a", .state = State::kCancelled}})),
              ElementsAre(ids[1]));
  EXPECT_TRUE(Query({.filter = {.tenant = "c"}}).empty());
  EXPECT_EQ(Count(State::kQueued, {.tenant = "a"}), 2u);
  EXPECT_EQ(Count(State::kQueued), 5u);
  EXPECT_THAT(sim().Run(queue().Query({.limit = 0})), FailsWith(Code::kInvalidArgument));
  EXPECT_THAT(sim().Run(queue().Get(TaskId{77})), FailsWith(Code::kNotFound));
}

TEST_P(EditConformance, CountsSurviveARestart) {
  model::BatchId batch = queue().NewBatchId();
  auto ids = SubmitAll(Lines(batch, 6));
  auto claimed = Claim(3);
  for (const auto& task : claimed) EXPECT_THAT(Start(task), Succeeds());
  EXPECT_EQ(queue().Stats({}).attempts, 3u);
  EXPECT_EQ(Count(State::kRunning), 3u);
  EXPECT_THAT(Complete(claimed[0]), Succeeds());
  EXPECT_THAT(Fail(claimed[1], false), Succeeds());
  EXPECT_THAT(Cancel(ids[5]), Succeeds());
  for (int i = 0; i < 2; ++i) {
    QueueStats stats = queue().Stats({.batch = batch});
    EXPECT_EQ(stats.total(), 6u);
    EXPECT_EQ(stats.by_state[static_cast<size_t>(State::kSucceeded)], 1u);
    EXPECT_EQ(stats.by_state[static_cast<size_t>(State::kFailed)], 1u);
    EXPECT_EQ(stats.by_state[static_cast<size_t>(State::kCancelled)], 1u);
    EXPECT_EQ(stats.by_state[static_cast<size_t>(State::kQueued)], i == 0 ? 2u : 3u);
    Restart();
  }
}

TEST_P(EditConformance, AClosedQueueServesNobody) {
  EXPECT_THAT(sim().Run(queue().Close()), Succeeds());
  EXPECT_THAT(sim().Run(queue().Close()), Succeeds()) << "idempotent";
  EXPECT_FALSE(queue().healthy());
  EXPECT_THAT(TrySubmit({Spec()}), FailsWith(Code::kUnavailable));
  EXPECT_THAT(sim().Run(queue().Claim({.worker = "w", .lanes = {"m"}})),
              FailsWith(Code::kUnavailable));
  Crash();
  EXPECT_TRUE(queue().healthy());
}

INSTANTIATE_TEST_SUITE_P(Queues, EditConformance, ::testing::ValuesIn(Implementations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace inferq::queue
