// The server under virtual time, over connections in memory.
#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include "http/testing/compress.h"
#include "http/testing/test_handler.h"
#include "testing/sim_net.h"
#include "testing/sim_runtime.h"

namespace inferq::http {
namespace {

using namespace std::chrono_literals;
using base::Code;
using inferq::testing::SimListener;
using inferq::testing::SimRuntime;
using runtime::Awaitable;
using runtime::Stream;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::Gzip;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestHandler;
using testing::Zstd;

/// A client that says what it is told and remembers what comes.
class RawClient {
 public:
  RawClient(SimRuntime& sim, std::unique_ptr<Stream> stream, bool reading)
      : sim_(sim), stream_(std::move(stream)), scope_(sim) {
    if (reading) scope_.Spawn(ReadAll());
    sim_.RunUntilIdle();
  }
  ~RawClient() { HangUp(); }

  void SayLater(std::string text) { scope_.Spawn(Write(std::move(text))); }
  RawClient& Say(std::string text) {
    SayLater(std::move(text));
    sim_.RunUntilIdle();
    return *this;
  }
  void ReadOn() { scope_.Spawn(ReadAll()); }
  void HangUp() {
    stream_->Close();
    sim_.Run(scope_.Join());
    sim_.RunUntilIdle();
  }
  void EndSending() {
    stream_->ShutdownSend();
    sim_.RunUntilIdle();
  }
  /// What has come since the last call.
  std::string Heard() { return std::exchange(heard_, {}); }
  bool saying() const { return saying_ > 0; }
  bool ended() const { return ended_; }
  bool broken() const { return broken_; }

 private:
  Awaitable<void> Write(std::string text) {
    ++saying_;
    (void)co_await stream_->Write(text, {});
    --saying_;
  }
  Awaitable<void> ReadAll() {
    std::string buffer(1000, '\0');
    for (;;) {
      auto got = co_await stream_->Read(buffer);
      broken_ = !got;
      ended_ = broken_ || *got == 0;
      if (ended_) co_return;
      heard_.append(buffer, 0, *got);
    }
  }

  SimRuntime& sim_;
  std::unique_ptr<Stream> stream_;
  runtime::Scope scope_;
  std::string heard_;
  int saying_ = 0;
  bool ended_ = false;
  bool broken_ = false;
};

class ServerTest : public ::testing::Test {
 protected:
  ~ServerTest() override {
    if (server_) Stop(sim_.clock().Steady());
    sim_.RunFor(1min);
    EXPECT_EQ(sim_.pending(), 0u) << "a timer is left";
  }

  Server& server() {
    if (!server_) {
      server_ =
          std::make_unique<Server>(sim_, std::vector<runtime::Runtime*>{&sim_}, handler_, limits_);
      auto listener = std::make_unique<SimListener>(sim_);
      listener_ = listener.get();
      server_->ListenOn(std::move(listener));
    }
    return *server_;
  }
  std::unique_ptr<RawClient> Connect(size_t window = 64u << 10, bool reading = true) {
    server();
    return std::make_unique<RawClient>(sim_, listener_->Connect(window), reading);
  }
  // What a new connection answers to these bytes.
  std::string Ask(std::string bytes) {
    auto client = Connect();
    client->Say(std::move(bytes));
    return client->Heard();
  }
  void Stop(base::SteadyTime deadline) { sim_.Run(server().Stop(deadline)); }
  const ServerCounters& counters() { return server().counters(); }

