// Pause, resume, edit and retry of batches, and their estimate.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "service/service.h"
#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using inferq::testing::SimDisk;
using model::BatchStatus;
using testing::ChatLine;
using testing::ChatLines;
using ::testing::HasSubstr;
using testing::Process;
using ::testing::SizeIs;

const Caller kAnn{.tenant = "ann", .request_id = {}, .traceparent = {}};
const Caller kBob{.tenant = "bob", .request_id = {}, .traceparent = {}};

class BatchEditsTest : public ::testing::Test {
 protected:
  static constexpr engine::FakeOptions kSlow{.ttft = base::Micros(200'000),
                                             .itl = base::Micros(50'000)};

  std::string Create(Process& process, std::string text) {
    auto file = process.UploadText(kAnn, std::move(text)).value();
    return process.CreateBatch(kAnn, file.id).value().record.id;
  }
  static BatchView Get(Process& process, const std::string& id) {
    return process.Do(process.service().GetBatch(kAnn, id)).value();
  }
  static base::Result<BatchView> Pause(Process& process, const std::string& id, bool paused,
                                       const Caller& who = kAnn) {
    return process.Do(process.service().PauseBatch(who, id, paused));
  }
  static base::Result<BatchView> Edit(Process& process, const std::string& id,
                                      wire::BatchPatch patch,
                                      std::optional<model::Version> version = {}) {
    return process.Do(process.service().EditBatch(kAnn, {id, std::move(patch), version}));
  }
  static base::Result<BatchView> Retry(Process& process, const std::string& id,
                                       const Caller& who = kAnn) {
    return process.Do(process.service().RetryBatch(who, id));
  }
  // The custom_ids of a file's lines, in order.
  static std::vector<std::string> IdsIn(Process& process, const std::string& file) {
    std::vector<std::string> ids;
    std::string text = process.ReadFile(kAnn, file).value();
    std::string_view rest = text;
    constexpr std::string_view kKey = R"("custom_id":")";
    for (size_t at; (at = rest.find(kKey)) != rest.npos;) {
      rest.remove_prefix(at + kKey.size());
      ids.emplace_back(rest.substr(0, rest.find('"')));
    }
    return ids;
  }

  SimDisk disk_;
};

TEST_F(BatchEditsTest, APausedBatchStartsNothingUntilItIsResumed) {
  Process process(disk_, {.engine = kSlow, .slots = 4, .reserved = 0});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, ChatLines(100));
  process.sim().RunFor(2s);
  EXPECT_TRUE(Pause(process, id, true)->record.paused);
  process.sim().RunFor(2s);  // what ran has ended
  uint64_t ended = Get(process, id).succeeded;
  EXPECT_GT(ended, 0u);
  process.sim().RunFor(5min);
  EXPECT_EQ(Get(process, id).succeeded, ended);
  EXPECT_EQ(Get(process, id).record.status, BatchStatus::kInProgress);
  EXPECT_TRUE(Pause(process, id, true)) << "again is no error";
  EXPECT_FALSE(Pause(process, id, false)->record.paused);
  EXPECT_TRUE(Pause(process, id, false));
  EXPECT_EQ(process.AwaitBatch(kAnn, id)->succeeded, 100u);
}

TEST_F(BatchEditsTest, APauseSurvivesADeath) {
  std::string id;
  uint64_t ended = 0;
  {
    Process process(disk_, {.engine = kSlow, .slots = 4});
    ASSERT_TRUE(process.Start());
    id = Create(process, ChatLines(100));
    process.sim().RunFor(2s);
    ASSERT_TRUE(Pause(process, id, true));
    process.sim().RunFor(2s);
    ended = Get(process, id).succeeded;
    base::Rng rng(1);
    disk_.Crash(rng);
  }
  Process process(disk_, {.seed = 2, .engine = kSlow, .slots = 4});
  ASSERT_TRUE(process.Start());
  process.sim().RunFor(5min);
  EXPECT_TRUE(Get(process, id).record.paused);
  EXPECT_EQ(Get(process, id).succeeded, ended);
  ASSERT_TRUE(Pause(process, id, false));
  EXPECT_EQ(process.AwaitBatch(kAnn, id)->succeeded, 100u);
}

TEST_F(BatchEditsTest, ABatchIsPausedBeforeItsFirstLine) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, ChatLines(20));
  ASSERT_TRUE(Pause(process, id, true)) << "while it is validating";
  process.sim().RunFor(5min);
  EXPECT_EQ(Get(process, id).succeeded, 0u);
  EXPECT_EQ(Get(process, id).record.status, BatchStatus::kInProgress);
  EXPECT_EQ(process.engine_starts(), 0);
  ASSERT_TRUE(Pause(process, id, false));
  EXPECT_EQ(process.AwaitBatch(kAnn, id)->succeeded, 20u);
}

