// Single tasks and external workers, over a store on a simulated disk.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/lane.h"
#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using inferq::testing::SimDisk;
using model::State;
using model::TaskId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Process;
using ::testing::SizeIs;

const Caller kAnn{.tenant = "ann", .request_id = {}, .traceparent = {}};
const Caller kBob{.tenant = "bob", .request_id = {}, .traceparent = {}};

/// One process with the calls of clients and workers, to their end.
class World {
 public:
  explicit World(SimDisk& disk, Process::Options options = {})
      : process_(disk, std::move(options)) {
    EXPECT_TRUE(process_.Start());
  }

  Process& process() { return process_; }
  Service& service() { return process_.service(); }
  template <class T>
  T Do(Awaitable<T> call) {
    return process_.Do(std::move(call));
  }

  base::Result<std::vector<TaskId>> Submit(const std::string& body, const Caller& caller = kAnn,
                                           const std::string& key = "") {
    auto create = wire::ParseTaskCreate(body, key);
    EXPECT_TRUE(create) << create.error().message;
    auto submitted = Do(service().SubmitTasks(caller, *std::move(create)));
    if (!submitted) return std::unexpected(submitted.error());
    return submitted->ids;
  }
  TaskId SubmitOne(const std::string& payload = "1", const Caller& caller = kAnn) {
    return Submit(fmt::format(R"({{"kind":"ocr","payload":{}}})", payload), caller)->front();
  }
  TaskView Get(TaskId id, const Caller& caller = kAnn) {
    return Do(service().GetTask(caller, ToString(id), std::nullopt)).value();
  }
  static wire::WorkerClaim Want(uint32_t most = 1, base::Micros wait = 0s) {
    return {.worker = "w", .kinds = {"ocr"}, .max_tasks = most, .wait = wait};
  }
  std::vector<ClaimedWork> Claim(wire::WorkerClaim claim = Want(), const Caller& caller = kAnn) {
    return Do(service().ClaimTasks(caller, std::move(claim), nullptr)).value();
  }
  static wire::HeldTask RefOf(const ClaimedWork& work) { return {work.task.id, work.task.fence}; }
  std::vector<base::Result<>> Complete(const std::vector<ClaimedWork>& works,
                                       const Caller& caller = kAnn) {
    wire::CompleteCall call{.worker = "w"};
    for (const ClaimedWork& work : works) {
      std::string result = "[" + work.payload + "]";
      call.tasks.push_back({.task = RefOf(work),
                            .result = {.offset = call.results.size(), .length = result.size()}});
      call.results += result;
    }
    return Do(service().CompleteTasks(caller, std::move(call), nullptr)).value().outcomes;
  }
  std::vector<base::Result<>> Fail(const ClaimedWork& work, bool retryable,
                                   const Caller& caller = kAnn) {
    std::string error = R"({"code":"bad_image","message":"no page"})";
    wire::FailCall call{.worker = "w"};
    call.tasks.push_back({.task = RefOf(work),
                          .message = "no page",
                          .error = {.offset = 0, .length = error.size()},
                          .retryable = retryable});
    call.errors = error;
    return Do(service().FailTasks(caller, std::move(call))).value();
  }
  std::vector<base::Result<>> Release(const ClaimedWork& work, const Caller& caller = kAnn) {
    wire::ReleaseCall call{.worker = "w", .tasks = {RefOf(work)}};
    return Do(service().ReleaseTasks(caller, std::move(call))).value();
  }
  wire::HeldState Renew(const ClaimedWork& work, const Caller& caller = kAnn,
                        std::optional<std::string> checkpoint = {}) {
    wire::RenewCall call{.worker = "w"};
    call.tasks.push_back({.task = RefOf(work), .checkpoint = std::move(checkpoint)});
    return Do(service().RenewTasks(caller, std::move(call))).value().front().second;
  }

 private:
  Process process_;
};

class TaskServiceTest : public ::testing::Test {
 protected:
  SimDisk disk_;
};

Code CodeOf(const base::Result<>& result) {
  EXPECT_FALSE(result);
  return result ? Code::kInternal : result.error().code();
}