  SimRuntime sim_;
  TestHandler handler_{sim_};
  ServerLimits limits_;
  SimListener* listener_ = nullptr;
  std::unique_ptr<Server> server_;
};

std::string Get(std::string_view path, std::string_view headers = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n", path, headers);
}
std::string Post(std::string_view path, std::string_view body, std::string_view headers = "") {
  return fmt::format("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{}\r\n{}", path,
                     body.size(), headers, body);
}
constexpr std::string_view kChunkedPost =
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string Ok(std::string_view body) {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
}

TEST_F(ServerTest, AnswersRequestsOnOneConnection) {
  auto client = Connect();
  client->Say(Post("/echo", "one"));
  EXPECT_EQ(client->Heard(), Ok("one"));
  client->Say(Post("/echo", "two"));
  EXPECT_EQ(client->Heard(), Ok("two"));
  EXPECT_FALSE(client->ended());
  EXPECT_EQ(counters().connections, 1u);
  EXPECT_EQ(counters().requests, 2u);
  EXPECT_EQ(counters().open, 1u);
}

TEST_F(ServerTest, TheHandlerSeesTheRequestTakenApart) {
  Ask(Get("/ignore?x=%20&y", "X-A: 1\r\nx-b:  two \r\n"));
  const RequestHead& request = handler_.request();
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/ignore?x=%20&y");
  EXPECT_EQ(request.path, "/ignore");
  EXPECT_EQ(request.query, "x=%20&y");
  EXPECT_EQ(FindHeader(request.headers, "x-B"), "two");
  EXPECT_EQ(request.peer, "192.0.2.1:1234");
  Ask(Get("/a%2Fb%C3%A4"));
  EXPECT_EQ(handler_.request().path, "/a/b\xC3\xA4");
  EXPECT_EQ(handler_.request().query, "");
}

TEST_F(ServerTest, PiecesOfAnySizeMakeTheSameRequests) {
  const std::string bytes = "\r\n" + Post("/echo", "one") + std::string(kChunkedPost) +
                            "2;x=\"y\"\r\ntw\r\n1\r\no\r\n0\r\nTrailer: t\r\n\r\n" +
                            Get("/hello", "Connection: close\r\n");
  const std::string answer = Ask(bytes);
  EXPECT_THAT(answer, AllOf(StartsWith(Ok("one") + Ok("two")), EndsWith("hello")));
  auto client = Connect();
  for (char byte : bytes) client->Say(std::string(1, byte));
  EXPECT_EQ(client->Heard(), answer);
  EXPECT_TRUE(client->ended());
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInTurn) {
  auto client = Connect();
  client->Say(Get("/wait") + Post("/echo", "second") + Get("/hello"));
  EXPECT_EQ(client->Heard(), "");
  EXPECT_EQ(handler_.waiting(), 1u);
  handler_.Release();
  sim_.RunUntilIdle();
  EXPECT_THAT(client->Heard(), AllOf(StartsWith(Ok("waited") + Ok("second")), EndsWith("hello")));
}

TEST_F(ServerTest, EarlyBytesOfTheNextRequestAreKeptUpToALimit) {
  limits_.max_head_bytes = 2000;
  auto client = Connect(1000);
  client->Say(Get("/wait"));
  client->Say(Post("/echo", std::string(5000, 'e')));
  EXPECT_TRUE(client->saying()) << "the rest waits at the client";
  handler_.Release();
  sim_.RunUntilIdle();
  EXPECT_EQ(client->Heard(), Ok("waited") + Ok(std::string(5000, 'e')));
}

TEST_F(ServerTest, ConnectionCloseAndHttp10) {
  auto client = Connect();
  client->Say(Get("/hello", "Connection: close\r\n"));
  EXPECT_THAT(client->Heard(), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_TRUE(client->ended());
  EXPECT_FALSE(client->broken());

  client = Connect();
  client->Say("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client->Heard(), AllOf(HasSubstr("Connection: close\r\n"), EndsWith("hello")));
  EXPECT_TRUE(client->ended());

  client = Connect();
  client->Say("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(client->Heard(), HasSubstr("Connection: keep-alive\r\n"));
  EXPECT_FALSE(client->ended());

  client->Say("GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(client->Heard(), AllOf(Not(HasSubstr("chunked")), EndsWith("\r\n\r\nabc")));
  EXPECT_TRUE(client->ended());
  EXPECT_FALSE(client->broken());
}

TEST_F(ServerTest, HeadAnswersCarryNoBody) {
  for (std::string path : {"/hello", "/told", "/chunks"}) {
    auto client = Connect();
    client->Say("HEAD " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(client->Heard(), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("\r\n\r\n")));
    client->Say(Post("/echo", "next"));
    EXPECT_EQ(client->Heard(), Ok("next")) << path;
  }
  EXPECT_THAT(Ask("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"), HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(handler_.failures(), IsEmpty());
}

TEST_F(ServerTest, AnswersInPieces) {
  EXPECT_THAT(Ask(Get("/chunks")), EndsWith("\r\nTransfer-Encoding: chunked\r\n\r\n"
                                            "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"));
  EXPECT_THAT(Ask(Get("/told")), EndsWith("\r\nContent-Length: 3\r\n\r\nabc"));
}

TEST_F(ServerTest, ABodyIsReadInPiecesWithoutReadingAhead) {
  auto client = Connect();
  client->Say(Post("/pieces", std::string(200'000, 'x')));
  const std::string answer = client->Heard();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_GE(std::ranges::count(answer.substr(answer.find("\r\n\r\n")), ' '), 3);
}

TEST_F(ServerTest, ContinueIsSaidWhenTheHandlerReads) {
  const std::string head =
      "POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
  auto client = Connect();
  client->Say(fmt::format(fmt::runtime(head), "/echo"));
  EXPECT_EQ(client->Heard(), "HTTP/1.1 100 Continue\r\n\r\n");
  client->Say("body");
  EXPECT_EQ(client->Heard(), Ok("body"));

  client->Say(fmt::format(fmt::runtime(head), "/echo") + "body");
  EXPECT_EQ(client->Heard(), Ok("body")) << "not when the body is there already";

  client->Say(fmt::format(fmt::runtime(head), "/ignore"));
  EXPECT_THAT(client->Heard(), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Connection: close")));
  EXPECT_TRUE(client->ended()) << "the body may or may not follow";

  EXPECT_THAT(Ask(Get("/hello", "Expect: miracles\r\n")), StartsWith("HTTP/1.1 417"));
}

TEST_F(ServerTest, WhatIsLeftOfABodyIsSkippedWhenItIsSmall) {
  auto client = Connect();
  client->Say(Post("/ignore", "small") + Get("/chunks"));
  EXPECT_THAT(client->Heard(), EndsWith("\r\n0\r\n\r\n"));
  EXPECT_FALSE(client->ended());

  client = Connect();
  client->Say("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  EXPECT_THAT(client->Heard(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(client->ended());
  EXPECT_FALSE(client->broken());
}

TEST_F(ServerTest, WithoutAnAnswerTheServerGivesOne) {
  auto client = Connect();
  client->Say(Get("/nothing"));
  EXPECT_THAT(client->Heard(), AllOf(StartsWith("HTTP/1.1 500 "), HasSubstr("error 500: ")));
  client->Say(Get("/inject"));
  EXPECT_THAT(client->Heard(), AllOf(StartsWith("HTTP/1.1 500 "), Not(HasSubstr("Set-Cookie"))));
  EXPECT_THAT(handler_.failures(), ElementsAre(Code::kInvalidArgument));
}

TEST_F(ServerTest, AnAnswerThatDoesNotEndIsABrokenOne) {
  for (std::string path : {"/half", "/short"}) {
    auto client = Connect();
    client->Say(Get(path));
    EXPECT_TRUE(client->broken()) << path;
  }
  auto client = Connect();
  client->Say("GET /half HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(client->broken()) << "where a close would be the end of the body";
}

class Malformed : public ServerTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(Malformed, IsAnswered400AndClosed) {
  auto client = Connect();
  client->Say(GetParam());
  EXPECT_THAT(client->Heard(), AllOf(StartsWith("HTTP/1.1 400 Bad Request\r\n"),
                                     HasSubstr("Connection: close\r\n"), HasSubstr("error 400: ")));
  EXPECT_TRUE(client->ended());
  EXPECT_FALSE(client->broken()) << "the client must see the answer";
  EXPECT_EQ(counters().refused, 1u);
  EXPECT_THAT(handler_.request().target, "");
}

INSTANTIATE_TEST_SUITE_P(
    Requests, Malformed,
    ::testing::Values(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n11111111111111111\r\nabc",
        "GET /hello HTTP/1.1\nHost: a\n\n",     // at once, not after a timeout
        "\x16\x03\x01\x02",                     // TLS
        "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"  //
        ));

TEST_F(ServerTest, LongHeadsOfChunksAndTrailersAreRefused) {
  const std::string head(kChunkedPost);
  EXPECT_THAT(Ask(head + "1;x=" + std::string(9000, 'x')), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask(head + "0\r\nT: " + std::string(9000, 'x')), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask(head + "1;x=" + std::string(7000, 'x') + "\r\na\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, LongHeadsAreRefused) {
  limits_.max_head_bytes = 1000;
  limits_.max_headers = 4;
  EXPECT_THAT(Ask(Get("/hello", "A: " + std::string(900, 'x') + "\r\n")),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask(Get("/hello", "A: " + std::string(1000, 'x') + "\r\n")),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(Ask("GET /" + std::string(1000, 'x')), StartsWith("HTTP/1.1 431")) << "without end";
  EXPECT_THAT(Ask(Get("/hello", "A: 1\r\nB: 2\r\nC: 3\r\n")), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask(Get("/hello", "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n")), StartsWith("HTTP/1.1 431"));
}

TEST_F(ServerTest, LongBodiesAreRefused) {
  const size_t over = testing::kEchoLimit + 1;
  auto client = Connect();
  client->Say(fmt::format("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", over));
  EXPECT_THAT(client->Heard(), StartsWith("HTTP/1.1 413")) << "before it comes";

  EXPECT_THAT(Ask(std::string(kChunkedPost) + fmt::format("{:x}\r\n", over) +
                  std::string(over, 'x') + "\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(handler_.failures(), ElementsAre(Code::kOutOfRange, Code::kOutOfRange));
}

TEST_F(ServerTest, MemoryForBodiesIsLimitedOverAllConnections) {
  limits_.body_memory = 1500;
  auto first = Connect();
  first->Say(Post("/wait", std::string(1000, 'x')));
  EXPECT_EQ(counters().body_memory, 1000u);
  EXPECT_THAT(Ask(Post("/echo", std::string(1000, 'x'))),
              AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After: 1\r\n")));
  handler_.Release();
  sim_.RunUntilIdle();
  EXPECT_EQ(counters().body_memory, 0u);
  EXPECT_THAT(Ask(Post("/echo", std::string(1000, 'x'))), StartsWith("HTTP/1.1 200"));
}

std::string PostGzip(std::string_view path, std::string_view text) {
  return Post(path, Gzip(text), "Content-Encoding: gzip\r\n");
}

TEST_F(ServerTest, CompressedBodiesAreReadDecompressed) {
  auto client = Connect();
  client->Say(PostGzip("/echo", "one"));
  EXPECT_EQ(client->Heard(), Ok("one"));
  client->Say(Post("/echo", Zstd("two"), "Content-Encoding: ZSTD\r\n"));
  EXPECT_EQ(client->Heard(), Ok("two"));
  const std::string encoded = Gzip("three");
  client->Say(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  for (char byte : encoded) client->Say(fmt::format("1\r\n{}\r\n", byte));
  client->Say("0\r\n\r\n");
  EXPECT_EQ(client->Heard(), Ok("three"));
  client->Say(Post("/echo", "", "Content-Encoding: gzip\r\n"));
  EXPECT_EQ(client->Heard(), Ok(""));
  client->Say(PostGzip("/ignore", std::string(100'000, 'x')) + Post("/echo", "plain"));
  EXPECT_THAT(client->Heard(), AllOf(HasSubstr("ignored"), EndsWith(Ok("plain"))));
  EXPECT_FALSE(client->ended());
}

TEST_F(ServerTest, LimitsOfBodiesCountWhatTheyBecome) {
  EXPECT_EQ(Ask(PostGzip("/echo", std::string(testing::kEchoLimit, 'x'))),
            Ok(std::string(testing::kEchoLimit, 'x')));
  EXPECT_THAT(Ask(PostGzip("/echo", std::string(testing::kEchoLimit + 1, 'x'))),
              StartsWith("HTTP/1.1 413"));
}

TEST_F(ServerTest, WhatGrowsTooMuchIsRefused) {
  limits_.body_ratio_max = 10;
  EXPECT_THAT(Ask(PostGzip("/pieces", std::string(4u << 20, 'x'))),
              AllOf(StartsWith("HTTP/1.1 413"), HasSubstr("10 times")));
}

TEST_F(ServerTest, BadCompressionIsTold) {
  EXPECT_THAT(Ask(Post("/echo", "plain", "Content-Encoding: gzip\r\n")),
              StartsWith("HTTP/1.1 400"));
  std::string cut = Gzip("text");
  cut.pop_back();
  EXPECT_THAT(Ask(Post("/echo", cut, "Content-Encoding: gzip\r\n")),
              AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("cut off")));
  for (const char* other : {"br", "gzip, zstd"}) {
    EXPECT_THAT(Ask(Post("/echo", "text", fmt::format("Content-Encoding: {}\r\n", other))),
                AllOf(StartsWith("HTTP/1.1 415"), HasSubstr("Accept-Encoding: gzip, zstd\r\n"),
                      HasSubstr("one of gzip, zstd")));
  }
}

TEST_F(ServerTest, DecompressedBytesAndWindowsCountAsMemory) {
  limits_.body_memory = 1u << 20;
  EXPECT_THAT(Ask(Post("/echo", Zstd("text", 3, 23), "Content-Encoding: zstd\r\n")),
              StartsWith("HTTP/1.1 503"))
      << "a window of 8 MiB";
  EXPECT_THAT(Ask(PostGzip("/echo", std::string(1'040'000, 'x'))), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Ask(PostGzip("/echo", std::string(900'000, 'x'))), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(counters().body_memory, 0u);
}

TEST_F(ServerTest, DecompressingGoesOnTurnByTurn) {
  limits_.body_ratio_max = 1'000'000;
  auto big = Connect();
  auto other = Connect();
  // Both are there before the loop runs: the small one is not behind all of the large one.
  big->SayLater(PostGzip("/pieces", std::string(20u << 20, 'x')));
  other->SayLater(Post("/echo", "quick"));
  ASSERT_TRUE(sim_.RunUntil([&] { return !other->Heard().empty(); }, 1min));
  EXPECT_EQ(big->Heard(), "");
  sim_.RunUntilIdle();
  EXPECT_THAT(big->Heard(), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, AnIdleConnectionKeepsLittleMemory) {
  if (::mallinfo2().uordblks == 0) GTEST_SKIP() << "this allocator does not tell";
  constexpr size_t kClients = 50;
  std::vector<std::unique_ptr<RawClient>> clients(kClients);
  const size_t before = ::mallinfo2().uordblks;
  for (auto& client : clients) {
    client = Connect(1000);
    client->Say(Post("/echo", std::string(20'000, 'x')));
    EXPECT_THAT(client->Heard(), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_LT((::mallinfo2().uordblks - before) / kClients, 32u << 10) << "both ends and the test's";
}

TEST_F(ServerTest, IdleConnectionsAreClosed) {
  auto client = Connect();
  sim_.RunFor(limits_.idle_timeout - 1ms);
  EXPECT_FALSE(client->ended());
  client->Say(Get("/hello"));
  sim_.RunFor(limits_.idle_timeout - 1ms);
  EXPECT_FALSE(client->ended());
  client->Heard();
  sim_.RunFor(1ms);
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(client->Heard(), "");
}

TEST_F(ServerTest, ASlowHeadIsAnswered408) {
  auto client = Connect();
  sim_.RunFor(30s);
  client->Say("GET /hello");
  for (int i = 0; i < 9; ++i) {
    sim_.RunFor(1s);
    client->Say("x");
  }
  sim_.RunFor(999ms);
  EXPECT_EQ(client->Heard(), "") << "it has 10 s from its first byte";
  sim_.RunFor(1ms);
  EXPECT_THAT(client->Heard(), StartsWith("HTTP/1.1 408"));
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(counters().refused, 1u);
}

TEST_F(ServerTest, AStalledBodyIsAnswered408) {
  auto client = Connect();
  client->Say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  sim_.RunFor(29s);
  client->Say(std::string(60'000, 'x'));
  sim_.RunFor(29s);
  EXPECT_EQ(client->Heard(), "");
  sim_.RunFor(1s);
  EXPECT_THAT(client->Heard(), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(handler_.failures(), ElementsAre(Code::kDeadlineExceeded));
}

TEST_F(ServerTest, ABodyThatTricklesIsAnswered408) {
  auto client = Connect();
  client->Say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  int seconds = 0;
  for (; seconds < 200 && !client->ended(); ++seconds) {
    client->Say(std::string(512, 'x'));
    sim_.RunFor(1s);
  }
  EXPECT_THAT(client->Heard(), StartsWith("HTTP/1.1 408"));
  EXPECT_NEAR(seconds, 60, 2) << "half of the pace uses up the first 30 s in 60";
}

TEST_F(ServerTest, AHandlerThatReadsSlowlyIsNotHeldAgainstTheClient) {
  limits_.body_rate_min = 100'000;
  auto client = Connect();
  client->Say(Post("/slow", std::string(300'000, 'x')));
  sim_.RunFor(10min);
  EXPECT_THAT(client->Heard(), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(handler_.failures(), IsEmpty());
}

TEST_F(ServerTest, AClientThatDoesNotReadIsCutOff) {
  auto client = Connect(1000, false);
  client->Say(Get("/big"));
  sim_.RunFor(limits_.write_stall - 1ms);
  EXPECT_EQ(counters().open, 1u);
  EXPECT_EQ(counters().cut, 0u);
  sim_.RunFor(1ms);
  EXPECT_EQ(counters().open, 0u);
  EXPECT_EQ(counters().cut, 1u);
  EXPECT_THAT(handler_.failures(), ElementsAre(Code::kUnavailable));
}

TEST_F(ServerTest, AClientThatIsCutOffDoesNotTakeTheAnswerForWhole) {
  auto client = Connect(1000, false);
  client->Say("GET /big HTTP/1.0\r\n\r\n");
  sim_.RunFor(limits_.write_stall);
  client->ReadOn();
  sim_.RunUntilIdle();
  EXPECT_TRUE(client->broken());
}

TEST_F(ServerTest, ALargeAnswerPassesASmallWindow) {
  auto client = Connect(1000);
  client->Say(Get("/big"));
  EXPECT_THAT(client->Heard(), EndsWith("\r\n\r\n" + std::string(testing::kBigAnswer, 'b')));
}

TEST_F(ServerTest, AHangUpIsSeenWhileTheHandlerRuns) {
  auto client = Connect();
  client->Say(Post("/wait", "body"));
  EXPECT_EQ(handler_.waiting(), 1u);
  client->HangUp();
  EXPECT_EQ(handler_.waiting(), 0u);
  EXPECT_EQ(handler_.gone(), 1u);
  EXPECT_EQ(counters().open, 0u);
}

TEST_F(ServerTest, AHangUpBehindAPipelinedRequestIsSeenByBoth) {
  auto client = Connect();
  client->Say(Get("/wait") + Get("/wait"));
  client->EndSending();
  EXPECT_EQ(handler_.gone(), 2u);
  EXPECT_EQ(counters().open, 0u);
}

TEST_F(ServerTest, AHangUpInTheMiddleOfABody) {
  auto client = Connect();
  client->Say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  client->HangUp();
  EXPECT_THAT(handler_.failures(), ElementsAre(Code::kUnavailable));
  EXPECT_EQ(counters().open, 0u);
}

TEST_F(ServerTest, TooManyConnectionsAreTold) {
  limits_.max_connections = 2;
  auto first = Connect();
  auto second = Connect();
  auto third = Connect();
  EXPECT_THAT(third->Heard(), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After: 1\r\n"),
                                    HasSubstr("Connection: close\r\n")));
  EXPECT_TRUE(third->ended());
  EXPECT_FALSE(third->broken());
  EXPECT_EQ(counters().refused, 1u);
  EXPECT_EQ(counters().open, 3u) << "until it closes, too";
  sim_.RunFor(1s);
  EXPECT_EQ(counters().open, 2u) << "or a second has passed";
  first->HangUp();
  auto fourth = Connect();
  fourth->Say(Get("/hello"));
  EXPECT_THAT(fourth->Heard(), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, ConnectionsBeyondThoseThatAreToldAreClosed) {
  limits_.max_connections = 1;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 258; ++i) clients.push_back(Connect());
  EXPECT_EQ(counters().open, 257u);
  EXPECT_EQ(clients.back()->Heard(), "");
  EXPECT_TRUE(clients.back()->ended());
}

TEST_F(ServerTest, AcceptingGoesOnWhenDescriptorsAreBack) {
  server();
  listener_->FailOnce();
  auto client = Connect();
  client->Say(Get("/hello"));
  EXPECT_EQ(client->Heard(), "");
  sim_.RunFor(100ms);
  EXPECT_THAT(client->Heard(), EndsWith("hello"));
}

TEST_F(ServerTest, TheAnswerIsSeenByAClientThatGoesOnSending) {
  auto client = Connect();
  client->Say("nonsense\r\n\r\n" + std::string(100'000, 'x'));
  EXPECT_THAT(client->Heard(), StartsWith("HTTP/1.1 400"));
  EXPECT_FALSE(client->broken());
}

TEST_F(ServerTest, LingeringIsBounded) {
  auto client = Connect();
  client->Say("nonsense\r\n\r\n");
  EXPECT_EQ(counters().open, 1u);
  sim_.RunFor(1s);
  EXPECT_EQ(counters().open, 0u);

  client = Connect();
  client->Say("nonsense\r\n\r\n" + std::string(2u << 20, 'x'));
  EXPECT_EQ(counters().open, 0u) << "at once";
}

TEST_F(ServerTest, StopWaitsForExchangesAndClosesTheRest) {
  auto idle = Connect();
  auto half = Connect();
  half->Say("GET /hel");
  auto busy = Connect();
  busy->Say(Get("/wait") + Get("/hello"));
  sim_.CallAt(sim_.clock().Steady() + 3s, [this] { handler_.Release(); });
  const auto begin = sim_.clock().Steady();
  Stop(begin + 10s);
  EXPECT_GE(sim_.clock().Steady() - begin, 3s);
  EXPECT_LE(sim_.clock().Steady() - begin, 4s);
  sim_.RunUntilIdle();
  EXPECT_TRUE(idle->ended());
  EXPECT_TRUE(half->ended());
  EXPECT_THAT(busy->Heard(), AllOf(HasSubstr("Connection: close\r\n"), EndsWith("waited")))
      << "and nothing behind it";
  EXPECT_EQ(counters().open, 0u);
  EXPECT_EQ(counters().cut, 0u);
  server_.reset();
}

TEST_F(ServerTest, NothingIsServedBehindAnAnswerThatWasBegunBeforeStop) {
  auto client = Connect(1000, false);
  client->Say(Get("/big") + Get("/hello"));
  sim_.CallAt(sim_.clock().Steady() + 1s, [&] { client->ReadOn(); });
  Stop(sim_.clock().Steady() + 10s);
  sim_.RunUntilIdle();
  EXPECT_THAT(client->Heard(), AllOf(EndsWith("bbb"), Not(HasSubstr("hello"))));
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(counters().cut, 0u);
  server_.reset();
}

TEST_F(ServerTest, StopCutsWhatRunsAtItsDeadline) {
  auto waiting = Connect();
  waiting->Say(Get("/wait"));
  auto reading = Connect();
  reading->Say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  auto deaf = Connect(1000, false);
  deaf->Say(Get("/big"));
  const auto deadline = sim_.clock().Steady() + 5s;
  Stop(deadline);
  EXPECT_EQ(sim_.clock().Steady(), deadline);
  EXPECT_EQ(handler_.gone(), 1u);
  EXPECT_EQ(counters().cut, 3u);
  EXPECT_EQ(counters().open, 0u);
  server_.reset();
}

TEST_F(ServerTest, TheDateIsThatOfTheAnswer) {
  EXPECT_THAT(Ask(Get("/hello")), HasSubstr("Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"));
  sim_.RunFor(36h + 1s);
  EXPECT_THAT(Ask(Get("/hello")), HasSubstr("Date: Fri, 02 Jan 2026 12:00:01 GMT\r\n"));
}

}  // namespace
}  // namespace inferq::http