TEST_F(BatchEditsTest, APausedBatchExpiresAndIsCancelledLikeAnother) {
  Process process(disk_, {.engine = kSlow, .slots = 4});
  ASSERT_TRUE(process.Start());
  std::string running = Create(process, ChatLines(100));
  process.sim().RunFor(2s);
  std::string waiting = Create(process, ChatLines(10));
  std::string cancelled = Create(process, ChatLines(10));
  for (const std::string& id : {running, waiting, cancelled}) ASSERT_TRUE(Pause(process, id, true));
  ASSERT_TRUE(process.Do(process.service().CancelBatch(kAnn, cancelled)));
  EXPECT_EQ(process.AwaitBatch(kAnn, cancelled)->record.status, BatchStatus::kCancelled);
  process.sim().RunFor(25h);
  EXPECT_EQ(process.AwaitBatch(kAnn, running)->record.status, BatchStatus::kExpired);
  auto expired = process.AwaitBatch(kAnn, waiting).value();
  EXPECT_EQ(expired.record.status, BatchStatus::kExpired);
  EXPECT_THAT(process.CountLines(kAnn, expired).value(), SizeIs(10));
}

TEST_F(BatchEditsTest, OnlyOpenBatchesOfOnesOwnArePausedOrEdited) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, ChatLines(2));
  EXPECT_EQ(Pause(process, id, true, kBob).error().code(), Code::kNotFound);
  EXPECT_EQ(Pause(process, "batch_none", true).error().code(), Code::kNotFound);
  ASSERT_TRUE(process.AwaitBatch(kAnn, id));
  for (bool paused : {true, false}) {
    auto refused = Pause(process, id, paused);
    EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
    EXPECT_THAT(refused.error().message(), HasSubstr("'completed'"));
  }
  EXPECT_EQ(Edit(process, id, {.priority = 1}).error().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(Get(process, id).record.paused);
}

TEST_F(BatchEditsTest, PriorityDecidesAmongLinesThatWait) {
  Process process(disk_, {.engine = kSlow, .slots = 1, .reserved = 0});
  ASSERT_TRUE(process.Start());
  std::string first = Create(process, ChatLines(30));
  std::string second = Create(process, ChatLines(30));
  process.sim().RunFor(2s);
  auto edited = Edit(process, second, {.priority = 1000}).value();
  EXPECT_EQ(edited.record.priority, 1000);
  ASSERT_TRUE(process.AwaitBatch(kAnn, second));
  EXPECT_LT(Get(process, first).succeeded, 20u) << "the other one waited";
  EXPECT_EQ(process.AwaitBatch(kAnn, first)->succeeded, 30u);
}

TEST_F(BatchEditsTest, PriorityIsGivenAtCreationToo) {
  Process process(disk_, {.engine = kSlow, .slots = 1, .reserved = 0});
  ASSERT_TRUE(process.Start());
  std::string first = Create(process, ChatLines(30));
  auto file = process.UploadText(kAnn, ChatLines(30)).value();
  NewBatch urgent{.input_file_id = file.id,
                  .endpoint = "/v1/chat/completions",
                  .completion_window = "24h",
                  .metadata = {},
                  .output_expires_after = {},
                  .priority = 1000,
                  .deadline = base::WallTime(1s)};  // long ago: due at once
  auto second = process.Do(process.service().CreateBatch(kAnn, urgent)).value();
  EXPECT_EQ(second.record.priority, 1000);
  ASSERT_TRUE(process.AwaitBatch(kAnn, second.record.id));
  EXPECT_LT(Get(process, first).succeeded, 30u);
}

