#include "app/batch_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include "app/table.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

using namespace std::chrono_literals;
using client::Batch;
using client::File;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Batch Running() {
  Batch batch{.id = "batch_1", .status = "in_progress"};
  batch.counts = {.total = 2000, .completed = 997, .failed = 3};
  batch.json = R"({"id":"batch_1"})";
  return batch;
}

class InUtc : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

TEST(BatchProgress, TheBarShowsShareFailuresAndTimeLeft) {
  std::string bar = BatchProgressView(Running(), 500, 10s).Bar(100);
  EXPECT_THAT(bar, HasSubstr("[####################--------------------]"));
  EXPECT_THAT(bar, HasSubstr("1,000/2,000  3 failed  0:20 left"));
}

TEST(BatchProgress, TheServersEstimateIsBetterThanOurOwn) {
  Batch batch = Running();
  batch.seconds_left = 42;
  batch.seconds_left_p90 = 70;
  EXPECT_THAT(BatchProgressView(batch, 500, 10s).Bar(100), HasSubstr("0:42 to 1:10 left"));
  EXPECT_THAT(BatchProgressView(batch, 500, 10s).Line(), HasSubstr("about 0:42 to 1:10 left"));
  EXPECT_THAT(BatchDetails(batch), HasSubstr("0:42 to 1:10"));
}

TEST(BatchProgress, APausedBatchSaysSo) {
  Batch batch = Running();
  batch.paused = true;
  EXPECT_THAT(BatchProgressView(batch, 500, 10s).Bar(100), HasSubstr("in_progress, paused"));
  std::string line = BatchProgressView(batch, 500, 10s).Line();
  EXPECT_THAT(line, AllOf(HasSubstr("is in_progress, paused"), Not(HasSubstr("left"))));
}

TEST(BatchProgress, TheBarFitsTheTerminal) {
  for (int width : {1, 10, 40, 60, 200}) {
    BatchProgressView view(Running(), 500, 10s);
    EXPECT_LE(view.Bar(width).size(), static_cast<size_t>(width)) << width;
    TransferView transfer("uploading", 5, 10);
    EXPECT_LE(transfer.Bar(width).size(), static_cast<size_t>(width)) << width;
  }
}

TEST(BatchProgress, NothingIsSaidOfTheTimeLeftBeforeALineEnded) {
  EXPECT_THAT(BatchProgressView(Running(), 1000, 10s).Line(), Not(HasSubstr("left")));
}

TEST(BatchProgress, BeforeLinesRunTheStatusIsShown) {
  Batch batch = Running();
  batch.status = "validating";
  EXPECT_EQ(BatchProgressView(batch, 0, 1s).Bar(80), "validating");
  EXPECT_EQ(BatchProgressView(batch, 0, 1s).Line(), "batch_1 is validating");
}

TEST(BatchProgress, JsonHoldsTheServersObject) {
  std::string json = BatchProgressView(Running(), 0, 1s).Json();
  auto parsed = wire::ParseJson(json);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->Find("batch")->Find("id")->AsString(), "batch_1");
}

TEST(BatchProgress, ATransferSaysHowMuchOfWhat) {
  EXPECT_EQ(TransferView("uploading", 1'250'000, 200'000'000).Line(),
            "uploading  1.2 MB of 200.0 MB");
  EXPECT_EQ(TransferView("downloading", 12, 0).Line(), "downloading  12 B");
  std::string json = TransferView("x\"", 1, 0).Json();
  auto parsed = wire::ParseJson(json);
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->Find("total_bytes")->is_null());
}

TEST(BatchSummary, ListsWhyABatchFailed) {
  Batch batch{.id = "batch_1", .status = "failed"};
  for (uint64_t i = 1; i <= 30; ++i) {
    batch.problems.push_back({.code = "c", .message = "bad \x1b[2J", .param = "", .line = i});
  }
  std::string text = BatchSummaryText(batch);
  EXPECT_THAT(text, HasSubstr("batch_1: failed; 0 of 0 lines succeeded"));
  EXPECT_THAT(text, HasSubstr("\n  line 20: bad ?[2J"));
  EXPECT_THAT(text, Not(HasSubstr("line 21:")));
  EXPECT_THAT(text, HasSubstr("and 10 more: inferq batch status batch_1 --json"));
}

TEST_F(InUtc, TablesAreAligned) {
  Batch batch = Running();
  batch.created = base::WallTime(1'700'000'000s);
  Batch other{.id = "b", .status = "completed", .endpoint = {}, .model = "glm-模型"};
  EXPECT_EQ(BatchTable({batch, other}),
            "ID       STATUS       LINES        FAILED  CREATED              MODEL\n"
            "batch_1  in_progress  1,000/2,000  3       2023-11-14 22:13:20  -\n"
            "b        completed    0/0          0       -                    glm-模型\n");
}

TEST_F(InUtc, FilesHaveReadableSizes) {
  File file{.id = "file-1", .filename = "a\nb", .purpose = "batch", .bytes = 999'999};
  EXPECT_EQ(FileTable({file}),
            "ID      PURPOSE  SIZE    CREATED  NAME\n"
            "file-1  batch    1.0 MB  -        a?b\n");
}

TEST_F(InUtc, DetailsNameWhatIsKnown) {
  Batch batch = Running();
  batch.output_file_id = "file-out";
  std::string text = BatchDetails(batch);
  EXPECT_THAT(text, HasSubstr("lines        997 of 2,000 succeeded, 3 failed\n"));
  EXPECT_THAT(text, HasSubstr("output file  file-out\n"));
  EXPECT_THAT(text, HasSubstr("error file   -\n"));
}

}  // namespace
}  // namespace inferq::app
