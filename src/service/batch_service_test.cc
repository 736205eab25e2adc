// What the contract of the Batch API says, beside what service_test.cc has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using inferq::testing::SimDisk;
using model::BatchStatus;
using testing::ChatLine;
using testing::ChatLines;
using ::testing::HasSubstr;
using testing::Process;
using ::testing::SizeIs;

const Caller kAnn{.tenant = "ann", .request_id = {}, .traceparent = {}};
const Caller kBob{.tenant = "bob", .request_id = {}, .traceparent = {}};

NewBatch Over(const std::string& file, std::string key = {}, uint64_t hash = 1) {
  return {.input_file_id = file,
          .endpoint = "/v1/chat/completions",
          .completion_window = "24h",
          .metadata = {},
          .output_expires_after = {},
          .idempotency_key = std::move(key),
          .content_hash = hash};
}

class BatchServiceTest : public ::testing::Test {
 protected:
  static Result<BatchView> Create(Process& process, NewBatch batch, const Caller& caller = kAnn) {
    return process.Do(process.service().CreateBatch(caller, std::move(batch)));
  }
  static BatchView RunText(Process& process, std::string text) {
    auto file = process.UploadText(kAnn, std::move(text)).value();
    auto batch = process.CreateBatch(kAnn, file.id).value();
    return process.AwaitBatch(kAnn, batch.record.id).value();
  }

  SimDisk disk_;
};

// Idempotency

TEST_F(BatchServiceTest, TheSameKeyIsTheSameBatchAlsoAfterARestart) {
  std::string id;
  std::string file;
  {
    Process process(disk_, {});
    ASSERT_TRUE(process.Start());
    file = process.UploadText(kAnn, ChatLines(2))->id;
    id = Create(process, Over(file, "k")).value().record.id;
    EXPECT_EQ(Create(process, Over(file, "k"))->record.id, id);
    EXPECT_NE(Create(process, Over(file, "other"))->record.id, id);
    EXPECT_NE(Create(process, Over(file))->record.id, id);
    EXPECT_NE(Create(process, Over(file, "k"), kBob)->record.id, id) << "keys are a tenant's own";
    ASSERT_TRUE(process.Stop());
  }
  Process process(disk_, {.seed = 2});
  ASSERT_TRUE(process.Start());
  EXPECT_EQ(process.AwaitBatch(kAnn, id)->record.status, BatchStatus::kCompleted);
  EXPECT_EQ(Create(process, Over(file, "k"))->record.status, BatchStatus::kCompleted)
      << "the batch as it is now";
  EXPECT_THAT(process.Do(process.service().ListBatches(kAnn, "", 20))->records, SizeIs(3));
}

TEST_F(BatchServiceTest, TheSameKeyWithOtherParametersIsAConflict) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  ASSERT_TRUE(Create(process, Over("file-1", "k", 1)));
  auto refused = Create(process, Over("file-2", "k", 2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kAlreadyExists);
  EXPECT_EQ(refused.error().param(), "idempotency_key");
  EXPECT_THAT(refused.error().message(), HasSubstr("conflict"));
}

Awaitable<void> CreateInto(Service* service, NewBatch batch, std::vector<std::string>* ids) {
  auto made = co_await service->CreateBatch(kAnn, std::move(batch));
  ids->push_back(made ? made->record.id : made.error().ToString());
}

TEST_F(BatchServiceTest, CallsAtTheSameTimeMakeOneBatch) {
  Process process(disk_, {.blocking_delay = 3ms});
  ASSERT_TRUE(process.Start());
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) {
    process.sim().SpawnDetached(CreateInto(&process.service(), Over("file-1", "k"), &ids));
    if (i % 3 == 0) process.sim().RunFor(1ms);
  }
  process.sim().RunFor(1s);
  ASSERT_THAT(ids, SizeIs(10));
  EXPECT_THAT(ids, ::testing::Each(ids[0]));
  EXPECT_THAT(process.Do(process.service().ListBatches(kAnn, "", 20))->records, SizeIs(1));
}

TEST_F(BatchServiceTest, AKeyIsFreeAfterADay) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string first = Create(process, Over("file-1", "k")).value().record.id;
  process.sim().RunFor(23h);
  EXPECT_EQ(Create(process, Over("file-1", "k"))->record.id, first);
  process.sim().RunFor(61min);
  EXPECT_EQ(process.Do(process.service().GetBatch(kAnn, first))->record.idempotency_key, "")
      << "it does not stay in the record";
  EXPECT_NE(Create(process, Over("file-1", "k", 2))->record.id, first);
}