TEST_F(BatchEditsTest, AnEditIsOfOneVersion) {
  Process process(disk_, {.engine = kSlow, .slots = 1});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, ChatLines(100));
  process.sim().RunFor(2s);
  model::Version version = Get(process, id).record.version;
  base::WallTime soon = process.sim().clock().Wall() + 1h;
  auto edited =
      Edit(process, id, {.deadline = std::optional(soon), .metadata = {{{"k", "v"}}}}, version);
  ASSERT_TRUE(edited);
  EXPECT_EQ(edited->record.version, version + 1);
  EXPECT_EQ(edited->record.deadline, soon);
  EXPECT_EQ(Edit(process, id, {.priority = 5}, version).error().code(), Code::kAborted);
  EXPECT_EQ(Get(process, id).record.priority, 0) << "the stale edit changed nothing";
  EXPECT_TRUE(Edit(process, id, {.priority = 5}, version + 1));
  EXPECT_FALSE(Edit(process, id, {.deadline = std::optional<base::WallTime>()})->record.deadline);
  ASSERT_TRUE(Pause(process, id, true));
  EXPECT_EQ(Get(process, id).record.version, version + 4);
}

TEST_F(BatchEditsTest, AnEditSurvivesADeathAtAnyPoint) {
  for (uint64_t operation = 1; operation < 40; ++operation) {
    SimDisk disk;
    std::string first, second;
    bool acknowledged = false;
    {
      Process process(disk, {.engine = kSlow, .slots = 1, .reserved = 0});
      ASSERT_TRUE(process.Start());
      first = Create(process, ChatLines(20));
      second = Create(process, ChatLines(20));
      process.sim().RunFor(2s);
      disk.CrashAtOperation(disk.operations() + operation);
      acknowledged = Edit(process, second, {.priority = 1000}) && Pause(process, first, true);
      base::Rng rng(operation);
      disk.Crash(rng);
    }
    Process process(disk, {.seed = 2, .engine = kSlow, .slots = 1, .reserved = 0});
    ASSERT_TRUE(process.Start());
    bool edited = Get(process, second).record.priority == 1000;
    bool paused = Get(process, first).record.paused;
    if (acknowledged) ASSERT_TRUE(edited && paused) << operation;
    ASSERT_TRUE(process.AwaitBatch(kAnn, second));
    // What the record says is what the queue does.
    uint64_t of_first = Get(process, first).succeeded;
    if (edited) EXPECT_LT(of_first, 15u) << operation;
    process.sim().RunFor(1min);
    EXPECT_EQ(Get(process, first).succeeded < 20, paused) << operation;
  }
}

TEST_F(BatchEditsTest, FailedLinesRunAgainAsABatchOfTheirOwn) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string bad = ChatLine("bad-1", "m", -1) + ChatLine("bad-2", "n", -1);
  auto file = process.UploadText(kAnn, ChatLines(5) + bad + ChatLine("last")).value();
  auto id = process.CreateBatch(kAnn, file.id)->record.id;
  ASSERT_TRUE(process.Do(process.service().DeleteFile(kAnn, file.id)));
  auto ended = process.AwaitBatch(kAnn, id).value();
  EXPECT_EQ(ended.failed, 2u);
  auto retry = Retry(process, id);
  ASSERT_TRUE(retry) << retry.error().message();
  EXPECT_EQ(retry->record.retry_of, id);
  EXPECT_EQ(Get(process, id).record.retried_by, retry->record.id);
  EXPECT_THAT(process.ReadFile(kAnn, retry->record.input_file_id).value(),
              ::testing::AnyOf(bad, ChatLine("bad-2", "n", -1) + ChatLine("bad-1", "m", -1)));
  auto again = process.AwaitBatch(kAnn, retry->record.id).value();
  EXPECT_EQ(again.total, 2u);
  EXPECT_EQ(again.failed, 2u) << "they are as bad as before";
  EXPECT_THAT(IdsIn(process, again.record.error_file_id), SizeIs(2));
  // The retry can be retried, and so can the first one, once its retry has ended.
  EXPECT_TRUE(Retry(process, again.record.id));
  EXPECT_TRUE(Retry(process, id));
}

TEST_F(BatchEditsTest, ExpiredLinesRunAgainToo) {
  Process process(disk_, {.engine = {.ttft = 1h, .itl = 0ms}, .slots = 4, .reserved = 0});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, ChatLines(200));
  process.sim().RunFor(25h);
  auto ended = process.AwaitBatch(kAnn, id).value();
  ASSERT_EQ(ended.record.status, BatchStatus::kExpired);
  auto retry = Retry(process, id).value();
  process.sim().RunFor(1h);
  EXPECT_EQ(Get(process, retry.record.id).total + ended.succeeded, 200u);
  auto left = IdsIn(process, retry.record.input_file_id);
  auto expired = IdsIn(process, ended.record.error_file_id);
  EXPECT_EQ(std::set(left.begin(), left.end()), std::set(expired.begin(), expired.end()));
}

