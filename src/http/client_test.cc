#include "http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <fstream>

#include "base/check.h"
#include "http/asio_dialer.h"
#include "http/testing/test_server.h"
#include "runtime/event.h"

namespace inferq::http {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using runtime::Awaitable;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace inferq::http::testing;  // NOLINT: the test server's words

Awaitable<void> SendInto(Client& client, Request request, Result<Response>& out) {
  out = co_await client.Send(std::move(request));
}

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() : dialer_(*MakeAsioDialer(runtime_)), client_(runtime_, *dialer_) {}

  // Runs the coroutine, then stops the server.
  void Run(Awaitable<void> body) {
    runtime_.SpawnDetached(ToEnd(std::move(body)));
    runtime_.Run();
  }
  Awaitable<void> ToEnd(Awaitable<void> body) {
    co_await std::move(body);
    client_.CloseIdle();
    co_await server_.Stop();
    co_await StopOthers();
    runtime_.Stop();
  }
  virtual Awaitable<void> StopOthers() { co_return; }
  Result<Response> SendOnce(Request request) {
    Result<Response> out;
    Run(SendInto(client_, std::move(request), out));
    return out;
  }
  Request Get(std::string_view path = "/") {
    Request request;
    request.url = server_.url() + std::string(path);
    return request;
  }
  Request Post(std::string body) {
    Request request = Get("/post");
    request.method = "POST";
    request.body = std::move(body);
    return request;
  }
  // The code and message of a failure, for matchers.
  static std::string Text(const Result<Response>& result) {
    return result ? "status " + std::to_string(result->head.status) : result.error().ToString();
  }
  std::string HostPort() const { return fmt::format("127.0.0.1:{}", server_.port()); }

  runtime::AsioRuntime runtime_;
  std::unique_ptr<runtime::Dialer> dialer_;
  TestServer server_{runtime_, [](const Seen&) { return Answer(200, "ok"); }};
  Client client_;
};

TEST_F(ClientTest, SendsARequestAndReadsTheAnswer) {
  Request request = Post("{\"n\":1}");
  request.headers = {{"X-Test", "v"}};
  auto response = SendOnce(request);
  ASSERT_TRUE(response) << Text(response);
  EXPECT_EQ(response->head.status, 200);
  EXPECT_EQ(response->body, "ok");
  EXPECT_EQ(FindHeader(response->head.headers, "content-TYPE"), "application/json");
  ASSERT_EQ(server_.seen().size(), 1u);
  const Seen& seen = server_.seen()[0];
  EXPECT_EQ(seen.method + " " + seen.target, "POST /post");
  EXPECT_EQ(seen.body, "{\"n\":1}");
  EXPECT_EQ(FindHeader(seen.headers, "x-test"), "v");
  EXPECT_EQ(FindHeader(seen.headers, "host"), HostPort());
}

TEST_F(ClientTest, LargeBodiesPassBothWays) {
  std::string large(3u << 20, 'x');
  server_.set_handler([](const Seen& seen) { return ChunkedAnswer(seen.body, 5000); });
  auto response = SendOnce(Post(large));
  ASSERT_TRUE(response) << Text(response);
  EXPECT_TRUE(response->body == large);
}

TEST_F(ClientTest, ConnectionsAreKept) {
  auto body = [](Client& client, TestServer& server, Request request) -> Awaitable<void> {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(co_await client.Send(request));
    EXPECT_EQ(server.accepted(), 1u);
  };
  Run(body(client_, server_, Get()));
}

TEST_F(ClientTest, ARequestOnAConnectionThatTheServerClosedIsSentAgainOnce) {
  // The second request on a connection meets a server that hangs up at that moment.
  server_.set_handler(
      [n = 0](const Seen&) mutable { return ++n == 2 ? Hangup() : Answer(200, "ok"); });
  auto body = [](Client& client, TestServer& server, Request request) -> Awaitable<void> {
    EXPECT_TRUE(co_await client.Send(request));
    auto second = co_await client.Send(request);
    EXPECT_TRUE(second) << Text(second);
    EXPECT_EQ(server.seen().size(), 3u);
    EXPECT_EQ(server.accepted(), 2u);
  };
  Run(body(client_, server_, Post("x")));
}