TEST_F(TaskServiceTest, ATaskGoesToAWorkerAndItsResultComesBack) {
  World world(disk_);
  auto ids =
      world.Submit(R"({"tasks":[{"kind":"ocr","payload":{"a": 1}},{"kind":"ocr","payload":2}]})");
  auto works = world.Claim(World::Want(10));
  ASSERT_THAT(works, SizeIs(2));
  EXPECT_EQ(works[0].task.id, ids->at(0));
  EXPECT_EQ(works[0].payload, R"({"a": 1})");
  EXPECT_EQ(works[1].payload, "2");
  EXPECT_EQ(world.Get(ids->at(0)).record.state, State::kRunning) << "a claim starts it";
  for (auto& outcome : world.Complete(works)) EXPECT_TRUE(outcome);
  TaskView view = world.Get(ids->at(0));
  EXPECT_EQ(view.record.state, State::kSucceeded);
  EXPECT_EQ(view.ending, R"([{"a": 1}])");
  EXPECT_EQ(world.Get(ids->at(1)).ending, "[2]");
}

TEST_F(TaskServiceTest, AModelAnswersATask) {
  World world(disk_);
  auto ids = world.Submit(
      R"({"endpoint":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":3}})");
  for (int i = 0; i < 1000 && !IsTerminal(world.Get(ids->front()).record.state); ++i) {
    world.process().sim().RunFor(50ms);
  }
  TaskView view = world.Get(ids->front());
  EXPECT_EQ(view.record.state, State::kSucceeded);
  EXPECT_EQ(view.endpoint, "/v1/chat/completions");
  EXPECT_THAT(view.ending, HasSubstr("\"chat.completion\""));
}

TEST_F(TaskServiceTest, AModelThatIsNotOfferedIsNamed) {
  World world(disk_);
  auto refused = world.Submit(
      R"({"tasks":[{"kind":"ocr","payload":1},{"endpoint":"/v1/completions","body":{"model":"x","prompt":"p"}}]})");
  EXPECT_EQ(refused.error().code(), Code::kNotFound);
  EXPECT_EQ(refused.error().param(), "tasks[1].body.model");
  EXPECT_THAT(world.Claim(), IsEmpty()) << "all or none";
}

TEST_F(TaskServiceTest, ABadRequestFailsAtTheModelWithAnErrorToRead) {
  World world(disk_);
  auto ids = world.Submit(
      R"({"endpoint":"/v1/chat/completions","body":{"model":"m","messages":[],"max_tokens":3}})");
  for (int i = 0; i < 1000 && !IsTerminal(world.Get(ids->front()).record.state); ++i) {
    world.process().sim().RunFor(50ms);
  }
  TaskView view = world.Get(ids->front());
  EXPECT_EQ(view.record.state, State::kFailed);
  EXPECT_THAT(view.ending, HasSubstr(R"({"code":"invalid_argument","message":)"));
}

TEST_F(TaskServiceTest, PayloadAndResultSurviveAPowerCut) {
  TaskId waiting, done;
  {
    World world(disk_);
    done = world.SubmitOne("1");
    EXPECT_TRUE(world.Complete(world.Claim()).front());
    waiting = world.SubmitOne("2");
    base::Rng rng(1);
    disk_.Crash(rng, inferq::testing::CrashMode::kStrict);
  }
  World world(disk_);
  EXPECT_EQ(world.Get(done).ending, "[1]");
  auto works = world.Claim();
  ASSERT_THAT(works, SizeIs(1));
  EXPECT_EQ(works.front().task.id, waiting);
  EXPECT_EQ(works.front().payload, "2");
}

TEST_F(TaskServiceTest, AnExternalLeaseSurvivesARestart) {
  std::vector<ClaimedWork> works;
  {
    World world(disk_);
    world.SubmitOne();
    works = world.Claim();
    ASSERT_TRUE(world.process().Stop());
  }
  World world(disk_);
  EXPECT_THAT(world.Claim(), IsEmpty()) << "the lease holds";
  EXPECT_EQ(world.Renew(works.front()), wire::HeldState::kHeld);
  EXPECT_EQ(CodeOf(world.Complete(works, kBob).front()), Code::kNotFound);
  EXPECT_TRUE(world.Complete(works).front());
}

