#include "service/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/event.h"
#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using inferq::testing::SimDisk;
using model::BatchStatus;
using testing::ChatLine;
using testing::ChatLines;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Process;
using ::testing::SizeIs;

const Caller kAnn{.tenant = "ann", .request_id = {}, .traceparent = {}};
const Caller kBob{.tenant = "bob", .request_id = {}, .traceparent = {}};

class ServiceTest : public ::testing::Test {
 protected:
  // A batch of these lines, run to its end.
  BatchView RunBatch(Process& process, std::string text) {
    auto file = process.UploadText(kAnn, std::move(text)).value();
    auto batch = process.CreateBatch(kAnn, file.id).value();
    return process.AwaitBatch(kAnn, batch.record.id).value();
  }

  OnlineRequest Chat(int max_tokens = 3, const std::string& model = "m") {
    return {.endpoint = engine::Endpoint::kChatCompletions,
            .body = fmt::format(
                R"({{"model":"{}","messages":[{{"role":"user","content":"hi"}}],"max_tokens":{}}})",
                model, max_tokens),
            .model = model,
            .stream = false,
            .expires_at = {}};
  }

  SimDisk disk_;
};

Awaitable<base::Result<engine::Delta>> ReadAll(std::shared_ptr<Answer> answer) {
  engine::Delta all;
  while (!all.finish_reason) {
    INFERQ_CO_ASSIGN(engine::Delta delta, co_await answer->Next());
    all.text += delta.text;
    all.finish_reason = delta.finish_reason;
    all.usage = delta.usage;
  }
  co_return all;
}

TEST_F(ServiceTest, ABatchRunsToItsEnd) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  BatchView batch = RunBatch(process, ChatLines(20));
  EXPECT_EQ(batch.record.status, BatchStatus::kCompleted);
  EXPECT_EQ(batch.total, 20u);
  EXPECT_EQ(batch.succeeded, 20u);
  EXPECT_EQ(batch.record.model, "m");
  EXPECT_GT(batch.record.usage.output_tokens, 0u);
  EXPECT_TRUE(batch.record.in_progress && batch.record.finalizing && batch.record.completed);
  EXPECT_EQ(batch.record.error_file_id, "") << "a file with nothing in it is not made";
  EXPECT_THAT(process.CountLines(kAnn, batch).value(), SizeIs(20));
  EXPECT_TRUE(process.Stop());
}

TEST_F(ServiceTest, EveryBadLineIsListedAndNothingIsRun) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  BatchView batch = RunBatch(process, ChatLine("a") + "{\"no\n" + ChatLine("b", "unknown") +
                                          ChatLine("a") + ChatLine("c"));
  EXPECT_EQ(batch.record.status, BatchStatus::kFailed);
  ASSERT_THAT(batch.record.errors, SizeIs(3));
  EXPECT_EQ(batch.record.errors[0].line, 2u);
  EXPECT_EQ(batch.record.errors[0].code, "invalid_json_line");
  EXPECT_EQ(batch.record.errors[1].line, 3u);
  EXPECT_EQ(batch.record.errors[1].code, "model_not_found");
  EXPECT_EQ(batch.record.errors[2].line, 4u);
  EXPECT_EQ(batch.total, 0u);
  EXPECT_EQ(process.engine_starts(), 0);
}

TEST_F(ServiceTest, AnUnknownFileFailsTheBatchNotTheCall) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  auto batch = process.CreateBatch(kAnn, "file-none").value();
  EXPECT_EQ(batch.record.status, BatchStatus::kValidating);
  auto ended = process.AwaitBatch(kAnn, batch.record.id).value();
  EXPECT_EQ(ended.record.status, BatchStatus::kFailed);
  EXPECT_THAT(ended.record.errors.at(0).message, HasSubstr("file-none"));
  EXPECT_EQ(ended.record.errors.at(0).param, "file_id");
}