TEST_F(ClientTest, AFreshConnectionThatIsClosedIsNotTriedAgain) {
  server_.set_handler([](const Seen&) { return Hangup(); });
  auto response = SendOnce(Get());
  EXPECT_THAT(Text(response),
              AllOf(HasSubstr("unavailable"), HasSubstr(HostPort()),
                    HasSubstr("closed the connection before it answered"), HasSubstr("check")));
  EXPECT_EQ(server_.seen().size(), 1u);
}

TEST_F(ClientTest, AnAnswerThatIsCutIsNotRepeatedOnAKeptConnection) {
  Reply cut{.parts = {{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"}},
            .then = Reply::Then::kClose};
  server_.set_handler(
      [n = 0, cut](const Seen&) mutable { return ++n == 2 ? cut : Answer(200, "ok"); });
  auto body = [](Client& client, TestServer& server, Request request) -> Awaitable<void> {
    EXPECT_TRUE(co_await client.Send(request));
    auto second = co_await client.Send(request);
    EXPECT_THAT(Text(second), HasSubstr("broke off its answer after 4 bytes"));
    EXPECT_EQ(server.seen().size(), 2u);
  };
  Run(body(client_, server_, Get()));
}

TEST_F(ClientTest, AConnectionClosedWhileIdleIsNotUsed) {
  auto body = [](Client& client, TestServer& server, Request request) -> Awaitable<void> {
    EXPECT_TRUE(co_await client.Send(request));
    server.CloseConnections();
    auto none_open = [&server] { return server.open() == 0; };
    co_await server.Until(none_open);
    EXPECT_TRUE(co_await client.Send(request));
    EXPECT_EQ(server.seen().size(), 2u);
  };
  Run(body(client_, server_, Get()));
}

// As servers do that say 408 before they close an idle connection: it must not pass for the next
// answer.
TEST_F(ClientTest, AnAnswerThatNobodyAskedForIsNotTaken) {
  Reply chatty = Answer(200, "ok");
  chatty.parts.push_back({.bytes = "HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n", .held = true});
  chatty.then = Reply::Then::kClose;
  server_.set_handler(
      [n = 0, chatty](const Seen&) mutable { return ++n == 1 ? chatty : Answer(200, "second"); });
  auto body = [](Client& client, TestServer& server, Request request) -> Awaitable<void> {
    EXPECT_TRUE(co_await client.Send(request));
    server.Release();
    auto none_open = [&server] { return server.open() == 0; };
    co_await server.Until(none_open);
    auto second = co_await client.Send(request);
    EXPECT_TRUE(second && second->body == "second") << Text(second);
  };
  Run(body(client_, server_, Get()));
}

TEST_F(ClientTest, AResetIsASentence) {
  server_.set_handler([](const Seen&) { return Reply{.parts = {}, .then = Reply::Then::kReset}; });
  EXPECT_THAT(Text(SendOnce(Get())), AllOf(HasSubstr("unavailable"),
                                           HasSubstr("closed the connection before it answered")));
}

TEST_F(ClientTest, ATruncatedChunkedBodyIsAFailure) {
  Reply cut{
      .parts = {{.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"}},
      .then = Reply::Then::kClose};
  server_.set_handler([cut](const Seen&) { return cut; });
  EXPECT_THAT(Text(SendOnce(Get())), AllOf(HasSubstr("unavailable"), HasSubstr("after 2 bytes")));
}

TEST_F(ClientTest, AnEarlyRefusalOfALargeBodyIsStillRead) {
  server_.set_handler(
      [](const Seen&) { return Answer(413, "too large", "Connection: close\r\n"); });
  auto response = SendOnce(Post(std::string(1u << 20, 'x')));
  ASSERT_TRUE(response) << Text(response);
  EXPECT_EQ(response->head.status, 413);
}

TEST_F(ClientTest, TheBodyLimitHolds) {
  server_.set_handler([](const Seen&) { return Answer(200, std::string(100, 'x')); });
  Request request = Get();
  request.max_body = 99;
  EXPECT_THAT(Text(SendOnce(request)),
              AllOf(HasSubstr("resource_exhausted"), HasSubstr("99 bytes")));
}

// A body of `pieces` times `piece`.
class Pieces final : public BodySource {
 public:
  Pieces(std::string piece, size_t pieces, bool restarts = true)
      : piece_(std::move(piece)), pieces_(pieces), restarts_(restarts) {}
  uint64_t size() const override { return claimed_.value_or(piece_.size() * pieces_); }
  Awaitable<Result<std::string>> Next() override {
    if (failure_) co_return std::unexpected(*failure_);
    co_return ++given_ > pieces_ ? std::string() : piece_;
  }
  bool Restart() override {
    given_ = 0;
    return restarts_;
  }
  void Claim(uint64_t bytes) { claimed_ = bytes; }
  void FailWith(base::Error error) { failure_ = std::move(error); }

 private:
  std::string piece_;
  size_t pieces_;
  bool restarts_;
  size_t given_ = 0;
  std::optional<uint64_t> claimed_;
  std::optional<base::Error> failure_;
};

class SourceTest : public ClientTest {
 protected:
  Request PostFrom(std::shared_ptr<BodySource> source) {
    Request request = Post("");
    request.body_source = std::move(source);
    return request;
  }
};

TEST_F(SourceTest, ABodyIsSentPieceByPiece) {
  auto response = SendOnce(PostFrom(std::make_shared<Pieces>(std::string(70'000, 'x'), 50)));
  ASSERT_TRUE(response) << Text(response);
  ASSERT_EQ(server_.seen().size(), 1u);
  EXPECT_TRUE(server_.seen()[0].body == std::string(3'500'000, 'x'));
  EXPECT_EQ(FindHeader(server_.seen()[0].headers, "content-length"), "3500000");
}

TEST_F(SourceTest, ABodyThatRestartsIsSentAgainOverAFreshConnection) {
  server_.set_handler(
      [n = 0](const Seen&) mutable { return ++n == 2 ? Hangup() : Answer(200, "ok"); });
  auto body = [](Client& client, TestServer& server, Request first,
                 Request second) -> Awaitable<void> {
    EXPECT_TRUE(co_await client.Send(first));
    auto sent = co_await client.Send(second);
    EXPECT_TRUE(sent) << Text(sent);
    EXPECT_EQ(server.seen().size(), 3u);
    EXPECT_EQ(server.seen().back().body, "abcabc");
  };
  Run(body(client_, server_, Get(), PostFrom(std::make_shared<Pieces>("abc", 2))));
}

TEST_F(SourceTest, ABodyThatCannotRestartIsSentOnce) {
  server_.set_handler(
      [n = 0](const Seen&) mutable { return ++n == 2 ? Hangup() : Answer(200, "ok"); });
  auto body = [](Client& client, TestServer& server, Request first,
                 Request second) -> Awaitable<void> {
    EXPECT_TRUE(co_await client.Send(first));
    auto sent = co_await client.Send(second);
    EXPECT_THAT(Text(sent), HasSubstr("closed the connection before it answered"));
    EXPECT_EQ(server.seen().size(), 2u);
  };
  Run(body(client_, server_, Get(), PostFrom(std::make_shared<Pieces>("abc", 2, false))));
}

TEST_F(SourceTest, WhatTheSourceFailsWithIsHandedOut) {
  auto source = std::make_shared<Pieces>("abc", 2);
  source->FailWith(base::Error(Code::kDataLoss, "the disk is gone"));
  EXPECT_THAT(Text(SendOnce(PostFrom(source))), HasSubstr("the disk is gone"));
  EXPECT_EQ(server_.seen().size(), 0u);
}

TEST_F(SourceTest, ASourceThatIsNotAsLongAsItSaidIsAnError) {
  auto shorter = std::make_shared<Pieces>("abc", 2);
  shorter->Claim(7);
  auto longer = std::make_shared<Pieces>("abc", 2);
  longer->Claim(5);
  auto body = [](Client& client, TestServer& server, Request one,
                 Request other) -> Awaitable<void> {
    auto early = co_await client.Send(one);
    EXPECT_THAT(Text(early), HasSubstr("ended 1 bytes too early"));
    auto late = co_await client.Send(other);
    EXPECT_THAT(Text(late), HasSubstr("longer than the 5 bytes"));
    EXPECT_EQ(server.seen().size(), 0u);
  };
  Run(body(client_, server_, PostFrom(shorter), PostFrom(longer)));
}

TEST_F(ClientTest, RedirectsAreHandedOut) {
  server_.set_handler([](const Seen&) { return Answer(301, "", "Location: /elsewhere\r\n"); });
  auto response = SendOnce(Get());
  ASSERT_TRUE(response);
  EXPECT_EQ(response->head.status, 301);
  EXPECT_EQ(server_.seen().size(), 1u);
}

TEST_F(ClientTest, TheDeadlineEndsAWait) {
  server_.set_handler([](const Seen&) { return Held(Answer(200, "late")); });
  Request request = Get();
  request.deadline = runtime_.clock().Steady() + 1ms;
  auto response = SendOnce(request);
  EXPECT_THAT(Text(response), HasSubstr("deadline_exceeded"));
}

TEST_F(ClientTest, AServerThatSaysNothingIsGivenUp) {
  server_.set_handler([](const Seen&) { return Held(Answer(200, "late")); });
  Request request = Get();
  request.timeouts.first_byte = 1ms;
  EXPECT_THAT(
      Text(SendOnce(request)),
      AllOf(HasSubstr("unavailable"), HasSubstr("waiting for an answer"), HasSubstr("check")));
}

TEST_F(ClientTest, AServerThatStopsInTheMiddleIsGivenUp) {
  Reply half{.parts = {{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"},
                       {.bytes = "lf", .held = true}}};
  server_.set_handler([half](const Seen&) { return half; });
  Request request = Get();
  request.timeouts.idle = 1ms;
  EXPECT_THAT(Text(SendOnce(request)),
              AllOf(HasSubstr("unavailable"), HasSubstr("reading the answer")));
}

TEST_F(ClientTest, CancelClosesTheConnection) {
  server_.set_handler([](const Seen&) { return Held(Answer(200, "late")); });
  auto body = [](Client& client, runtime::Runtime& runtime, TestServer& server, Request request,
                 Result<Response>& out) -> Awaitable<void> {
    request.cancel = std::make_shared<runtime::Cancellation>();
    runtime::Scope scope(runtime);
    scope.Spawn(SendInto(client, request, out));
    auto held = [&server] { return server.held() == 1; };
    co_await server.Until(held);
    request.cancel->Cancel();
    co_await scope.Join();
    auto hung_up = [&server] { return server.hangups() == 1; };
    co_await server.Until(hung_up);
  };
  Result<Response> out;
  Run(body(client_, runtime_, server_, Get(), out));
  EXPECT_THAT(Text(out), HasSubstr("cancelled"));
}

TEST_F(ClientTest, ARequestThatIsCancelledAlreadyIsNotSent) {
  Request request = Get();
  request.cancel = std::make_shared<runtime::Cancellation>();
  request.cancel->Cancel();
  EXPECT_THAT(Text(SendOnce(request)), HasSubstr("cancelled"));
  EXPECT_EQ(server_.seen().size(), 0u);
}

TEST_F(ClientTest, AStreamIsReadAsItComesAndDroppingItCloses) {
  Reply two{
      .parts = {{.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"},
                {.bytes = "0\r\n\r\n", .held = true}}};
  server_.set_handler([two](const Seen&) { return two; });
  auto body = [](Client& client, TestServer& server, Request request) -> Awaitable<void> {
    auto stream = co_await client.Open(request);
    EXPECT_TRUE(stream) << stream.error().ToString();
    if (!stream) co_return;
    EXPECT_EQ((*stream)->head().status, 200);
    auto piece = co_await (*stream)->Next();
    EXPECT_TRUE(piece && *piece == "first");
    stream->reset();
    auto hung_up = [&server] { return server.hangups() == 1; };
    co_await server.Until(hung_up);
  };
  Run(body(client_, server_, Get()));
}

TEST_F(ClientTest, AtTheConnectionLimitRequestsWait) {
  server_.set_handler([](const Seen&) { return Held(Answer(200, "ok")); });
  auto body = [](runtime::Runtime& runtime, runtime::Dialer& dialer, TestServer& server,
                 Request request) -> Awaitable<void> {
    Client narrow(runtime, dialer, {.max_per_origin = 2});
    auto send = [](Client& client, Request one, int& ok) -> Awaitable<void> {
      if (co_await client.Send(one)) ++ok;
    };
    int ok = 0;
    runtime::Scope scope(runtime);
    for (int i = 0; i < 5; ++i) scope.Spawn(send(narrow, request, ok));
    auto both = [&server] { return server.held() == 2; };
    co_await server.Until(both);
    server.Release();
    co_await scope.Join();
    EXPECT_EQ(ok, 5);
    EXPECT_EQ(server.accepted(), 2u);
    narrow.CloseIdle();
  };
  Run(body(runtime_, *dialer_, server_, Get()));
}

TEST_F(ClientTest, WaitingForAConnectionEndsAtTheDeadline) {
  server_.set_handler([](const Seen&) { return Held(Answer(200, "ok")); });
  auto body = [](runtime::Runtime& runtime, runtime::Dialer& dialer, TestServer& server,
                 Request request) -> Awaitable<void> {
    Client narrow(runtime, dialer, {.max_per_origin = 1});
    auto send = [](Client& client, Request one) -> Awaitable<void> {
      auto got = co_await client.Send(one);
      EXPECT_TRUE(got);
    };
    runtime::Scope scope(runtime);
    scope.Spawn(send(narrow, request));
    auto busy = [&server] { return server.held() == 1; };
    co_await server.Until(busy);
    Request hurried = request;
    hurried.deadline = runtime.clock().Steady() + 1ms;
    auto late = co_await narrow.Send(hurried);
    EXPECT_THAT(Text(late),
                AllOf(HasSubstr("deadline_exceeded"), HasSubstr("waiting for a connection")));
    server.Release();
    co_await scope.Join();
    narrow.CloseIdle();
  };
  Run(body(runtime_, *dialer_, server_, Get()));
}

TEST_F(ClientTest, ARefusedConnectionSaysWhereAndWhatToCheck) {
  boost::asio::ip::tcp::acceptor bound(runtime_.io_context());  // has the port, but does not listen
  bound.open(boost::asio::ip::tcp::v4());
  bound.bind({boost::asio::ip::address_v4::loopback(), 0});
  Request request = Get();
  request.url = fmt::format("http://127.0.0.1:{}/", bound.local_endpoint().port());
  EXPECT_THAT(
      Text(SendOnce(request)),
      AllOf(HasSubstr("unavailable"), HasSubstr("refused"), HasSubstr("check that the server runs"),
            HasSubstr(std::to_string(bound.local_endpoint().port()))));
}

TEST_F(ClientTest, AnUnknownHostIsNamed) {
  Request request = Get();
  std::string host(70, 'a');  // longer than a label may be, so no name server is asked
  request.url = "http://" + host + "/";
  EXPECT_THAT(Text(SendOnce(request)),
              AllOf(HasSubstr("unavailable"), HasSubstr("cannot find the host '" + host)));
}

TEST_F(ClientTest, HeadersCannotSmuggle) {
  Request request = Get();
  request.headers = {{"Authorization", "Bearer secret\r\nX: y"}};
  auto response = SendOnce(request);
  EXPECT_THAT(Text(response), AllOf(HasSubstr("invalid_argument"), HasSubstr("Authorization"),
                                    Not(HasSubstr("secret"))));
  EXPECT_EQ(server_.accepted(), 0u);
}

class TlsTest : public ClientTest {
 protected:
  TlsTest() : TlsTest("DNS:localhost,IP:127.0.0.1") {}
  explicit TlsTest(const std::string& names) : certificate_(MakeTestCertificate(names)) {
    char directory[] = "/tmp/inferq_tls_XXXXXX";
    INFERQ_CHECK(mkdtemp(directory) != nullptr);
    directory_ = directory;
    ca_file_ = directory_ + "/ca.pem";
    std::ofstream(ca_file_) << certificate_.certificate_pem;
  }
  ~TlsTest() override {
    unlink(ca_file_.c_str());
    rmdir(directory_.c_str());
  }
  Awaitable<void> StopOthers() override { co_await tls_server_.Stop(); }
  Result<Response> SendWith(TlsOptions options) {
    auto dialer = *MakeAsioDialer(runtime_, std::move(options));
    Client client(runtime_, *dialer);
    Request request;
    request.url = tls_server_.url();
    Result<Response> out;
    Run(SendInto(client, request, out));
    return out;
  }

  TestCertificate certificate_;
  std::string directory_;
  std::string ca_file_;
  TestServer tls_server_{runtime_, [](const Seen&) { return Answer(200, "secure"); },
                         &certificate_};
};

class OtherNameTest : public TlsTest {
 protected:
  OtherNameTest() : TlsTest("DNS:elsewhere.example,IP:127.0.0.2") {}
};

TEST_F(OtherNameTest, ACertificateForAnotherHostIsRefused) {
  auto response = SendWith({.ca_file = ca_file_});
  EXPECT_THAT(Text(response), AllOf(HasSubstr("is not trusted"), HasSubstr("host name")));
  EXPECT_EQ(tls_server_.seen().size(), 0u);
}

TEST_F(TlsTest, ATrustedServerIsSpokenTo) {
  auto response = SendWith({.ca_file = ca_file_});
  ASSERT_TRUE(response) << Text(response);
  EXPECT_EQ(response->body, "secure");
}

TEST_F(TlsTest, AnUnknownIssuerIsRefused) {
  auto response = SendWith({});
  EXPECT_THAT(Text(response),
              AllOf(HasSubstr("unavailable"), HasSubstr("is not trusted"), HasSubstr("CA file")));
  EXPECT_EQ(tls_server_.seen().size(), 0u);
}

TEST_F(TlsTest, APlainServerIsToldApart) {
  Request request;
  request.url = fmt::format("https://127.0.0.1:{}/", server_.port());
  EXPECT_THAT(Text(SendOnce(request)), AllOf(HasSubstr("unavailable"), HasSubstr("TLS")));
}

TEST_F(TlsTest, AHandshakeThatHangsIsGivenUp) {
  boost::asio::ip::tcp::acceptor silent(runtime_.io_context(),
                                        {boost::asio::ip::address_v4::loopback(), 0});
  Request request;
  request.url = fmt::format("https://127.0.0.1:{}/", silent.local_endpoint().port());
  request.timeouts.connect = 1ms;
  EXPECT_THAT(Text(SendOnce(request)), AllOf(HasSubstr("unavailable"), HasSubstr("took too long")));
}

class GuardedTest : public ClientTest {
 protected:
  Result<Response> SendGuarded(std::string_view host) {
    auto dialer = *MakeAsioDialer(runtime_, {}, Egress::kPublic);
    Client client(runtime_, *dialer);
    Request request;
    request.url = fmt::format("http://{}:{}/", host, server_.port());
    Result<Response> out;
    Run(SendInto(client, request, out));
    return out;
  }
};

TEST_F(GuardedTest, AnAddressOfThisMachineIsNotConnectedTo) {
  auto response = SendGuarded("127.0.0.1");
  EXPECT_THAT(Text(response), AllOf(HasSubstr("permission_denied"), HasSubstr("127.0.0.1")));
  EXPECT_EQ(server_.seen().size(), 0u);
}

TEST_F(GuardedTest, ANameIsJudgedByItsAddress) {
  auto response = SendGuarded("localhost");
  EXPECT_THAT(Text(response), AllOf(HasSubstr("permission_denied"), HasSubstr("'localhost'")));
  EXPECT_EQ(server_.seen().size(), 0u);
}

TEST_F(GuardedTest, OtherSpellingsOfAnAddressDoNotHelp) {
  auto response = SendGuarded("2130706433");  // 127.0.0.1 as a number
  EXPECT_FALSE(response);
  EXPECT_EQ(server_.seen().size(), 0u);
}

TEST(AsioDialer, NamesABadCaFile) {
  runtime::AsioRuntime runtime;
  auto missing = MakeAsioDialer(runtime, {.ca_file = "/nowhere/none.pem"});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message(), HasSubstr("none.pem"));
}

}  // namespace
}  // namespace inferq::http