// Idempotency.

TEST_F(TaskServiceTest, TheSameKeyAndContentIsTheSameTask) {
  World world(disk_);
  auto first = world.Submit(R"({"kind":"ocr","payload":{"a":1,"b":2}})", kAnn, "k");
  auto again = world.Submit(R"({"payload":{"b":2, "a":1},"kind":"ocr"})", kAnn, "k");
  EXPECT_EQ(first.value(), again.value());
  auto bobs = world.Submit(R"({"kind":"ocr","payload":{"a":1,"b":2}})", kBob, "k");
  EXPECT_NE(bobs.value(), first.value());
  auto other = world.Submit(R"({"kind":"ocr","payload":{"a":1,"b":3}})", kAnn, "k");
  EXPECT_EQ(other.error().code(), Code::kAlreadyExists);
  auto hurried = world.Submit(R"({"kind":"ocr","payload":{"a":1,"b":2},"priority":9})", kAnn, "k");
  EXPECT_EQ(hurried.error().code(), Code::kAlreadyExists) << "scheduling fields are content";
  EXPECT_THAT(world.Claim(World::Want(10)), SizeIs(1));
}

TEST_F(TaskServiceTest, AConflictInAListNamesTheTask) {
  World world(disk_);
  auto refused = world.Submit(
      R"({"tasks":[{"kind":"ocr","payload":1,"idempotency_key":"k"},{"kind":"ocr","payload":2,"idempotency_key":"k"}]})");
  EXPECT_EQ(refused.error().code(), Code::kAlreadyExists);
  EXPECT_EQ(refused.error().param(), "tasks[1]");
}

// Parents.

TEST_F(TaskServiceTest, AChildWaitsForItsParentOfTheSameCall) {
  World world(disk_);
  auto ids = world.Submit(
      R"({"tasks":[{"kind":"ocr","payload":1,"parents":["#1"]},{"kind":"ocr","payload":2}]})");
  EXPECT_EQ(world.Get(ids->at(0)).record.state, State::kBlocked);
  auto works = world.Claim(World::Want(10));
  ASSERT_THAT(works, SizeIs(1));
  EXPECT_EQ(works.front().task.id, ids->at(1));
  EXPECT_TRUE(world.Complete(works).front());
  EXPECT_EQ(world.Claim().at(0).task.id, ids->at(0));
  EXPECT_THAT(world.Get(ids->at(0)).record.spec.parents, ElementsAre(ids->at(1)));
}

TEST_F(TaskServiceTest, ParentsThatAreNotOnesOwnAreUnknown) {
  World world(disk_);
  TaskId bobs = world.SubmitOne("1", kBob);
  auto with = [&](const std::string& parent) {
    return world.Submit(fmt::format(R"({{"kind":"ocr","payload":1,"parents":["{}"]}})", parent));
  };
  for (const std::string& parent : {ToString(bobs), std::string("#1"), ToString(TaskId{77})}) {
    auto refused = with(parent);
    ASSERT_FALSE(refused) << parent;
    EXPECT_EQ(refused.error().code(), Code::kInvalidArgument) << parent;
    EXPECT_EQ(refused.error().param(), "parents") << parent;
  }
}

TEST_F(TaskServiceTest, AnIdCannotStandForATaskOfTheSameCall) {
  World world(disk_);
  auto refused = world.Submit(fmt::format(
      R"({{"tasks":[{{"kind":"ocr","payload":1}},{{"kind":"ocr","payload":2,"parents":["{}"]}}]}})",
      ToString(queue::InThisCall(0))));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param(), "tasks[1].parents");
}

// Tenants.