TEST_F(ServiceTest, AFileThatIsNoJsonLinesIsRefusedAtOnce) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  EXPECT_EQ(process.UploadText(kAnn, "").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(process.UploadText(kAnn, "a,b\n1,2\n").error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(process.UploadText(kAnn, "a,b\n1,2\n", "user_data"));
  EXPECT_THAT(process.Do(process.service().ListFiles(kAnn, {}))->records, SizeIs(1));
}

TEST_F(ServiceTest, TheInputMayBeDeletedRightAfterCreate) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(5)).value();
  auto batch = process.CreateBatch(kAnn, file.id).value();
  ASSERT_TRUE(process.Do(process.service().DeleteFile(kAnn, file.id)));
  EXPECT_EQ(process.ReadFile(kAnn, file.id).error().code(), Code::kNotFound);
  auto ended = process.AwaitBatch(kAnn, batch.record.id).value();
  EXPECT_EQ(ended.record.status, BatchStatus::kCompleted);
  EXPECT_EQ(ended.succeeded, 5u);
}

TEST_F(ServiceTest, ContentStaysReadableWhileSomebodyReads) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(5)).value();
  auto content = process.Do(process.service().OpenContent(kAnn, file.id)).value();
  ASSERT_TRUE(process.Do(process.service().DeleteFile(kAnn, file.id)));
  process.sim().RunFor(1s);
  EXPECT_EQ(process.Do(content->Read(process.sim(), 0, file.bytes)).value(), ChatLines(5));
  content.reset();
  process.sim().RunFor(1s);
  for (const std::string& name : disk_.List("/data/blobs").value())
    EXPECT_FALSE(name.ends_with(".blob")) << name;
}

TEST_F(ServiceTest, TenantsDoNotSeeEachOther) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  Service& service = process.service();
  auto file = process.UploadText(kAnn, ChatLines(2)).value();
  auto batch = process.CreateBatch(kAnn, file.id).value().record.id;
  EXPECT_EQ(process.Do(service.GetFile(kBob, file.id)).error().code(), Code::kNotFound);
  EXPECT_EQ(process.Do(service.DeleteFile(kBob, file.id)).error().code(), Code::kNotFound);
  EXPECT_EQ(process.Do(service.OpenContent(kBob, file.id)).error().code(), Code::kNotFound);
  EXPECT_EQ(process.Do(service.GetBatch(kBob, batch)).error().code(), Code::kNotFound);
  EXPECT_EQ(process.Do(service.CancelBatch(kBob, batch)).error().code(), Code::kNotFound);
  EXPECT_THAT(process.Do(service.ListFiles(kBob, {}))->records, SizeIs(0));
  EXPECT_THAT(process.Do(service.ListBatches(kBob, "", 20))->records, SizeIs(0));
  EXPECT_FALSE(process.Do(service.ListBatches(kBob, batch, 20)));
  // A batch over somebody else's file fails as if there were none.
  auto stolen = process.CreateBatch(kBob, file.id).value().record.id;
  auto ended = process.AwaitBatch(kBob, stolen).value();
  EXPECT_EQ(ended.record.status, BatchStatus::kFailed);
  EXPECT_EQ(process.AwaitBatch(kAnn, batch)->record.status, BatchStatus::kCompleted);
}

TEST_F(ServiceTest, ACancelledBatchKeepsWhatEnded) {
  Process process(disk_, {.engine = {.ttft = 100ms, .itl = 50ms}, .slots = 4});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(200)).value();
  auto batch = process.CreateBatch(kAnn, file.id).value().record.id;
  process.sim().RunFor(2s);
  auto cancelling = process.Do(process.service().CancelBatch(kAnn, batch)).value();
  EXPECT_EQ(cancelling.record.status, BatchStatus::kCancelling);
  EXPECT_TRUE(cancelling.record.cancelling);
  auto ended = process.AwaitBatch(kAnn, batch).value();
  EXPECT_EQ(ended.record.status, BatchStatus::kCancelled);
  EXPECT_GT(ended.succeeded, 0u);
  EXPECT_LT(ended.succeeded, 200u);
  auto counts = process.CountLines(kAnn, ended).value();
  EXPECT_THAT(counts, SizeIs(200));
  for (auto& [id, count] : counts) EXPECT_EQ(count, 1) << id;
  // Once more is no error; of a completed one it is.
  EXPECT_TRUE(process.Do(process.service().CancelBatch(kAnn, batch)));
  BatchView completed = RunBatch(process, ChatLines(1));
  EXPECT_EQ(completed.record.status, BatchStatus::kCompleted);
  auto done = completed.record.id;
  EXPECT_EQ(process.Do(process.service().CancelBatch(kAnn, done)).error().code(),
            Code::kFailedPrecondition);
}

