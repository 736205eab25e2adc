#include "service/run_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/fake/fake_engine.h"
#include "queue/local/local_queue.h"
#include "queue/local/memory_journal.h"
#include "testing/sim_disk.h"
#include "testing/sim_runtime.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

// A fake engine that takes its time to start, and counts.
class SlowStart final : public engine::Engine {
 public:
  SlowStart(runtime::Runtime& runtime, base::Micros start)
      : runtime_(runtime), start_(start), inner_(engine::MakeFakeEngine(runtime, {}).value()) {}

  int starts = 0;
  std::optional<base::Error> start_error;

  Awaitable<base::Result<>> Start() override {
    ++starts;
    co_await stopped_.WaitUntil(runtime_.clock().Steady() + start_);
    if (start_error) co_return std::unexpected(*start_error);
    co_return co_await inner_->Start();
  }
  Awaitable<void> Stop() override {
    stopped_.NotifyAll();
    co_await inner_->Stop();
  }
  base::Result<std::unique_ptr<engine::Generation>> Submit(engine::Request request) override {
    return inner_->Submit(std::move(request));
  }
  engine::Capacity capacity() const override { return inner_->capacity(); }
  std::string Describe() const override { return "slow"; }

 private:
  runtime::Runtime& runtime_;
  base::Micros start_;
  runtime::Event stopped_{runtime_};
  std::unique_ptr<engine::Engine> inner_;
};

class RunJobTest : public ::testing::Test {
 protected:
  RunJobTest() {
    options_.input = "/in.jsonl";
    options_.output = "/out.jsonl";
    options_.source.model = "m";
    WriteInput(3);
  }

  void WriteInput(int lines) {
    std::string text;
    for (int i = 0; i < lines; ++i) text += fmt::format("\"line {}\"\n", i);
    ASSERT_TRUE(base::WriteFileAtomically(disk_, options_.input, text));
  }

  // One process: an engine and a job of its own, over what earlier ones left.
  std::expected<RunSummary, RunFailure> Run() {
    engine_ = std::make_unique<SlowStart>(runtime_, engine_start_);
    engine_->start_error = engine_error_;
    auto make_queue = [this](const std::string&, queue::ReadLines read_lines) {
      queue::LocalQueueOptions options;
      options.read_lines = std::move(read_lines);
      return queue::MakeLocalQueue(runtime_, queue::MakeMemoryJournal(store_), std::move(options));
    };
    RunEnvironment environment{.runtime = runtime_, .files = disk_, .make_queue = make_queue};
    RunJob job(std::move(environment), *engine_, options_);
    if (drain_after_) {
      runtime_.CallAt(runtime_.clock().Steady() + *drain_after_, [&job] { job.Drain(1s); });
    }
    return runtime_.Run(job.Run());
  }

  testing::SimRuntime runtime_;
  testing::SimDisk disk_;
  std::shared_ptr<queue::MemoryStore> store_ = std::make_shared<queue::MemoryStore>();
  std::unique_ptr<SlowStart> engine_;
  base::Micros engine_start_ = 1s;
  std::optional<base::Error> engine_error_;
  std::optional<base::Micros> drain_after_;
  RunOptions options_;
};

TEST_F(RunJobTest, RunsEveryLine) {
  auto ended = Run();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->totals.succeeded, 3u);
  EXPECT_EQ(ended->progress.total, 3u);
  EXPECT_GT(ended->totals.completion_tokens, 0u);
  EXPECT_FALSE(disk_.Exists("/out.errors.jsonl").value());
}

TEST_F(RunJobTest, AFinishedRunDoesNotStartTheEngineAgain) {
  ASSERT_TRUE(Run());
  auto again = Run();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->progress.resumed, 3u);
  EXPECT_EQ(engine_->starts, 0);
}

TEST_F(RunJobTest, AnInterruptDoesNotWaitForTheModelToLoad) {
  engine_start_ = 1h;
  drain_after_ = 5s;
  auto ended = Run();
  ASSERT_TRUE(ended);
  EXPECT_TRUE(ended->interrupted);
  EXPECT_LT(runtime_.clock().Steady().time_since_epoch(), 1min);
}

TEST_F(RunJobTest, AnEngineThatDoesNotStartIsBlamedAndNothingIsLost) {
  engine_error_ = base::Error(base::Code::kInvalidArgument, "the model is damaged");
  auto ended = Run();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().part, RunFailure::Part::kEngine);
  EXPECT_EQ(ended.error().error.message(), "the model is damaged");
  engine_error_.reset();
  EXPECT_EQ(Run()->totals.succeeded, 3u);
}

TEST_F(RunJobTest, OtherInputOrOptionsAreRefusedAndNamed) {
  options_.identity = {{"--template", "a"}};
  ASSERT_TRUE(Run());
  options_.identity = {{"--template", "b"}};
  auto ended = Run();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().part, RunFailure::Part::kInput);
  EXPECT_THAT(ended.error().error.message(), HasSubstr("--template was \"a\", now it is \"b\""));
  options_.identity = {{"--template", "a"}};
  WriteInput(4);
  EXPECT_THAT(Run().error().error.message(), HasSubstr("input"));
}

TEST_F(RunJobTest, RestartForgetsTheEarlierRun) {
  ASSERT_TRUE(Run());
  WriteInput(5);
  options_.restart = true;
  store_ = std::make_shared<queue::MemoryStore>();  // the journal's file is removed with the store
  auto ended = Run();
  ASSERT_TRUE(ended) << ended.error().error.message();
  EXPECT_EQ(ended->totals.succeeded, 5u);
  EXPECT_EQ(ended->progress.resumed, 0u);
}

TEST_F(RunJobTest, AForeignOutputFileIsNotTouched) {
  ASSERT_TRUE(base::WriteFileAtomically(disk_, "/out.errors.jsonl", "precious"));
  auto ended = Run();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().part, RunFailure::Part::kInput);
  EXPECT_EQ(base::ReadFile(disk_, "/out.errors.jsonl").value(), "precious");
}

TEST_F(RunJobTest, AFullDiskIsTheStoresFaultAndNothingIsLost) {
  WriteInput(500);
  for (uint64_t room : {uint64_t{40'000}, uint64_t{90'000}, uint64_t{140'000}}) {
    disk_.SetCapacity(room);
    auto ended = Run();
    ASSERT_FALSE(ended) << room;
    EXPECT_EQ(ended.error().part, RunFailure::Part::kStore);
    EXPECT_EQ(ended.error().error.code(), base::Code::kResourceExhausted);
  }
  disk_.SetCapacity(UINT64_MAX);
  auto ended = Run();
  ASSERT_TRUE(ended) << ended.error().error.message();
  EXPECT_EQ(ended->totals.succeeded, 500u);
}

}  // namespace
}  // namespace inferq::service