TEST_F(TaskServiceTest, TasksOfOthersDoNotExist) {
  World world(disk_);
  TaskId id = world.SubmitOne();
  std::string name = ToString(id);
  Service& service = world.service();
  auto not_found = [](const auto& result) {
    EXPECT_FALSE(result);
    return !result && result.error().code() == Code::kNotFound;
  };
  EXPECT_TRUE(not_found(world.Do(service.GetTask(kBob, name, std::nullopt))));
  EXPECT_TRUE(not_found(world.Do(service.ExplainTask(kBob, name))));
  EXPECT_TRUE(not_found(world.Do(service.CancelTask(kBob, name))));
  EXPECT_TRUE(not_found(world.Do(service.RequeueTask(kBob, name))));
  TaskEdit edit{.id = name, .patch = {.priority = 5}, .if_version = {}};
  EXPECT_TRUE(not_found(world.Do(service.EditTask(kBob, std::move(edit)))));
  EXPECT_THAT(world.Do(service.ListTasks(kBob, {}))->tasks, IsEmpty());
  wire::TaskSelection queued{.status = State::kQueued, .kind = {}};
  EXPECT_EQ(world.Do(service.CancelTasks(kBob, queued)).value(), 0u);
  wire::TaskSelection kind{.status = {}, .kind = "ocr"};
  EXPECT_EQ(world.Do(service.CancelTasks(kBob, kind)).value(), 0u);
  EXPECT_THAT(world.Claim(World::Want(10), kBob), IsEmpty()) << "a kind is its tenant's";
  EXPECT_EQ(world.Get(id).record.state, State::kQueued);
}

TEST_F(TaskServiceTest, NobodyReportsOnTheClaimsOfOthers) {
  World world(disk_);
  TaskId id = world.SubmitOne();
  auto works = world.Claim();
  EXPECT_EQ(CodeOf(world.Complete(works, kBob).front()), Code::kNotFound) << "the fence is right";
  EXPECT_EQ(CodeOf(world.Fail(works.front(), false, kBob).front()), Code::kNotFound);
  EXPECT_EQ(CodeOf(world.Release(works.front(), kBob).front()), Code::kNotFound);
  EXPECT_EQ(world.Renew(works.front(), kBob, "stolen"), wire::HeldState::kLost);
  EXPECT_EQ(world.Get(id).record.state, State::kRunning);
  EXPECT_THAT(world.Do(world.service().ListWorkers(kBob))->size(), 1u) << "only bob's own";
  EXPECT_TRUE(world.Complete(works).front());
}

TEST_F(TaskServiceTest, AModelsTaskCannotBeReportedOnOverHttp) {
  World world(disk_);
  auto ids = world.Submit(
      R"({"endpoint":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":500}})");
  world.process().sim().RunUntil([&] { return world.process().engine() != nullptr; }, 1h);
  while (world.Get(ids->front()).record.state != State::kRunning) {
    world.process().sim().RunFor(1ms);
  }
  ClaimedWork forged;
  forged.task.id = ids->front();
  forged.task.fence = world.Get(ids->front()).record.fence;
  ASSERT_TRUE(forged.task.fence);
  EXPECT_EQ(CodeOf(world.Complete({forged}).front()), Code::kNotFound);
  EXPECT_EQ(world.Renew(forged), wire::HeldState::kLost);
}

// Fences and leases.

TEST_F(TaskServiceTest, AfterAnExpiredLeaseTheOtherWorkersResultCounts) {
  World world(disk_);
  TaskId id = world.SubmitOne();
  auto first = world.Claim();
  world.process().sim().RunFor(31s);
  auto second = world.Claim();
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_EQ(second.front().task.attempt, 2u);
  EXPECT_EQ(CodeOf(world.Complete(first).front()), Code::kAborted);
  EXPECT_EQ(world.Renew(first.front()), wire::HeldState::kLost);
  EXPECT_EQ(world.Get(id).record.state, State::kRunning);
  EXPECT_TRUE(world.Complete(second).front());
  EXPECT_TRUE(world.Complete(second).front()) << "told twice";
}

TEST_F(TaskServiceTest, RenewingKeepsTheLeaseAndTheCheckpoint) {
  World world(disk_);
  world.SubmitOne();
  auto works = world.Claim();
  for (int i = 0; i < 4; ++i) {
    world.process().sim().RunFor(20s);
    EXPECT_EQ(world.Renew(works.front(), kAnn, "half"), wire::HeldState::kHeld);
  }
  world.process().sim().RunFor(31s);
  EXPECT_EQ(world.Claim().at(0).task.checkpoint, "half");
}