TEST_F(ServiceTest, ABatchWhoseWindowClosesExpires) {
  Process process(disk_, {.engine = {.ttft = 1h, .itl = 0ms}, .slots = 4, .reserved = 0});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(200)).value();
  auto batch = process.CreateBatch(kAnn, file.id).value().record.id;
  process.sim().RunFor(25h);
  auto ended = process.AwaitBatch(kAnn, batch).value();
  EXPECT_EQ(ended.record.status, BatchStatus::kExpired);
  EXPECT_TRUE(ended.record.expired);
  EXPECT_GT(ended.succeeded, 50u);
  EXPECT_THAT(process.CountLines(kAnn, ended).value(), SizeIs(200));
  EXPECT_THAT(process.ReadFile(kAnn, ended.record.error_file_id).value(),
              HasSubstr("batch_expired"));
}

TEST_F(ServiceTest, AByteOrderMarkIsNoPartOfTheFirstLine) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  for (std::string mark : {"\xEF\xBB\xBF", "\xEF\xBB\xBF\n"}) {
    BatchView batch = RunBatch(process, mark + ChatLines(3));
    EXPECT_EQ(batch.record.status, BatchStatus::kCompleted);
    EXPECT_EQ(batch.succeeded, 3u);
  }
}

TEST_F(ServiceTest, AProblemQuotesOnlySoMuch) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string key(100'000, 'k');
  BatchView batch = RunBatch(process, "{\"" + key + "\":1}\n");
  EXPECT_EQ(batch.record.status, BatchStatus::kFailed);
  ASSERT_FALSE(batch.record.errors.empty());
  EXPECT_LT(batch.record.errors[0].message.size(), 600u);
  EXPECT_LT(batch.record.errors[0].param.size(), 300u);
}

TEST_F(ServiceTest, AWindowThatClosesOnAFullQueueExpiresTheRest) {
  Process process(
      disk_,
      {.engine = {.ttft = 10h, .itl = 0ms}, .slots = 2, .reserved = 0, .max_live_tasks = 1000});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(1500)).value();
  auto batch = process.CreateBatch(kAnn, file.id).value().record.id;
  process.sim().RunFor(25h);
  auto ended = process.AwaitBatch(kAnn, batch);
  ASSERT_TRUE(ended) << ended.error().message();
  EXPECT_EQ(ended->record.status, BatchStatus::kExpired);
  EXPECT_THAT(process.CountLines(kAnn, *ended).value(), SizeIs(1500));
}

TEST_F(ServiceTest, ListsFollowTheCursor) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(process.CreateBatch(kAnn, "f")->record.id);
  auto first = process.Do(process.service().ListBatches(kAnn, "", 2)).value();
  ASSERT_THAT(first.records, SizeIs(2));
  EXPECT_TRUE(first.has_more);
  EXPECT_EQ(first.records[0].record.id, ids[4]);
  auto rest = process.Do(process.service().ListBatches(kAnn, first.records[1].record.id, 20));
  EXPECT_THAT(rest->records, SizeIs(3));
  EXPECT_FALSE(rest->has_more);
}

TEST_F(ServiceTest, AnOnlineRequestIsAnsweredAndLeavesNoTrace) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  uint64_t before = disk_.operations();
  auto answer = process.Do(process.service().Generate(kAnn, Chat())).value();
  auto text = process.Do(ReadAll(answer));
  ASSERT_TRUE(text) << text.error().message();
  EXPECT_EQ(text->finish_reason, engine::FinishReason::kLength);
  EXPECT_EQ(text->usage.completion_tokens, 3u);
  // Only the tenant's virtual time may be written, later.
  EXPECT_LE(disk_.operations(), before + 3);
}

TEST_F(ServiceTest, AnUnknownModelIsNotFound) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  auto answer = process.Do(process.service().Generate(kAnn, Chat(3, "other")));
  EXPECT_EQ(answer.error().code(), Code::kNotFound);
  EXPECT_EQ(answer.error().param(), "model");
}