TEST_F(BatchEditsTest, WhatCannotBeRetriedIsRefused) {
  Process process(disk_, {.engine = kSlow, .slots = 4});
  ASSERT_TRUE(process.Start());
  auto refused = [&](const std::string& id, const std::string& why) {
    auto retry = Retry(process, id);
    ASSERT_FALSE(retry) << why;
    EXPECT_EQ(retry.error().code(), Code::kFailedPrecondition) << why;
    EXPECT_THAT(retry.error().message(), HasSubstr(why));
  };
  std::string good = Create(process, ChatLines(5));
  refused(good, "it has not ended");
  ASSERT_TRUE(process.AwaitBatch(kAnn, good));
  refused(good, "no failed or expired lines");
  std::string broken = Create(process, "{\"no\n");
  ASSERT_TRUE(process.AwaitBatch(kAnn, broken));
  refused(broken, "its file was refused");
  std::string cancelled = Create(process, ChatLines(50));
  process.sim().RunFor(1s);
  ASSERT_TRUE(process.Do(process.service().CancelBatch(kAnn, cancelled)));
  ASSERT_TRUE(process.AwaitBatch(kAnn, cancelled));
  refused(cancelled, "no failed or expired lines");
  std::string bad = Create(process, ChatLine("bad", "m", -1));
  auto ended = process.AwaitBatch(kAnn, bad).value();
  EXPECT_EQ(Retry(process, bad, kBob).error().code(), Code::kNotFound);
  auto retry = Retry(process, bad).value();
  refused(bad, retry.record.id);
  ASSERT_TRUE(process.AwaitBatch(kAnn, retry.record.id));
  // Its requests are kept as long as the file that names them.
  ASSERT_TRUE(process.Do(process.service().DeleteFile(kAnn, ended.record.error_file_id)));
  process.sim().RunFor(1min);
  refused(bad, "kept no longer");
}

TEST_F(BatchEditsTest, WhatCanBeRetriedSurvivesADeath) {
  std::string id;
  {
    Process process(disk_, {});
    ASSERT_TRUE(process.Start());
    id = Create(process, ChatLines(3) + ChatLine("bad", "m", -1));
    ASSERT_TRUE(process.AwaitBatch(kAnn, id));
    base::Rng rng(1);
    disk_.Crash(rng);
  }
  Process process(disk_, {.seed = 2});
  ASSERT_TRUE(process.Start());
  process.sim().RunFor(1min);
  auto retry = Retry(process, id);
  ASSERT_TRUE(retry) << retry.error().message();
  EXPECT_EQ(process.AwaitBatch(kAnn, retry->record.id)->total, 1u);
}

TEST_F(BatchEditsTest, ARunningBatchHasAnEstimate) {
  Process process(disk_, {.engine = kSlow, .slots = 4, .reserved = 0});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, ChatLines(400));
  EXPECT_FALSE(Get(process, id).left);
  base::SteadyTime begun = process.sim().clock().Steady();
  process.sim().RunFor(15s);
  auto left = Get(process, id).left;
  ASSERT_TRUE(left);
  EXPECT_LT(left->p50, left->p90);
  base::SteadyTime asked = process.sim().clock().Steady();
  ASSERT_TRUE(Pause(process, id, true));
  EXPECT_FALSE(Get(process, id).left) << "nobody knows when it is resumed";
  process.sim().RunFor(5min);
  base::Micros paused = process.sim().clock().Steady() - asked;
  ASSERT_TRUE(Pause(process, id, false));
  EXPECT_FALSE(Get(process, id).left);
  process.sim().RunFor(10s);
  EXPECT_TRUE(Get(process, id).left);
  auto ended = process.AwaitBatch(kAnn, id).value();
  EXPECT_FALSE(ended.left);
  base::Micros took = process.sim().clock().Steady() - asked - paused;
  EXPECT_GT(took, left->p50 / 2) << (asked - begun).count();
  EXPECT_LT(took, left->p90 * 2);
}

}  // namespace
}  // namespace inferq::service
