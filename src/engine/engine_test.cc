#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "engine/slotted_engine.h"
#include "runtime/asio_runtime.h"

namespace inferq::engine {
namespace {

TEST(FinishReason, NamesAreReadBack) {
  for (FinishReason reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kToolCalls,
                              FinishReason::kContentFilter, FinishReason::kCancelled}) {
    EXPECT_EQ(ParseFinishReason(FinishReasonName(reason)), reason);
  }
  EXPECT_EQ(FinishReasonName(FinishReason::kToolCalls), "tool_calls");
  EXPECT_EQ(ParseFinishReason("Stop"), std::nullopt);
}

// Plays back what it was given.
class Script final : public Generation {
 public:
  explicit Script(std::deque<base::Result<Delta>> steps) : steps_(std::move(steps)) {}
  Awaitable<base::Result<Delta>> Next() override {
    auto next = std::move(steps_.front());
    steps_.pop_front();
    co_return next;
  }
  void Cancel() override {}

 private:
  std::deque<base::Result<Delta>> steps_;
};

base::Result<Delta> CollectAll(std::deque<base::Result<Delta>> steps) {
  runtime::AsioRuntime runtime;
  Script script(std::move(steps));
  base::Result<Delta> out;
  auto run = [](runtime::AsioRuntime& rt, Generation& g,
                base::Result<Delta>& result) -> Awaitable<void> {
    result = co_await Collect(g);
    rt.Stop();
  };
  runtime.SpawnDetached(run(runtime, script, out));
  runtime.Run();
  return out;
}

TEST(Collect, JoinsTextAndCountsAndKeepsTheEnd) {
  Delta first{.text = "a", .tokens = 1, .finish_reason = {}, .usage = {}, .raw_response = {}};
  Delta last{.text = "b",
             .tokens = 2,
             .finish_reason = FinishReason::kLength,
             .usage = {.prompt_tokens = 5, .completion_tokens = 3},
             .raw_response = "{}"};
  auto whole = CollectAll({first, last});
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->text, "ab");
  EXPECT_EQ(whole->tokens, 3u);
  EXPECT_EQ(whole->finish_reason, FinishReason::kLength);
  EXPECT_EQ(whole->usage.prompt_tokens, 5u);
  EXPECT_EQ(whole->raw_response, "{}");
}

TEST(Collect, JoinsChunks) {
  Delta first{.text = "", .finish_reason = {}, .usage = {}, .raw_chunks = {"1", "2"}};
  Delta last{.text = "", .finish_reason = FinishReason::kStop, .usage = {}, .raw_chunks = {"3"}};
  EXPECT_THAT(CollectAll({first, last})->raw_chunks, testing::ElementsAre("1", "2", "3"));
}

Awaitable<void> ReadThreeTimes(runtime::AsioRuntime& runtime, std::vector<Delta>& out) {
  auto job = std::make_shared<Job>(runtime, Request{});
  Delta last{.text = "", .finish_reason = FinishReason::kStop, .usage = {}, .raw_chunks = {"5"}};
  job->EmitChunks({"1"}, 0);
  out.push_back(*co_await job->Next());
  job->EmitChunks({"2"}, 3);
  job->EmitChunks({"3"}, 4);
  out.push_back(*co_await job->Next());
  job->EmitChunks({"4"}, 5);
  job->Finish(last);
  job->EmitChunks({"6"}, 6);
  out.push_back(*co_await job->Next());
  runtime.Stop();
}

TEST(Job, UnreadChunksStayInOrder) {
  runtime::AsioRuntime runtime;
  std::vector<Delta> read;
  runtime.SpawnDetached(ReadThreeTimes(runtime, read));
  runtime.Run();
  ASSERT_EQ(read.size(), 3u);
  EXPECT_THAT(read[0].raw_chunks, testing::ElementsAre("1"));
  EXPECT_THAT(read[1].raw_chunks, testing::ElementsAre("2", "3"));
  EXPECT_EQ(read[1].tokens, 7u);
  EXPECT_THAT(read[2].raw_chunks, testing::ElementsAre("4", "5"));
  EXPECT_EQ(read[2].tokens, 5u);
  EXPECT_EQ(read[2].finish_reason, FinishReason::kStop);
}

TEST(Collect, AFailureOnTheWayIsTheResult) {
  Delta first{.text = "a", .tokens = 1, .finish_reason = {}, .usage = {}, .raw_response = {}};
  auto whole = CollectAll({first, base::Fail(base::Code::kAborted, "died")});
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code(), base::Code::kAborted);
}

}  // namespace
}  // namespace inferq::engine