TEST_F(ServiceTest, AnOnlineRequestPassesASaturatingBatch) {
  Process process(disk_, {.engine = {.ttft = 10s, .itl = 0ms}, .slots = 4, .reserved = 1});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(500)).value();
  ASSERT_TRUE(process.CreateBatch(kAnn, file.id));
  process.sim().RunFor(21s);
  base::SteadyTime asked = process.sim().clock().Steady();
  auto answer = process.Do(process.service().Generate(kBob, Chat())).value();
  ASSERT_TRUE(process.Do(ReadAll(answer)));
  // One run of its own, without waiting for a slot: a kept one was free.
  EXPECT_LT(process.sim().clock().Steady() - asked, 11s);
}

TEST_F(ServiceTest, WhoGoesAwayFreesTheSlot) {
  Process process(disk_, {.engine = {.ttft = 1h, .itl = 0ms}, .slots = 1, .reserved = 0});
  ASSERT_TRUE(process.Start());
  auto gone = process.Do(process.service().Generate(kAnn, Chat())).value();
  auto waiting = process.Do(process.service().Generate(kAnn, Chat())).value();
  process.sim().RunFor(1s);
  EXPECT_EQ(process.engine()->capacity().running, 1u);
  waiting.reset();
  gone.reset();
  process.sim().RunFor(1s);
  EXPECT_EQ(process.engine()->capacity().running, 0u);
  auto next = process.Do(process.service().Generate(kAnn, Chat())).value();
  process.sim().RunFor(1s);
  EXPECT_EQ(process.engine()->capacity().running, 1u);
}

TEST_F(ServiceTest, AnOnlineRequestEndsAtItsTime) {
  Process process(disk_, {.engine = {.ttft = 1h, .itl = 0ms}});
  ASSERT_TRUE(process.Start());
  OnlineRequest request = Chat();
  request.expires_at = process.sim().clock().Steady() + 5s;
  auto answer = process.Do(process.service().Generate(kAnn, request)).value();
  auto text = process.Do(ReadAll(answer));
  EXPECT_EQ(text.error().code(), Code::kDeadlineExceeded);
  process.sim().RunFor(1s);
  EXPECT_EQ(process.engine()->capacity().running, 0u);  // the work was cut
}

TEST_F(ServiceTest, AStreamThatHasBegunOutlivesPatienceWithSilence) {
  Process process(disk_, {.engine = {.ttft = 1s, .itl = 1s, .tokens = 10}});
  ASSERT_TRUE(process.Start());
  for (bool until_begun : {true, false}) {
    OnlineRequest request = Chat(10);
    request.stream = true;
    request.until_begun = until_begun;
    request.expires_at = process.sim().clock().Steady() + 5s;
    auto answer = process.Do(process.service().Generate(kAnn, request)).value();
    EXPECT_EQ(process.Do(ReadAll(answer)).has_value(), until_begun);
  }
  OnlineRequest plain = Chat(10);
  plain.until_begun = true;
  plain.expires_at = process.sim().clock().Steady() + 5s;
  auto answer = process.Do(process.service().Generate(kAnn, plain)).value();
  EXPECT_EQ(process.Do(ReadAll(answer)).error().code(), Code::kDeadlineExceeded);
}

TEST_F(ServiceTest, AnOnlineRequestsPriorityDecidesAmongThem) {
  Process process(disk_, {.engine = {.ttft = 1s, .itl = 0ms}, .slots = 1, .reserved = 0});
  ASSERT_TRUE(process.Start());
  auto running = process.Do(process.service().Generate(kAnn, Chat())).value();
  process.sim().RunFor(100ms);
  std::vector<std::shared_ptr<Answer>> answers;
  std::vector<int> ended;
  auto read = [](std::shared_ptr<Answer> answer, int id, std::vector<int>& out) -> Awaitable<void> {
    if (co_await ReadAll(answer)) out.push_back(id);
  };
  for (int priority : {-100, 0, 100}) {
    OnlineRequest request = Chat();
    request.priority = priority;
    auto answer = process.Do(process.service().Generate(kAnn, request)).value();
    process.sim().SpawnDetached(read(answer, priority, ended));
  }
  process.sim().RunFor(30s);
  EXPECT_THAT(ended, ElementsAre(100, 0, -100));
}

