#include "engine/responses_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/fake/fake_engine.h"
#include "testing/sim_runtime.h"

namespace inferq::engine {
namespace {

using namespace std::chrono_literals;
using base::Code;
using ::testing::HasSubstr;

/// A fake engine behind it, under virtual time; `seen_` is what that was asked.
class ResponsesEngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto fake = std::make_unique<FakeEngine>(sim_, FakeOptions{.itl = 10ms});
    fake->set_fault_hook([this](const Request& request) {
      seen_ = request;
      return std::optional<FakeEngine::Fault>();
    });
    engine_ = MakeResponsesEngine(sim_, std::move(fake));
    ASSERT_TRUE(sim_.Run(engine_->Start()));
  }
  void TearDown() override { sim_.Run(engine_->Stop()); }
  static Request Ask(std::string body, bool stream = false) {
    Request request;
    request.id = "req_00af_1";
    request.endpoint = Endpoint::kResponses;
    request.body = std::move(body);
    request.model = "m";
    request.stream = stream;
    return request;
  }
  std::vector<Delta> Read(Request request) {
    auto generation = engine_->Submit(std::move(request)).value();
    std::vector<Delta> deltas;
    do {
      auto delta = sim_.Run(generation->Next());
      if (!delta) break;
      deltas.push_back(*std::move(delta));
    } while (!deltas.back().finish_reason);
    return deltas;
  }

  inferq::testing::SimRuntime sim_;
  std::unique_ptr<Engine> engine_;
  Request seen_;
};

TEST_F(ResponsesEngineTest, AnswersWithAResponse) {
  auto deltas = Read(Ask(R"({"model":"m","input":"x","max_output_tokens":3})"));
  EXPECT_EQ(seen_.endpoint, Endpoint::kChatCompletions);
  EXPECT_EQ(seen_.body,
            R"({"messages":[{"role":"user","content":"x"}],"model":"m","max_tokens":3})");
  const std::string& response = deltas.back().raw_response;
  EXPECT_THAT(response, HasSubstr(R"({"id":"resp_00af_1","object":"response")"));
  EXPECT_THAT(response, HasSubstr(R"("status":"incomplete")"));
  EXPECT_THAT(response, HasSubstr(R"("output_tokens":3)"));
  EXPECT_EQ(deltas.back().usage.completion_tokens, 3u);
}

TEST_F(ResponsesEngineTest, StreamsEvents) {
  auto deltas = Read(Ask(R"({"input":"x"})", true));
  EXPECT_GT(deltas.size(), 2u);
  std::vector<std::string> all;
  for (const Delta& delta : deltas) {
    EXPECT_EQ(delta.text, "");
    EXPECT_EQ(delta.raw_response, "");
    all.insert(all.end(), delta.raw_chunks.begin(), delta.raw_chunks.end());
  }
  EXPECT_THAT(all.front(), HasSubstr(R"("type":"response.created")"));
  EXPECT_THAT(all.back(), HasSubstr(R"("type":"response.completed")"));
}

TEST_F(ResponsesEngineTest, RefusesInTheClientsWords) {
  auto bad = engine_->Submit(Ask(R"({"input":"x","previous_response_id":"r"})"));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().param(), "body.previous_response_id");
  auto image = engine_->Submit(Ask(
      R"({"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:x"}]}]})"));
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(image.error().param(), "body.input[0].content[0]");
  EXPECT_THAT(image.error().message(), HasSubstr("'body.input[0].content[0]' is of type"));
}

TEST_F(ResponsesEngineTest, OtherRequestsPass) {
  Request chat = Ask(R"({"messages":[{"role":"user","content":"x"}]})");
  chat.endpoint = Endpoint::kChatCompletions;
  auto deltas = Read(std::move(chat));
  EXPECT_EQ(deltas.back().raw_response, "");
  EXPECT_NE(deltas.front().text, "");
}

TEST_F(ResponsesEngineTest, ACancelledOneHasNoResponse) {
  auto generation = engine_->Submit(Ask(R"({"input":"x"})")).value();
  generation->Cancel();
  auto delta = sim_.Run(generation->Next());
  ASSERT_TRUE(delta);
  EXPECT_EQ(delta->finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(delta->raw_response, "");
}

}  // namespace
}  // namespace inferq::engine