// Limits

TEST_F(BatchServiceTest, ALongListOfErrorsSaysHowManyMoreThereAre) {
  Process process(disk_, {.adjust = [](ServiceOptions& options) { options.max_problems = 3; }});
  ASSERT_TRUE(process.Start());
  BatchView batch = RunText(process, "{\n{\n{\n{\n" + ChatLine("a") + ChatLine("a"));
  ASSERT_THAT(batch.record.errors, SizeIs(4));
  EXPECT_EQ(batch.record.errors[2].line, 3u);
  EXPECT_EQ(batch.record.errors[3].code, "too_many_errors");
  EXPECT_EQ(batch.record.errors[3].line, std::nullopt);
  EXPECT_THAT(batch.record.errors[3].message, HasSubstr("2 more errors"));
  BatchView exact = RunText(process, "{\n{\n{\n");
  EXPECT_THAT(exact.record.errors, SizeIs(3));
}

TEST_F(BatchServiceTest, TooManyLinesBytesOrInputsFailTheBatch) {
  Process process(disk_, {.adjust = [](ServiceOptions& options) {
                    options.max_lines = 3;
                    options.batches.bytes = 2000;
                    options.batches.inputs = 4;
                  }});
  ASSERT_TRUE(process.Start());
  auto lines = RunText(process, ChatLines(4)).record;
  EXPECT_EQ(lines.status, BatchStatus::kFailed);
  EXPECT_EQ(lines.errors.at(0).code, "too_many_lines");
  EXPECT_THAT(lines.errors.at(0).message, HasSubstr("3 requests"));
  auto bytes = RunText(process, ChatLine(std::string(500, 'a')) + ChatLine(std::string(500, 'b')) +
                                    ChatLine(std::string(500, 'c')))
                   .record;
  EXPECT_EQ(bytes.status, BatchStatus::kFailed);
  EXPECT_THAT(bytes.errors.at(0).message, HasSubstr("2000"));

  auto embed = [](const char* id, const char* input) {
    return fmt::format(R"({{"custom_id":"{}","method":"POST","url":"/v1/embeddings",)"
                       R"("body":{{"model":"m","input":{}}}}})"
                       "\n",
                       id, input);
  };
  for (const char* last : {R"("one")", R"(["two","three"])"}) {
    std::string text = embed("a", R"(["x","y"])") + embed("b", "[1,2,3]") + embed("c", last);
    NewBatch batch = Over(process.UploadText(kAnn, text)->id);
    batch.endpoint = "/v1/embeddings";
    auto id = Create(process, batch).value().record.id;
    auto ended = process.AwaitBatch(kAnn, id).value().record;
    bool fits = last[0] == '"';
    EXPECT_EQ(ended.status, fits ? BatchStatus::kCompleted : BatchStatus::kFailed) << last;
    if (!fits) EXPECT_EQ(ended.errors.at(0).code, "too_many_inputs");
  }
}