TEST_F(ServiceTest, AnAnswerMayOutliveTheStore) {
  std::shared_ptr<Answer> answer;
  {
    Process process(disk_, {.engine = {.ttft = 1h, .itl = 0ms}});
    ASSERT_TRUE(process.Start());
    OnlineRequest request = Chat();
    request.expires_at = process.sim().clock().Steady() + 1min;
    answer = process.Do(process.service().Generate(kAnn, request)).value();
    ASSERT_TRUE(process.Stop(0ms));
    EXPECT_EQ(process.Do(ReadAll(answer)).error().code(), Code::kUnavailable);
    process.sim().RunFor(2min);
    answer.reset();
    process.sim().RunFor(1s);
  }
}

TEST_F(ServiceTest, AFailedAttemptBeforeTheFirstTextIsRepeatedUnseen) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  ASSERT_TRUE(process.Do(ReadAll(process.Do(process.service().Generate(kAnn, Chat())).value())));
  int attempts = 0;
  process.engine()->set_fault_hook([&](const engine::Request&) {
    std::optional<engine::FakeEngine::Fault> fault;
    if (++attempts == 1) fault = {.error = base::Error(Code::kUnavailable, "no luck")};
    return fault;
  });
  auto answer = process.Do(process.service().Generate(kAnn, Chat())).value();
  EXPECT_TRUE(process.Do(ReadAll(answer)));
  EXPECT_EQ(attempts, 2);
}

TEST_F(ServiceTest, APlainAnswerIsRepeatedUnseenUpToItsEnd) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  auto once = process.Do(ReadAll(process.Do(process.service().Generate(kAnn, Chat(20))).value()));
  int attempts = 0;
  process.engine()->set_fault_hook([&](const engine::Request&) {
    std::optional<engine::FakeEngine::Fault> fault;
    if (++attempts < 3) {
      fault = {.after_tokens = 12, .error = base::Error(Code::kUnavailable, "no luck")};
    }
    return fault;
  });
  auto again = process.Do(ReadAll(process.Do(process.service().Generate(kAnn, Chat(20))).value()));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(again->text, once->text);  // nothing of the attempts before stands in it
}

TEST_F(ServiceTest, AnAnswerThatBeganIsCutNotRepeated) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  ASSERT_TRUE(process.Do(ReadAll(process.Do(process.service().Generate(kAnn, Chat())).value())));
  int attempts = 0;
  process.engine()->set_fault_hook([&](const engine::Request&) {
    ++attempts;
    return engine::FakeEngine::Fault{.after_tokens = 2,
                                     .error = base::Error(Code::kUnavailable, "no luck")};
  });
  OnlineRequest stream = Chat(20);
  stream.stream = true;
  auto answer = process.Do(process.service().Generate(kAnn, stream)).value();
  auto text = process.Do(ReadAll(answer));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message(), "no luck");
  process.sim().RunFor(1min);
  EXPECT_EQ(attempts, 1);
}

TEST_F(ServiceTest, AModelIsLoadedForItsFirstWorkAndUnloadedWhenIdle) {
  auto adjust = [](ServiceOptions& options) { options.idle_unload = 60s; };
  Process process(disk_, {.adjust = adjust});
  ASSERT_TRUE(process.Start());
  process.sim().RunFor(10s);
  EXPECT_EQ(process.engine_starts(), 0);
  RunBatch(process, ChatLines(3));
  EXPECT_EQ(process.engine_starts(), 1);
  process.sim().RunFor(5min);
  RunBatch(process, ChatLines(3));
  EXPECT_EQ(process.engine_starts(), 2);
}

