#include "service/batch_results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

// Somebody who reads a batch's results from offset to offset.
struct Follower {
  std::string id;
  ResultFilter filter = ResultFilter::kAll;
  uint32_t limit = 7;
  std::string after{};
  std::string text{};
  bool ended = false;

  // All that is there now.
  base::Result<> Read(Process& process) {
    for (bool more = true; more && !ended;) {
      ResultsRequest request{.id = id, .after = after, .limit = limit, .filter = filter};
      INFERQ_ASSIGN(ResultsPage page, process.Do(process.service().ReadResults(kAnn, request)));
      for (const ResultLine& line : page.lines) text += line.text;
      if (!page.lines.empty()) EXPECT_EQ(page.lines.back().next.front(), static_cast<char>(filter));
      more = !page.lines.empty();
      after = page.next;
      ended = page.ended;
    }
    return {};
  }
  base::Result<> ReadToEnd(Process& process) {
    for (int i = 0; i < 10'000 && !ended; ++i) {
      INFERQ_TRY(Read(process));
      process.sim().RunFor(100ms);
    }
    return {};
  }
};

std::vector<std::string> LinesOf(std::string_view text) {
  std::vector<std::string> lines;
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1))
    lines.emplace_back(text.substr(0, end));
  EXPECT_TRUE(text.empty()) << "a torn line";
  return lines;
}