TEST_F(BatchServiceTest, CreationsInAnHourAreBoundedAlsoOverARestart) {
  auto adjust = [](ServiceOptions& options) { options.batches.creations_per_hour = 2; };
  {
    Process process(disk_, {.adjust = adjust});
    ASSERT_TRUE(process.Start());
    ASSERT_TRUE(Create(process, Over("file-1", "k")));
    ASSERT_TRUE(Create(process, Over("file-1")));
    auto refused = Create(process, Over("file-1"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
    EXPECT_GT(refused.error().retry_after(), 59min);
    EXPECT_TRUE(Create(process, Over("file-1", "k"))) << "the same batch is not one more";
    EXPECT_TRUE(Create(process, Over("file-1"), kBob));
    ASSERT_TRUE(process.Stop());
  }
  Process process(disk_, {.seed = 2, .adjust = adjust});
  ASSERT_TRUE(process.Start());
  EXPECT_FALSE(Create(process, Over("file-1")));
  process.sim().RunFor(1h);
  EXPECT_TRUE(Create(process, Over("file-1")));
}

TEST_F(BatchServiceTest, EnqueuedTokensAreBounded) {
  Process process(
      disk_, {.engine = {.ttft = 1h, .itl = 0ms},
              .adjust = [](ServiceOptions& options) { options.batches.enqueued_tokens = 200; }});
  ASSERT_TRUE(process.Start());
  auto first = process.CreateBatch(kAnn, process.UploadText(kAnn, ChatLines(10))->id).value();
  process.sim().RunFor(1s);
  auto running = process.Do(process.service().GetBatch(kAnn, first.record.id)).value().record;
  ASSERT_EQ(running.status, BatchStatus::kInProgress);
  ASSERT_GT(running.prompt_tokens, 50u);
  ASSERT_LT(running.prompt_tokens, 200u);
  auto over = RunText(process, ChatLines(20)).record;
  EXPECT_EQ(over.status, BatchStatus::kFailed);
  EXPECT_EQ(over.errors.at(0).code, "token_limit_exceeded");
  EXPECT_EQ(over.errors.at(0).param, "");
  EXPECT_EQ(over.errors.at(0).message,
            "Enqueued token limit reached for m in organization ann. Limit: 200 enqueued tokens. "
            "Please try again once some in_progress batches have been completed.");
  EXPECT_EQ(RunText(process, ChatLines(10, "n")).record.status, BatchStatus::kCompleted)
      << "the limit is of a model";
}

TEST_F(BatchServiceTest, WindowsAreThoseOfTheConfiguration) {
  Process process(disk_,
                  {.adjust = [](ServiceOptions& options) { options.windows = {"24h", "1h"}; }});
  ASSERT_TRUE(process.Start());
  NewBatch batch = Over("file-1");
  batch.completion_window = "1h";
  auto view = Create(process, batch).value();
  EXPECT_EQ(view.record.expires, view.record.created + 1h);
  for (const char* bad : {"48h", "invalid", "", "1H", "60m"}) {
    batch.completion_window = bad;
    auto refused = Create(process, batch);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
    EXPECT_EQ(refused.error().param(), "completion_window");
    EXPECT_THAT(refused.error().message(), HasSubstr("completion_window"));
  }
}

// States

TEST_F(BatchServiceTest, ABatchCanBeCancelledWhileItIsValidated) {
  Process process(disk_, {.blocking_delay = 50ms});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(10'000)).value();
  auto batch = process.CreateBatch(kAnn, file.id).value().record.id;
  auto cancelling = process.Do(process.service().CancelBatch(kAnn, batch)).value();
  ASSERT_EQ(cancelling.record.status, BatchStatus::kCancelling);
  EXPECT_FALSE(cancelling.record.in_progress);
  auto ended = process.AwaitBatch(kAnn, batch).value();
  EXPECT_EQ(ended.record.status, BatchStatus::kCancelled);
  EXPECT_TRUE(ended.record.cancelled);
  EXPECT_EQ(ended.total, 0u);
  EXPECT_EQ(ended.record.output_file_id, "");
  EXPECT_EQ(ended.record.error_file_id, "");
  EXPECT_EQ(process.engine_starts(), 0);
}

TEST_F(BatchServiceTest, AWindowThatClosedWhileTheServerWasAwayExpiresAllLines) {
  std::string batch;
  {
    Process process(disk_, {.blocking_delay = 50ms});
    ASSERT_TRUE(process.Start());
    auto file = process.UploadText(kAnn, ChatLines(20)).value();
    batch = process.CreateBatch(kAnn, file.id).value().record.id;
    ASSERT_TRUE(process.Stop(0ms));
  }
  Process process(disk_, {.seed = 2});
  process.sim().RunFor(25h);
  ASSERT_TRUE(process.Start());
  auto ended = process.AwaitBatch(kAnn, batch).value();
  EXPECT_EQ(ended.record.status, BatchStatus::kExpired);
  EXPECT_EQ(ended.record.output_file_id, "");
  EXPECT_THAT(process.CountLines(kAnn, ended).value(), SizeIs(20));
  std::string errors = process.ReadFile(kAnn, ended.record.error_file_id).value();
  EXPECT_THAT(errors,
              HasSubstr(R"("response":null,"error":{"code":"batch_expired","message":"This )"
                        R"(request could not be executed before the completion window )"
                        R"(expired."})"));
}

TEST_F(BatchServiceTest, AnEndedBatchStaysAsItIs) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  BatchView ended = RunText(process, ChatLines(3));
  process.sim().RunFor(2h);
  auto again = process.Do(process.service().GetBatch(kAnn, ended.record.id)).value();
  EXPECT_EQ(again.record.status, BatchStatus::kCompleted);
  EXPECT_EQ(again.record.completed, ended.record.completed);
  EXPECT_EQ(again.record.output_file_id, ended.record.output_file_id);
  EXPECT_EQ(again.succeeded, ended.succeeded);
}

}  // namespace
}  // namespace inferq::service