TEST_F(ServiceTest, AModelThatCannotBeHadIsSaidAndTriedAgain) {
  bool broken = true;
  auto adjust = [&broken](ServiceOptions& options) {
    auto make = std::move(options.models[0].make_engine);
    options.models[0].make_engine =
        [&broken, make = std::move(make)]() -> base::Result<std::unique_ptr<engine::Engine>> {
      if (broken) return base::Fail(Code::kNotFound, "there is no file m.gguf");
      return make();
    };
  };
  Process process(disk_, {.adjust = adjust});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(3)).value();
  auto batch = process.CreateBatch(kAnn, file.id).value().record.id;
  auto answer = process.Do(process.service().Generate(kAnn, Chat())).value();
  auto text = process.Do(ReadAll(answer));
  EXPECT_EQ(text.error().code(), Code::kUnavailable);
  EXPECT_THAT(text.error().message(), HasSubstr("no file m.gguf"));
  EXPECT_TRUE(process.service().health().ready);
  EXPECT_THAT(process.service().health().reasons, ElementsAre(HasSubstr("no file m.gguf")));
  broken = false;
  EXPECT_EQ(process.AwaitBatch(kAnn, batch)->succeeded, 3u);
  EXPECT_THAT(process.service().health().reasons, SizeIs(0));
}

// Loads for as long as nobody stops it.
class LoadingEngine final : public engine::Engine {
 public:
  explicit LoadingEngine(runtime::Runtime& runtime) : stopped_(runtime) {}
  Awaitable<base::Result<>> Start() override {
    co_await stopped_.Wait();
    co_return base::Fail(Code::kCancelled, "stopped while loading");
  }
  Awaitable<void> Stop() override {
    stopped_.NotifyAll();
    co_return;
  }
  base::Result<std::unique_ptr<engine::Generation>> Submit(engine::Request) override {
    return base::Fail(Code::kFailedPrecondition, "not started");
  }
  engine::Capacity capacity() const override { return {}; }
  std::string Describe() const override { return "loading"; }

 private:
  runtime::Event stopped_;
};

TEST_F(ServiceTest, NobodyWaitsForAnEngineThatStaysAway) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  ASSERT_TRUE(process.Do(ReadAll(process.Do(process.service().Generate(kAnn, Chat())).value())));
  process.engine()->SetAvailable(false);
  process.sim().RunFor(1s);  // a claim that was under way
  base::SteadyTime asked = process.sim().clock().Steady();
  auto text = process.Do(ReadAll(process.Do(process.service().Generate(kAnn, Chat())).value()));
  EXPECT_EQ(text.error().code(), Code::kUnavailable);
  EXPECT_LT(process.sim().clock().Steady() - asked, 20s);
  EXPECT_THAT(process.service().health().reasons, SizeIs(1));
  process.engine()->SetAvailable(true);
  process.sim().RunFor(3s);
  EXPECT_THAT(process.service().health().reasons, SizeIs(0));
  EXPECT_TRUE(process.Do(ReadAll(process.Do(process.service().Generate(kAnn, Chat())).value())));
}

TEST_F(ServiceTest, DrainDoesNotWaitForAModelThatLoads) {
  inferq::testing::SimRuntime* sim = nullptr;
  auto adjust = [&sim](ServiceOptions& options) {
    options.models[0].make_engine = [&sim]() -> base::Result<std::unique_ptr<engine::Engine>> {
      return std::make_unique<LoadingEngine>(*sim);
    };
  };
  Process process(disk_, {.adjust = adjust});
  sim = &process.sim();
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(3)).value();
  ASSERT_TRUE(process.CreateBatch(kAnn, file.id));
  process.sim().RunFor(10s);
  base::SteadyTime begin = process.sim().clock().Steady();
  EXPECT_TRUE(process.Stop(5s));
  EXPECT_LT(process.sim().clock().Steady() - begin, 10s);
}

TEST_F(ServiceTest, DrainHandsBackAndTheNextProcessGoesOn) {
  std::string batch;
  {
    Process process(disk_, {.engine = {.ttft = 1s, .itl = 100ms}, .slots = 4});
    ASSERT_TRUE(process.Start());
    auto file = process.UploadText(kAnn, ChatLines(50)).value();
    batch = process.CreateBatch(kAnn, file.id).value().record.id;
    process.sim().RunFor(5s);
    ASSERT_TRUE(process.Stop(100ms));
    EXPECT_EQ(process.Do(process.service().GetBatch(kAnn, batch)).error().code(),
              Code::kUnavailable);
  }
  Process next(disk_, {.seed = 2});
  ASSERT_TRUE(next.Start());
  auto ended = next.AwaitBatch(kAnn, batch).value();
  EXPECT_EQ(ended.record.status, BatchStatus::kCompleted);
  EXPECT_EQ(ended.succeeded, 50u);
  EXPECT_THAT(next.CountLines(kAnn, ended).value(), SizeIs(50));
}