class BatchResultsTest : public ::testing::Test {
 protected:
  static constexpr engine::FakeOptions kSlow{.ttft = base::Micros(200'000),
                                             .itl = base::Micros(50'000)};

  std::string Create(Process& process, std::string text) {
    auto file = process.UploadText(kAnn, std::move(text)).value();
    return process.CreateBatch(kAnn, file.id).value().record.id;
  }
  // The lines of both files, as a set.
  std::vector<std::string> FilesOf(Process& process, const BatchView& batch) {
    std::string all;
    for (const std::string& id : {batch.record.output_file_id, batch.record.error_file_id})
      if (!id.empty()) all += process.ReadFile(kAnn, id).value();
    auto lines = LinesOf(all);
    std::ranges::sort(lines);
    return lines;
  }
  static std::vector<std::string> Sorted(const Follower& follower) {
    auto lines = LinesOf(follower.text);
    std::ranges::sort(lines);
    return lines;
  }

  // Every tenth request is none.
  std::string Mixed(int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
      text += ChatLine(fmt::format("id-{}", i), "m", i % 10 == 0 ? -1 : 3);
    return text;
  }

  SimDisk disk_;
};

TEST_F(BatchResultsTest, AFollowerGetsEachLineOnceAcrossTheEnd) {
  for (auto run_for : {0s, 1s, 3s, 60s}) {  // so much of it is read while it runs
    SimDisk disk;
    Process process(disk, {.engine = kSlow, .slots = 4});
    ASSERT_TRUE(process.Start());
    Follower follower{.id = Create(process, Mixed(80))};
    for (auto passed = 0s; passed < run_for; passed += 1s) {
      ASSERT_TRUE(follower.Read(process));
      process.sim().RunFor(1s);
    }
    auto batch = process.AwaitBatch(kAnn, follower.id).value();
    ASSERT_TRUE(follower.ReadToEnd(process));
    EXPECT_EQ(Sorted(follower), FilesOf(process, batch));
    EXPECT_EQ(batch.failed, 8u);
  }
}

TEST_F(BatchResultsTest, ResultsAreReadWhileTheBatchRuns) {
  Process process(disk_, {.engine = kSlow, .slots = 4});
  ASSERT_TRUE(process.Start());
  Follower follower{.id = Create(process, ChatLines(200))};
  ASSERT_TRUE(follower.Read(process));
  EXPECT_EQ(follower.text, "") << "it is validating";
  process.sim().RunFor(3s);
  ASSERT_TRUE(follower.Read(process));
  EXPECT_THAT(LinesOf(follower.text), SizeIs(::testing::Gt(10u)));
  EXPECT_FALSE(follower.ended);
  std::string begin = follower.text;
  auto batch = process.AwaitBatch(kAnn, follower.id).value();
  EXPECT_TRUE(process.ReadFile(kAnn, batch.record.output_file_id)->starts_with(begin))
      << "the file has the same lines in the same order";
}

TEST_F(BatchResultsTest, OffsetsSurviveARestart) {
  Follower follower;
  {
    Process process(disk_, {.engine = kSlow, .slots = 4});
    ASSERT_TRUE(process.Start());
    follower.id = Create(process, Mixed(80));
    process.sim().RunFor(3s);
    ASSERT_TRUE(follower.Read(process));
    EXPECT_NE(follower.text, "");
    base::Rng rng(1);
    disk_.Crash(rng);
  }
  Process process(disk_, {.seed = 2, .engine = kSlow, .slots = 4});
  ASSERT_TRUE(process.Start());
  ASSERT_TRUE(follower.ReadToEnd(process));
  EXPECT_EQ(Sorted(follower), FilesOf(process, process.AwaitBatch(kAnn, follower.id).value()));
}

TEST_F(BatchResultsTest, AFilterGetsItsPartOnly) {
  Process process(disk_, {.engine = kSlow, .slots = 4});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, Mixed(80));
  Follower good{.id = id, .filter = ResultFilter::kSucceeded};
  Follower bad{.id = id, .filter = ResultFilter::kFailed};
  process.sim().RunFor(3s);
  ASSERT_TRUE(good.Read(process) && bad.Read(process));
  ASSERT_TRUE(good.ReadToEnd(process) && bad.ReadToEnd(process));
  auto batch = process.AwaitBatch(kAnn, id).value();
  EXPECT_EQ(good.text, process.ReadFile(kAnn, batch.record.output_file_id).value());
  EXPECT_EQ(bad.text, process.ReadFile(kAnn, batch.record.error_file_id).value());
}

TEST_F(BatchResultsTest, LinesThatWereNotRunComeAtTheEnd) {
  Process process(disk_, {.engine = kSlow, .slots = 4});
  ASSERT_TRUE(process.Start());
  Follower follower{.id = Create(process, ChatLines(100))};
  process.sim().RunFor(2s);
  ASSERT_TRUE(follower.Read(process));
  ASSERT_TRUE(process.Do(process.service().CancelBatch(kAnn, follower.id)));
  ASSERT_TRUE(follower.ReadToEnd(process));
  auto batch = process.AwaitBatch(kAnn, follower.id).value();
  EXPECT_EQ(Sorted(follower), FilesOf(process, batch));
  EXPECT_THAT(follower.text, HasSubstr("batch_cancelled"));
}

TEST_F(BatchResultsTest, ALongLineIsOneLine) {
  Process process(disk_, {.engine = {.ttft = 1ms, .itl = 0ms, .tokens = 60'000}});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, ChatLine("long", "m", 60'000) + ChatLines(3));
  auto batch = process.AwaitBatch(kAnn, id).value();
  Follower follower{.id = id};
  ASSERT_TRUE(follower.Read(process));
  EXPECT_GT(follower.text.size(), 256u << 10) << "longer than a page";
  EXPECT_EQ(Sorted(follower), FilesOf(process, batch));
}

TEST_F(BatchResultsTest, MistakesAreNamed) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  auto read = [&](const Caller& who, const std::string& id, const std::string& after) {
    ResultsRequest request{.id = id, .after = after};
    return process.Do(process.service().ReadResults(who, request));
  };
  std::string one = Create(process, ChatLines(2));
  std::string two = Create(process, ChatLines(2));
  auto first = process.AwaitBatch(kAnn, one).value();
  (void)process.AwaitBatch(kAnn, two);
  EXPECT_EQ(read(kBob, one, "").error().code(), Code::kNotFound);
  EXPECT_EQ(read(kAnn, "batch_none", "").error().code(), Code::kNotFound);
  EXPECT_EQ(read(kAnn, one, "x").error().param(), "after");
  std::string next = read(kAnn, one, "")->next;
  EXPECT_EQ(read(kAnn, two, next).error().param(), "after");
  // Within a line, and behind the end.
  for (const char* bytes : {"5", "ffffff"}) {
    std::string forged = fmt::format("a{:x}.0.{}.0", first.record.sequence, bytes);
    EXPECT_EQ(read(kAnn, one, forged).error().param(), "after") << bytes;
  }
  ASSERT_TRUE(process.Do(process.service().DeleteFile(kAnn, first.record.output_file_id)));
  EXPECT_THAT(read(kAnn, one, "").error().message(), HasSubstr("was deleted"));
}

TEST_F(BatchResultsTest, ABatchThatWasRefusedHasNone) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  Follower follower{.id = Create(process, ChatLine("a", "unknown"))};
  ASSERT_TRUE(follower.ReadToEnd(process));
  EXPECT_TRUE(follower.ended);
  EXPECT_EQ(follower.text, "");
}

}  // namespace
}  // namespace inferq::service
