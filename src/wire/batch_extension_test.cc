#include "wire/batch_extension.h"

#include <gtest/gtest.h>

#include "wire/batch_object.h"

namespace inferq::wire {
namespace {

using namespace std::chrono_literals;
using model::BatchStatus;

TEST(BatchPatch, ReadsWhatIsToChange) {
  BatchPatch patch =
      ParseBatchPatch(R"({"priority":-5,"deadline":1800000000,"metadata":{"a":"1"}})").value();
  EXPECT_EQ(patch.priority, -5);
  EXPECT_EQ(*patch.deadline, base::WallTime(1'800'000'000s));
  ASSERT_EQ(patch.metadata->size(), 1u);
  EXPECT_EQ(patch.metadata->front().second, "1");
  patch = ParseBatchPatch(R"({"deadline":null,"metadata":null})").value();
  EXPECT_FALSE(patch.priority);
  ASSERT_TRUE(patch.deadline && patch.metadata);
  EXPECT_FALSE(*patch.deadline);
  EXPECT_TRUE(patch.metadata->empty());
}

TEST(BatchPatch, MistakesAreNamed) {
  const std::pair<const char*, const char*> kBad[] = {
      {"{}", "priority"},
      {R"({"priority":null})", "priority"},
      {R"({"priority":1001})", "priority"},
      {R"({"priority":1.5})", "priority"},
      {R"({"deadline":"tomorrow"})", "deadline"},
      {R"({"metadata":[]})", "metadata"},
      {R"({"metadata":{"k":1}})", "metadata.k"},
      {R"({"status":"cancelled"})", "status"},
      {R"({"priority":1,"priority":2})", "priority"}};
  for (auto [body, param] : kBad) {
    auto patch = ParseBatchPatch(body);
    ASSERT_FALSE(patch) << body;
    EXPECT_EQ(patch.error().status, 400);
    EXPECT_EQ(patch.error().param, param) << body;
  }
}

TEST(BatchExtension, StandsBehindTheFieldsOfOpenAI) {
  model::BatchRecord batch;
  std::string more = BatchExtension(batch, {});
  EXPECT_EQ(more, R"("paused":false,"priority":0,"deadline":null,"retry_of":null,)"
                  R"("retried_by":null,"estimate":null)");
  std::string json = BatchJson(batch, {}, more);
  EXPECT_TRUE(ParseJson(json));
  EXPECT_TRUE(json.ends_with(R"("metadata":null,)" + more + "}"));
  EXPECT_TRUE(BatchJson(batch, {}).ends_with(R"("metadata":null})"));
}

TEST(BatchExtension, SaysWhatIsSet) {
  model::BatchRecord batch;
  batch.status = BatchStatus::kInProgress;
  batch.paused = true;
  batch.priority = 7;
  batch.deadline = base::WallTime(1'700'000'000s);
  batch.retry_of = "batch_1";
  batch.retried_by = "batch_3";
  BatchEstimate estimate{.p50 = 60'040ms,
                         .p90 = 90s,
                         .finish_at = base::WallTime(1'700'000'060s),
                         .ended_lines = 24,
                         .window = 16s,
                         .tokens_per_second = 12.34};
  EXPECT_EQ(BatchExtension(batch, estimate),
            R"("paused":true,"priority":7,"deadline":1700000000,"retry_of":"batch_1",)"
            R"("retried_by":"batch_3","estimate":{"seconds_left":{"p50":60,"p90":90},)"
            R"("finish_at":1700000060,"basis":{"ended_lines":24,"window_seconds":16,)"
            R"("tokens_per_second":12.3}})");
  batch.status = BatchStatus::kCancelling;
  EXPECT_TRUE(BatchExtension(batch, {}).starts_with(R"("paused":false)")) << "it ends all the same";
}

}  // namespace
}  // namespace inferq::wire
