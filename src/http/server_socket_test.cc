// The server over real sockets and several loops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/asio_dialer.h"
#include "http/asio_listener.h"
#include "http/client.h"
#include "http/server.h"
#include "http/testing/test_handler.h"
#include "runtime/loop_thread.h"

namespace inferq::http {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using runtime::Awaitable;
using ::testing::HasSubstr;
using testing::TestHandler;

class ServerSocketTest : public ::testing::Test {
 protected:
  ServerSocketTest() : dialer_(*MakeAsioDialer(home_)), client_(home_, *dialer_) {}

  void Listen(std::vector<runtime::Runtime*> loops) {
    server_ = std::make_unique<Server>(home_, std::move(loops), handler_, ServerLimits{});
    auto listening = server_->Listen({});
    ASSERT_TRUE(listening) << listening.error().ToString();
  }
  // Runs the coroutine, then stops the server.
  void Run(Awaitable<void> body) {
    home_.SpawnDetached(ToEnd(std::move(body)));
    home_.Run();
  }
  Awaitable<void> ToEnd(Awaitable<void> body) {
    co_await std::move(body);
    client_.CloseIdle();
    co_await server_->Stop(home_.clock().Steady() + 10s);
    home_.Stop();
  }
  std::string Url(std::string_view path) const {
    return fmt::format("http://127.0.0.1:{}{}", server_->port(), path);
  }
  Awaitable<Result<std::unique_ptr<runtime::Stream>>> Dial() {
    runtime::Address address{"127.0.0.1", server_->port()};
    co_return co_await dialer_->Dial(address, home_.clock().Steady() + 10s, nullptr);
  }
  Awaitable<void> Echo(std::string body) {
    Request request;
    request.method = "POST";
    request.url = Url("/echo");
    request.body = body;
    auto response = co_await client_.Send(std::move(request));
    EXPECT_TRUE(response) << response.error().ToString();
    EXPECT_TRUE(response && response->body == body);
  }
  Awaitable<void> EchoMany(int count) {
    runtime::Scope scope(home_);
    for (int i = 0; i < count; ++i)
      scope.Spawn(Echo(std::string(static_cast<size_t>(i * 1000), 'e')));
    co_await scope.Join();
  }
  Awaitable<std::string> ReadAll(runtime::Stream& stream) {
    std::string all;
    std::string buffer(10'000, '\0');
    for (;;) {
      auto got = co_await stream.Read(buffer);
      if (!got) co_return all + got.error().ToString();
      if (*got == 0) co_return all;
      all.append(buffer, 0, *got);
    }
  }
  Awaitable<void> Refused() {
    auto stream = co_await Dial();
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    const std::string nonsense = "nonsense\r\n\r\n" + std::string(500'000, 'x');
    EXPECT_TRUE(co_await (*stream)->Write(nonsense, {}));
    answer_ = co_await ReadAll(**stream);
  }
  Awaitable<void> HangUp() {
    auto stream = co_await Dial();
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    EXPECT_TRUE(co_await (*stream)->Write("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n", {}));
    while (handler_.waiting() == 0) co_await home_.Yield();
    (*stream)->Close();
    while (handler_.gone() == 0) co_await home_.Yield();
  }
  Awaitable<void> Half() {
    auto stream = co_await Dial();
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    EXPECT_TRUE(co_await (*stream)->Write("GET /half HTTP/1.0\r\n\r\n", {}));
    answer_ = co_await ReadAll(**stream);
  }

  runtime::AsioRuntime home_;
  TestHandler handler_{home_};
  std::unique_ptr<runtime::Dialer> dialer_;
  Client client_;
  std::unique_ptr<Server> server_;
  std::string answer_;
};

TEST_F(ServerSocketTest, ServesOurClient) {
  Listen({&home_});
  Run(EchoMany(100));
  EXPECT_EQ(server_->counters().requests, 100u);
  EXPECT_EQ(server_->counters().open, 0u);
}

TEST_F(ServerSocketTest, ServesOnSeveralLoops) {
  runtime::LoopThread first(home_, "io-0");
  runtime::LoopThread second(home_, "io-1");
  Listen({&first.runtime(), &second.runtime(), &home_});
  Run(EchoMany(200));
  EXPECT_EQ(server_->counters().requests, 200u);
  EXPECT_EQ(server_->counters().open, 0u);
  server_.reset();
}

TEST_F(ServerSocketTest, AnErrorIsSeenByAClientThatGoesOnSending) {
  Listen({&home_});
  Run(Refused());
  EXPECT_THAT(answer_, ::testing::StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer_, ::testing::EndsWith("HTTP/1.1'"));
}

TEST_F(ServerSocketTest, AHangUpIsSeen) {
  Listen({&home_});
  Run(HangUp());
  EXPECT_EQ(handler_.gone(), 1u);
}

TEST_F(ServerSocketTest, AnAnswerThatDoesNotEndIsReset) {
  Listen({&home_});
  Run(Half());
  EXPECT_THAT(answer_, HasSubstr("unavailable: "));
}

TEST_F(ServerSocketTest, WhatCannotBeListenedOnIsExplained) {
  Listen({&home_});
  auto taken = ListenTcp(home_, {.host = "127.0.0.1", .port = server_->port()});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(taken.error().message(), HasSubstr(std::to_string(server_->port())));
  EXPECT_EQ(ListenTcp(home_, {.host = "192.0.2.1"}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ListenTcp(home_, {.host = "localhost"}).error().code(), Code::kInvalidArgument);
  Run(EchoMany(1));
}

}  // namespace
}  // namespace inferq::http
