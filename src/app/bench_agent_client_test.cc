#include "app/bench_agent_client.h"

#include <gmock/gmock.h>

#include "app/bench_agent_backend.h"
#include "http/asio_dialer.h"

namespace inferq::app {
namespace {

using namespace std::chrono_literals;
using testing::Optional;

constexpr base::WallTime kNow{};

std::optional<base::Micros> Pause(int status, http::Headers headers = {}, uint32_t attempt = 0,
                                  double draw = 0) {
  return AgentRetryPause(status, headers, attempt, draw, kNow);
}

TEST(AgentRetryPause, RepeatsWhatThePythonLibraryRepeats) {
  for (int status : {0, 408, 409, 429, 500, 502, 503, 504}) {
    EXPECT_THAT(Pause(status), Optional(500ms)) << status;
    EXPECT_THAT(Pause(status, {}, 1), Optional(1s)) << status;
    EXPECT_EQ(Pause(status, {}, 2), std::nullopt) << status;
  }
  for (int status : {400, 401, 403, 404, 413, 422}) EXPECT_EQ(Pause(status), std::nullopt);
  EXPECT_THAT(Pause(500, {}, 0, 1), Optional(375ms)) << "up to a quarter less";
}

TEST(AgentRetryPause, TheServerHasTheLastWord) {
  EXPECT_EQ(Pause(503, {{"x-should-retry", "false"}}), std::nullopt);
  EXPECT_THAT(Pause(400, {{"X-Should-Retry", "true"}}), Optional(500ms));
  EXPECT_THAT(Pause(429, {{"retry-after", "7"}}, 1, 1), Optional(7s));
  EXPECT_THAT(Pause(429, {{"retry-after-ms", "30"}, {"retry-after", "7"}}), Optional(30ms));
  EXPECT_THAT(Pause(429, {{"retry-after", "61"}}), Optional(500ms)) << "too long to be heard";
}

/// A client of a backend, each on its loop.
class AgentClientTest : public testing::Test {
 protected:
  AgentAnswer Ask(AgentBackendOptions options, bool stream = true) {
    static const AgentProfile kText = *FindAgentProfile('E');
    options.profile = &kText;
    options.speed = 1e6;
    AgentAnswer answer;
    runtime_.SpawnDetached(Run(options, stream, answer));
    runtime_.Run();
    return answer;
  }

  uint64_t repeated_ = 0;
  AgentBackendCounts counts_;

 private:
  runtime::Awaitable<void> Run(AgentBackendOptions options, bool stream, AgentAnswer& answer) {
    AgentBackendServer backend(runtime_, options);
    EXPECT_TRUE(backend.Listen(0));
    auto dialer = http::MakeAsioDialer(runtime_, {});
    {
      http::Client http(runtime_, **dialer, {});
      AgentClient client(
          runtime_, http,
          {.base_url = backend.url(), .api_key = "", .speed = 1e6, .cancel = nullptr}, 1);
      AgentProfile profile = *FindAgentProfile('E');
      profile.stream = stream;
      std::string body = AgentConversation(profile, 1, "phone").Body();
      answer = co_await client.Complete(std::move(body), stream, 10s);
      repeated_ = client.repeated();
      counts_ = co_await backend.Take();
      http.CloseIdle();
    }
    co_await backend.Stop();
    runtime_.Stop();
  }

  runtime::AsioRuntime runtime_;
};

TEST_F(AgentClientTest, ReadsWholeAnswers) {
  for (bool stream : {true, false}) {
    AgentAnswer answer = Ask({}, stream);
    EXPECT_EQ(answer.end, AgentEnd::kWhole);
    EXPECT_TRUE(IsWholeAgentAnswer(answer.text)) << answer.text;
    EXPECT_EQ(repeated_, 0u);
    EXPECT_EQ(counts_.requests, 1u);
    EXPECT_GT(counts_.prompt_tokens, 1900u);
    EXPECT_EQ(counts_.cached_tokens, 0u);
  }
}

TEST_F(AgentClientTest, RepeatsErrorsTwiceAndThenGivesUp) {
  AgentAnswer answer = Ask({.fail_rate = 1});
  EXPECT_EQ(answer.end, AgentEnd::kRefused);
  EXPECT_EQ(repeated_, 2u);
  EXPECT_EQ(counts_.failed, 3u);
}

TEST_F(AgentClientTest, DoesNotRepeatAStreamThatBreaksOff) {
  AgentAnswer answer = Ask({.cut_rate = 1});
  EXPECT_EQ(answer.end, AgentEnd::kCut);
  EXPECT_FALSE(IsWholeAgentAnswer(answer.text));
  EXPECT_EQ(counts_.requests, 1u);
  EXPECT_EQ(counts_.cut, 1u);
}

TEST_F(AgentClientTest, RepeatsAWholeAnswerThatBreaksOff) {
  AgentAnswer answer = Ask({.cut_rate = 1}, false);
  EXPECT_EQ(answer.end, AgentEnd::kRefused);
  EXPECT_EQ(counts_.cut, 3u);
}

}  // namespace
}  // namespace inferq::app
