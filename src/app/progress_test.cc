#include "app/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/json.h"

namespace inferq::app {
namespace {

using namespace std::chrono_literals;
using service::RunProgress;
using testing::HasSubstr;

RunProgress Halfway() {
  RunProgress progress;
  progress.phase = RunProgress::Phase::kRunning;
  progress.total = 2000;
  progress.succeeded = 997;
  progress.failed = 3;
  progress.resumed = 500;
  progress.new_completion_tokens = 8000;
  progress.elapsed = 10s;
  return progress;
}

TEST(Progress, NumbersAndDurationsReadWell) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1234567), "1,234,567");
  EXPECT_EQ(Duration(7.25), "7.2 s");
  EXPECT_EQ(Duration(725), "12:05");
  EXPECT_EQ(Duration(11045), "3:04:05");
  EXPECT_EQ(Duration(183840), "2d 03:04");
}

TEST(Progress, TheBarShowsShareFailuresRateAndTimeLeft) {
  std::string bar = ProgressBar(Halfway(), 100);
  EXPECT_THAT(bar, HasSubstr("[####################--------------------]"));
  EXPECT_THAT(bar, HasSubstr("1,000/2,000  3 failed  800 tok/s"));
  EXPECT_THAT(bar, HasSubstr("0:20 left"));  // 500 lines in 10 s by this process, 1,000 to go
}

TEST(Progress, TheBarFitsTheTerminal) {
  for (int width : {1, 10, 40, 60, 200}) {
    EXPECT_LE(ProgressBar(Halfway(), width).size(), static_cast<size_t>(width)) << width;
  }
}

TEST(Progress, TimeLeftIsUnknownBeforeTheFirstEnding) {
  RunProgress progress = Halfway();
  progress.resumed = progress.done();
  EXPECT_THAT(ProgressBar(progress, 100), testing::Not(HasSubstr("left")));
}

TEST(Progress, JsonIsJson) {
  std::string json = ProgressJson(Halfway());
  auto parsed = wire::ParseJson(json);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->Find("failed")->AsInteger(), 3);
  EXPECT_EQ(parsed->Find("phase")->AsString(), "running");
}

TEST(Progress, SummaryNamesTheFilesThatExist) {
  service::RunSummary summary{.progress = Halfway(), .totals = {}, .interrupted = true};
  summary.totals = {.succeeded = 997, .failed = 3, .prompt_tokens = 10, .completion_tokens = 20};
  std::string text = SummaryText(summary, "out.jsonl", "out.errors.jsonl");
  EXPECT_THAT(text, HasSubstr("interrupted: 997 of 2,000 lines succeeded, 3 failed"));
  EXPECT_THAT(text, HasSubstr("results: out.jsonl"));
  EXPECT_THAT(text, HasSubstr("errors:  out.errors.jsonl"));
  EXPECT_THAT(text, HasSubstr("same command goes on"));
  std::string json = SummaryJson(summary, "out \"x\"", "e");
  auto parsed = wire::ParseJson(json);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->Find("output")->AsString(), "out \"x\"");
}

}  // namespace
}  // namespace inferq::app