TEST_F(ServiceTest, AFullDiskStopsTheTakingAndGoesOnWhenThereIsRoom) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(300)).value();
  auto batch = process.CreateBatch(kAnn, file.id).value().record.id;
  process.sim().RunFor(300ms);
  disk_.SetCapacity(disk_.used() + 4096);
  process.sim().RunFor(30s);
  EXPECT_FALSE(process.ended());
  EXPECT_FALSE(process.service().health().ready);
  EXPECT_THAT(process.service().health().reasons, SizeIs(1));
  EXPECT_EQ(process.UploadText(kAnn, ChatLines(3)).error().code(), Code::kUnavailable);
  disk_.SetCapacity(UINT64_MAX);
  ASSERT_TRUE(process.sim().RunUntil([&] { return process.service().health().ready; }, 10min));
  auto ended = process.AwaitBatch(kAnn, batch).value();
  EXPECT_EQ(ended.succeeded, 300u);
  EXPECT_THAT(process.CountLines(kAnn, ended).value(), SizeIs(300));
}

TEST_F(ServiceTest, NothingNewIsTakenWhenRoomIsShort) {
  uint64_t free = uint64_t{1} << 30;
  Process process(disk_, {.free_bytes = [&free]() -> base::Result<uint64_t> { return free; }});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(3)).value();
  auto upload = process.Do(process.service().BeginUpload(kAnn)).value();
  free = 1 << 20;
  process.sim().RunFor(5s);
  EXPECT_EQ(process.Do(upload->Append(process.sim(), "{")).error().code(), Code::kUnavailable);
  EXPECT_FALSE(process.service().health().ready);
  EXPECT_EQ(process.CreateBatch(kAnn, file.id).error().code(), Code::kUnavailable);
  EXPECT_TRUE(process.ReadFile(kAnn, file.id)) << "what is there can be read";
  free = uint64_t{1} << 30;
  process.sim().RunFor(5s);
  EXPECT_TRUE(process.CreateBatch(kAnn, file.id));
}

TEST_F(ServiceTest, ADiskThatFailsEndsTheService) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  disk_.FailOperation(disk_.operations() + 1, inferq::testing::DiskFault::kSyncError);
  (void)process.UploadText(kAnn, ChatLines(3));
  (void)process.CreateBatch(kAnn, "f");
  EXPECT_TRUE(process.sim().RunUntil([&] { return process.ended(); }, 1h) || disk_.fault_struck());
}

TEST_F(ServiceTest, ACompressedFileIsRefusedWithAHint) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  for (const char* compressed : {"\x1F\x8B\x08...", "\x28\xB5\x2F\xFD..."}) {
    auto stored = process.UploadText(kAnn, compressed);
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().param(), "file");
    EXPECT_THAT(stored.error().message(),
                ::testing::AllOf(HasSubstr(".jsonl"), HasSubstr("Content-Encoding: ")));
  }
  EXPECT_TRUE(process.UploadText(kAnn, "\x1F\x8B\x08...", "user_data"));
}

TEST_F(ServiceTest, AFileIsDeletedWhenItsTimeIsOver) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  auto upload = process.Do(process.service().BeginUpload(kAnn)).value();
  ASSERT_TRUE(process.Do(upload->Append(process.sim(), "text")));
  NewFile file{.filename = "a", .purpose = "user_data", .expires_after = 1h};
  auto stored = process.Do(process.service().FinishUpload(kAnn, file, upload)).value();
  process.sim().RunFor(59min);
  EXPECT_TRUE(process.Do(process.service().GetFile(kAnn, stored.id)));
  process.sim().RunFor(2min);
  EXPECT_EQ(process.Do(process.service().GetFile(kAnn, stored.id)).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace inferq::service