TEST_F(TaskServiceTest, AHeartbeatRenewsAndIsListed) {
  World world(disk_);
  world.SubmitOne();
  auto works = world.Claim();
  for (int i = 0; i < 4; ++i) {
    world.process().sim().RunFor(20s);
    wire::HeartbeatCall beat{.worker = "w",
                             .version = "1.2",
                             .capacity = 4,
                             .load = wire::WorkerLoad{.cpu = 0.5},
                             .tasks = {World::RefOf(works.front())}};
    auto replies = world.Do(world.service().Heartbeat(kAnn, std::move(beat))).value();
    EXPECT_EQ(replies.front().second, wire::HeldState::kHeld);
  }
  auto workers = world.Do(world.service().ListWorkers(kAnn)).value();
  ASSERT_THAT(workers, SizeIs(1));
  EXPECT_EQ(workers.front().version, "1.2");
  EXPECT_EQ(workers.front().leases, 1u);
  EXPECT_TRUE(world.Complete(works).front());
  EXPECT_EQ(world.Do(world.service().ListWorkers(kAnn))->front().leases, 0u);
  world.process().sim().RunFor(11min);
  EXPECT_THAT(world.Do(world.service().ListWorkers(kAnn)).value(), IsEmpty()) << "silent for long";
}

TEST_F(TaskServiceTest, ACancelIsToldAtTheNextRenewal) {
  World world(disk_);
  TaskId id = world.SubmitOne();
  auto works = world.Claim();
  auto view = world.Do(world.service().CancelTask(kAnn, ToString(id)));
  EXPECT_EQ(view->record.state, State::kCancelled);
  EXPECT_EQ(world.Renew(works.front()), wire::HeldState::kCancelled);
  EXPECT_EQ(CodeOf(world.Complete(works).front()), Code::kAborted);
  EXPECT_TRUE(world.Do(world.service().CancelTask(kAnn, ToString(id)))) << "told twice";
}

TEST_F(TaskServiceTest, AReleasedTaskHasNoAttemptLess) {
  World world(disk_);
  TaskId id = world.SubmitOne();
  EXPECT_TRUE(world.Release(world.Claim().front()).front());
  EXPECT_EQ(world.Get(id).record.attempts, 0u);
  EXPECT_EQ(world.Claim().front().task.attempt, 1u);
}

TEST_F(TaskServiceTest, AFailureIsTriedAgainOrShown) {
  World world(disk_);
  TaskId id = world.SubmitOne();
  EXPECT_TRUE(world.Fail(world.Claim().front(), true).front());
  EXPECT_EQ(world.Get(id).record.state, State::kBlocked) << "backoff";
  auto works = world.Claim(World::Want(1, 60s));
  ASSERT_THAT(works, SizeIs(1));
  EXPECT_TRUE(world.Fail(works.front(), false).front());
  TaskView view = world.Get(id);
  EXPECT_EQ(view.record.state, State::kFailed);
  EXPECT_EQ(view.ending, R"({"code":"bad_image","message":"no page"})");
  view = world.Do(world.service().RequeueTask(kAnn, ToString(id))).value();
  EXPECT_EQ(view.record.generation, 1u);
  EXPECT_EQ(view.record.state, State::kQueued);
  EXPECT_EQ(world.Do(world.service().RequeueTask(kAnn, ToString(id))).error().code(),
            Code::kFailedPrecondition);
}

