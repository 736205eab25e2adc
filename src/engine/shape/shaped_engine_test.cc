#include "engine/shape/shaped_engine.h"

#include <gtest/gtest.h>

#include "engine/fake/fake_engine.h"
#include "testing/sim_runtime.h"

namespace inferq::engine {
namespace {

using namespace std::chrono_literals;
using base::Result;

constexpr std::string_view kAsk =
    R"({"messages":[{"role":"user","content":"x"}],"max_tokens":20,"ignore_eos":true})";

/// A fake engine behind a shape, under virtual time; `seen` is what it was asked.
class ShapedEngineTest : public ::testing::Test {
 protected:
  void Make(AnswerShape shape, FakeOptions options = {}) {
    auto fake = std::make_unique<FakeEngine>(sim_, options);
    fake->set_fault_hook([this](const Request& request) {
      seen_ = request;
      return std::optional<FakeEngine::Fault>();
    });
    engine_ = MakeShapedEngine(std::move(fake), std::move(shape));
    ASSERT_TRUE(sim_.Run(engine_->Start()));
  }
  void TearDown() override {
    if (engine_) sim_.Run(engine_->Stop());
  }
  static Request Ask(bool stream) {
    Request request;
    request.body = kAsk;
    request.stream = stream;
    return request;
  }
  /// All that Next says, up to the end.
  std::vector<Delta> Read(Generation& generation) {
    std::vector<Delta> deltas;
    do {
      auto delta = sim_.Run(generation.Next());
      if (!delta) break;
      deltas.push_back(*std::move(delta));
    } while (!deltas.back().finish_reason);
    return deltas;
  }

  inferq::testing::SimRuntime sim_;
  std::unique_ptr<Engine> engine_;
  Request seen_;
};

TEST_F(ShapedEngineTest, AddsStops) {
  Make({.stop = {"</answer>"}, .strip_suffix = {}});
  auto generation = engine_->Submit(Ask(false)).value();
  Read(*generation);
  EXPECT_TRUE(seen_.body.ends_with(R"(,"stop":["</answer>"]})")) << seen_.body;
}

TEST_F(ShapedEngineTest, ABufferedStreamIsOneDelta) {
  Make({.stop = {}, .strip_suffix = {}, .buffer_stream = true}, {.itl = 10ms});
  auto generation = engine_->Submit(Ask(true)).value();
  auto deltas = Read(*generation);
  ASSERT_EQ(deltas.size(), 1u);
  EXPECT_EQ(deltas[0].usage.completion_tokens, 20u);
  EXPECT_FALSE(deltas[0].text.empty());
  EXPECT_FALSE(seen_.stream);
}

TEST_F(ShapedEngineTest, SuffixesAreCutWhereTheyEndTheText) {
  Make({}, {.itl = 10ms});
  std::string whole;
  auto plain = engine_->Submit(Ask(false)).value();
  for (const Delta& delta : Read(*plain)) whole += delta.text;
  ASSERT_GT(whole.size(), 10u);
  const std::vector<std::string> suffix = {whole.substr(whole.rfind(' ') + 1)};
  sim_.Run(engine_->Stop());
  Make({.stop = {}, .strip_suffix = suffix}, {.itl = 10ms});
  auto cut = engine_->Submit(Ask(true)).value();
  std::string left;
  for (const Delta& delta : Read(*cut)) left += delta.text;
  EXPECT_LT(left.size(), whole.size());
  EXPECT_EQ(left, CutSuffixes(whole, suffix));
}

TEST_F(ShapedEngineTest, AGenerationMayBeDroppedWhileItIsReadAndIsCancelled) {
  Make({.stop = {}, .strip_suffix = {"x"}, .buffer_stream = true}, {.ttft = 1h});
  auto generation = engine_->Submit(Ask(true)).value();
  std::optional<Result<Delta>> ended;
  auto read = [](Generation& g, std::optional<Result<Delta>>& out) -> Awaitable<void> {
    out = co_await g.Next();
  };
  sim_.SpawnDetached(read(*generation, ended));
  sim_.RunFor(1s);
  EXPECT_EQ(engine_->capacity().running, 1u);
  generation.reset();
  sim_.RunFor(1s);
  EXPECT_EQ(engine_->capacity().running, 0u);
  ASSERT_TRUE(ended);
  EXPECT_EQ((*ended)->finish_reason, FinishReason::kCancelled);
}

TEST_F(ShapedEngineTest, EmbeddingsPass) {
  Make({.stop = {"x"}, .strip_suffix = {"}"}});
  Request request;
  request.endpoint = Endpoint::kEmbeddings;
  request.body = R"({"input":"x"})";
  auto generation = engine_->Submit(std::move(request)).value();
  auto deltas = Read(*generation);
  ASSERT_EQ(deltas.size(), 1u);
  EXPECT_TRUE(deltas[0].raw_response.ends_with("}"));
}

}  // namespace
}  // namespace inferq::engine
