#include "app/bench_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/bench_server.h"
#include "http/asio_dialer.h"
#include "http/testing/test_server.h"
#include "runtime/asio_runtime.h"

namespace inferq::app {
namespace {

using base::Code;
using http::FindHeader;
using http::testing::Answer;
using http::testing::ChunkedAnswer;
using http::testing::Hangup;
using http::testing::Reply;
using http::testing::Seen;
using http::testing::TestServer;
using runtime::Awaitable;

/// What one call gave; a copy, since the view ends with the next call.
struct Got {
  int status = 0;  ///< 0: the call failed.
  std::string body{};
};

class BenchConnectionTest : public testing::Test {
 protected:
  BenchConnectionTest() : dialer_(*http::MakeAsioDialer(runtime_)) {
    target_ = {.address = {.host = "127.0.0.1", .port = server_.port()},
               .authority = "queue:80",
               .base = "/v1",
               .api_key = "sk-1"};
  }

  Reply Serve(const Seen& seen) {
    seen_.push_back(seen);
    return reply_;
  }

  void Post(const std::vector<std::string>& bodies) {
    runtime_.SpawnDetached(PostAll(bodies));
    runtime_.Run();
  }
  Awaitable<void> PostAll(std::vector<std::string> bodies) {
    auto connection = std::make_unique<BenchConnection>(runtime_, *dialer_, target_, cancel_);
    for (const std::string& body : bodies) {
      auto answer = co_await connection->Post("/tasks", body);
      got_.push_back(answer ? Got{answer->status, std::string(answer->body)} : Got{});
      if (!answer) code_ = answer.error().code();
    }
    connection.reset();
    co_await server_.Stop();
    runtime_.Stop();
  }

  runtime::AsioRuntime runtime_;
  TestServer server_{runtime_, [this](const Seen& seen) { return Serve(seen); }};
  std::unique_ptr<runtime::Dialer> dialer_;
  std::shared_ptr<runtime::Cancellation> cancel_ = std::make_shared<runtime::Cancellation>();
  BenchTarget target_;
  Reply reply_ = Answer(200, "yes");
  std::vector<Seen> seen_;
  std::vector<Got> got_;
  Code code_ = Code::kInternal;
};

TEST_F(BenchConnectionTest, SendsWhatAServerNeedsAndReadsTheAnswer) {
  Post({"{}", "[1,2]"});
  ASSERT_EQ(seen_.size(), 2U);
  EXPECT_EQ(seen_[0].method, "POST");
  EXPECT_EQ(seen_[0].target, "/v1/tasks");
  EXPECT_EQ(FindHeader(seen_[0].headers, "Host"), "queue:80");
  EXPECT_EQ(FindHeader(seen_[0].headers, "Authorization"), "Bearer sk-1");
  EXPECT_EQ(seen_[1].body, "[1,2]");
  ASSERT_EQ(got_.size(), 2U);
  EXPECT_EQ(got_[1].status, 200);
  EXPECT_EQ(got_[1].body, "yes");
}

TEST_F(BenchConnectionTest, ALongAnswerIsReadWhole) {
  reply_ = Answer(409, std::string(1'000'000, 'x'));
  Post({"{}", "{}"});
  ASSERT_EQ(got_.size(), 2U);
  EXPECT_EQ(got_[1].status, 409);
  EXPECT_EQ(got_[1].body, std::string(1'000'000, 'x'));
}

TEST_F(BenchConnectionTest, AnAnswerThatIsCutOffIsAFailureAndTheNextCallConnectsAgain) {
  reply_ = Hangup();
  Post({"{}", "{}"});
  EXPECT_EQ(seen_.size(), 2U);
  EXPECT_EQ(got_[1].status, 0);
  EXPECT_EQ(code_, Code::kUnavailable);
}

TEST_F(BenchConnectionTest, AnAnswerWithoutALengthIsAFailure) {
  reply_ = ChunkedAnswer("yes", 2);
  Post({"{}"});
  EXPECT_EQ(got_[0].status, 0);
  EXPECT_EQ(code_, Code::kUnavailable);
}

TEST_F(BenchConnectionTest, CancellationEndsACallUnderWay) {
  reply_ = http::testing::Held(Answer(200, "late"));
  runtime_.CallAt(runtime_.clock().Steady(), [this] { cancel_->Cancel(); });
  Post({"{}"});
  EXPECT_EQ(code_, Code::kCancelled);
}

TEST(AnswerHeadTest, FindsTheLengthWhateverItsCaseAndPlace) {
  auto head = ParseAnswerHead("HTTP/1.1 429 Too Many\r\nX: 1\r\ncontent-length: 12\r\n\r\n");
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->status, 429);
  EXPECT_EQ(head->body_length, 12U);
  for (const char* bad : {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
                          "HTTP/1.1 x\r\nContent-Length: 1\r\n\r\n", "\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"}) {
    EXPECT_FALSE(ParseAnswerHead(bad).has_value()) << bad;
  }
}

TEST(BenchServerTest, TheAddressIsTakenWhenItIsWhole) {
  EXPECT_EQ(UrlIn("inferq 1 serves http://127.0.0.1:41"), "");
  EXPECT_EQ(UrlIn("inferq 1 serves http://127.0.0.1:4100/v1\n  store x\n"),
            "http://127.0.0.1:4100/v1");
  EXPECT_EQ(UrlIn("nothing yet"), "");
}

}  // namespace
}  // namespace inferq::app