TEST_F(TaskServiceTest, ALineOfABatchIsNotRequeued) {
  World world(disk_);
  Process& process = world.process();
  std::string lines = testing::ChatLine("short") + testing::ChatLine("long", "m", 100'000);
  auto file = process.UploadText(kAnn, lines).value();
  ASSERT_TRUE(process.CreateBatch(kAnn, file.id));
  TaskId line = model::MakeTaskId(0, 1);  // the first one in the store
  auto ended = [&] {
    auto view = world.Do(world.service().GetTask(kAnn, ToString(line), {}));
    return view && IsTerminal(view->record.state);
  };
  for (int i = 0; i < 1000 && !ended(); ++i) process.sim().RunFor(10ms);
  ASSERT_TRUE(ended());
  EXPECT_EQ(world.Do(world.service().ListTasks(kAnn, {.limit = 5})).value().tasks.size(), 0u)
      << "a list is of single tasks";
  EXPECT_EQ(world.Do(world.service().RequeueTask(kAnn, ToString(line))).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(world.Get(line).record.state, State::kSucceeded);
}

// Edit, list, cancel.

TEST_F(TaskServiceTest, AnEditWithAnOldVersionIsAborted) {
  World world(disk_);
  TaskId id = world.SubmitOne();
  model::Version version = world.Get(id).record.version;
  auto edit = [&](model::Version expected) {
    TaskEdit request{.id = ToString(id), .patch = {.priority = 5}, .if_version = expected};
    return world.Do(world.service().EditTask(kAnn, std::move(request)));
  };
  auto edited = edit(version);
  ASSERT_TRUE(edited);
  EXPECT_EQ(edited->record.spec.priority, 5);
  EXPECT_GT(edited->record.version, version);
  EXPECT_EQ(edit(version).error().code(), Code::kAborted);
  EXPECT_TRUE(world.Do(world.service().CancelTask(kAnn, ToString(id))));
  EXPECT_EQ(edit(world.Get(id).record.version).error().code(), Code::kFailedPrecondition);
}

TEST_F(TaskServiceTest, ListsByKindAndStateInPages) {
  World world(disk_);
  auto ids = world.Submit(
      R"({"tasks":[{"kind":"a","payload":1},{"kind":"b","payload":2},{"kind":"a","payload":3}]})");
  auto list = [&](TaskList request) {
    std::vector<TaskId> found;
    auto page = world.Do(world.service().ListTasks(kAnn, std::move(request))).value();
    for (const TaskView& view : page.tasks) found.push_back(view.record.id);
    return std::pair(found, page.has_more);
  };
  EXPECT_EQ(list({.kind = "a", .limit = 5}).first, (std::vector{ids->at(0), ids->at(2)}));
  EXPECT_THAT(list({.status = State::kFailed, .limit = 5}).first, IsEmpty());
  auto [first, more] = list({.limit = 2});
  EXPECT_EQ(first, (std::vector{ids->at(0), ids->at(1)}));
  EXPECT_TRUE(more);
  auto [rest, more_still] = list({.after = ToString(ids->at(1)), .limit = 2});
  EXPECT_EQ(rest, (std::vector{ids->at(2)}));
  EXPECT_FALSE(more_still);
  wire::TaskSelection chosen{.status = {}, .kind = "a"};
  EXPECT_EQ(world.Do(world.service().CancelTasks(kAnn, chosen)).value(), 2u);
  EXPECT_EQ(world.Get(ids->at(1)).record.state, State::kQueued);
}

// Long polls.

TEST_F(TaskServiceTest, AClaimWaitsForWork) {
  World world(disk_);
  std::optional<base::Result<std::vector<ClaimedWork>>> claimed;
  auto claim = [](Service& service, auto& into) -> Awaitable<void> {
    into = co_await service.ClaimTasks(kAnn, World::Want(1, 60s), nullptr);
  };
  auto& sim = world.process().sim();
  sim.SpawnDetached(claim(world.service(), claimed));
  sim.RunFor(10s);
  EXPECT_FALSE(claimed);
  TaskId id = world.SubmitOne();
  sim.RunFor(10ms);
  ASSERT_TRUE(claimed);
  EXPECT_EQ((*claimed)->front().task.id, id);
}

TEST_F(TaskServiceTest, ADrainDoesNotWaitForClaims) {
  World world(disk_, {.engine = {.ttft = 1h}});
  auto ids = world.Submit(
      R"({"endpoint":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"hi"}]}})");
  auto& sim = world.process().sim();
  auto runs = [&] { return world.Get(ids->front()).record.state == State::kRunning; };
  for (int i = 0; i < 1000 && !runs(); ++i) sim.RunFor(10ms);
  ASSERT_TRUE(runs());
  std::optional<base::Result<std::vector<ClaimedWork>>> claimed;
  auto claim = [](Service& service, auto& into) -> Awaitable<void> {
    into = co_await service.ClaimTasks(kAnn, World::Want(1, 60s), nullptr);
  };
  sim.SpawnDetached(claim(world.service(), claimed));
  sim.RunFor(100ms);
  EXPECT_FALSE(claimed);
  world.service().Drain(sim.clock().Steady() + 30s);
  sim.RunFor(2s);
  EXPECT_TRUE(claimed) << "running work still has its grace";
  EXPECT_FALSE(world.process().ended());
}

TEST_F(TaskServiceTest, ThereIsALimitOfWaitingClaims) {
  World world(disk_, {.adjust = [](ServiceOptions& options) { options.workers.waiting_max = 2; }});
  std::vector<std::optional<base::Result<std::vector<ClaimedWork>>>> claimed(3);
  auto claim = [](Service& service, auto& into) -> Awaitable<void> {
    into = co_await service.ClaimTasks(kAnn, World::Want(1, 60s), nullptr);
  };
  auto& sim = world.process().sim();
  for (auto& each : claimed) sim.SpawnDetached(claim(world.service(), each));
  sim.RunFor(1s);
  EXPECT_FALSE(claimed[0] || claimed[1]);
  ASSERT_TRUE(claimed[2]);
  EXPECT_EQ(claimed[2]->error().code(), Code::kResourceExhausted);
  EXPECT_GT(claimed[2]->error().retry_after(), 0ms);
  EXPECT_THAT(world.Claim(World::Want(1, 1s), kBob), IsEmpty()) << "others have their own";
  sim.RunFor(61s);
  EXPECT_THAT(world.Claim(World::Want(1, 1s)), IsEmpty()) << "those are over";
}

TEST_F(TaskServiceTest, AClientThatHangsUpGetsNothing) {
  World world(disk_);
  auto gone = std::make_shared<std::atomic<bool>>(false);
  std::optional<base::Result<std::vector<ClaimedWork>>> claimed;
  auto claim = [](Service& service, HungUp flag, auto& into) -> Awaitable<void> {
    into = co_await service.ClaimTasks(kAnn, World::Want(1, 60s), flag);
  };
  auto& sim = world.process().sim();
  sim.SpawnDetached(claim(world.service(), gone, claimed));
  sim.RunFor(100ms);
  *gone = true;
  TaskId id = world.SubmitOne();
  sim.RunFor(100ms);
  ASSERT_TRUE(claimed) << "it was waiting for that task";
  EXPECT_THAT(claimed->value(), IsEmpty());
  EXPECT_EQ(world.Get(id).record.state, State::kQueued);
  EXPECT_EQ(world.Get(id).record.attempts, 0u);
}

TEST_F(TaskServiceTest, OneClaimCarriesSoManyBytes) {
  World world(disk_,
              {.adjust = [](ServiceOptions& options) { options.workers.claim_bytes_max = 100; }});
  std::string large = "\"" + std::string(80, 'x') + "\"";
  TaskId first = world.SubmitOne(large);
  TaskId second = world.SubmitOne(large);
  auto works = world.Claim(World::Want(10));
  ASSERT_THAT(works, SizeIs(1));
  EXPECT_EQ(works.front().task.id, first);
  EXPECT_EQ(world.Get(second).record.state, State::kQueued);
  EXPECT_EQ(world.Claim(World::Want(10)).at(0).task.id, second);
}

TEST_F(TaskServiceTest, AFullQueueIsAskedBeforeBytesAreStored) {
  World world(disk_, {.max_live_tasks = 2});
  EXPECT_TRUE(world.Submit(R"({"tasks":[{"kind":"ocr","payload":1},{"kind":"ocr","payload":2}]})"));
  auto refused = world.Submit(R"({"kind":"ocr","payload":3})");
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_GT(refused.error().retry_after(), 0ms);
  uint64_t operations = disk_.operations();
  EXPECT_EQ(world.Submit(R"({"kind":"ocr","payload":3})").error().code(), Code::kResourceExhausted);
  EXPECT_EQ(disk_.operations(), operations) << "a refused client fills no disk";
  EXPECT_TRUE(world.Complete(world.Claim(World::Want(2))).front());
  world.process().sim().RunFor(2s);
  EXPECT_TRUE(world.Submit(R"({"kind":"ocr","payload":3})"));
}

}  // namespace
}  // namespace inferq::service
