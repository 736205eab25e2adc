#include "engine/remote/remote_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "http/asio_dialer.h"
#include "http/testing/test_server.h"
#include "runtime/event.h"

namespace inferq::engine {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using http::testing::Answer;
using http::testing::Hangup;
using http::testing::Held;
using http::testing::Reply;
using http::testing::Seen;
using http::testing::TestServer;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::string_view kGood =
    R"({"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]})";
constexpr std::string_view kKey = "sk-topsecret";

Reply Good(const Seen&) { return Answer(200, kGood); }
// Whether a request is the engine's own question for models.
bool IsProbe(const Seen& seen) { return seen.target.ends_with("/models"); }

Request Ask(std::string body = R"({"messages":[],"temperature":0.10,"n":1e0})") {
  Request request;
  request.id = "a1";
  request.body = std::move(body);
  return request;
}

Awaitable<Result<Delta>> SubmitAndCollect(Engine& engine, Request request) {
  INFERQ_CO_ASSIGN(auto generation, engine.Submit(std::move(request)));
  co_return co_await Collect(*generation);
}

std::string Text(const Result<Delta>& result) {
  return result ? "answer: " + result->text : result.error().ToString();
}
std::string Text(const Result<>& result) { return result ? "ok" : result.error().ToString(); }

class RemoteEngineTest : public testing::Test {
 public:
  using Body = Awaitable<void> (*)(RemoteEngineTest&, Engine&);

  RemoteOptions Options() {
    return {.base_url = server_.url(),
            .api_key = std::string(kKey),
            .first_pause = 1ms,
            .longest_pause = 4ms};
  }
  // Makes an engine, starts it when `start`, runs `body`, stops everything.
  void Run(RemoteOptions options, Body body, bool start = true) {
    std::shared_ptr<runtime::Dialer> dialer = *http::MakeAsioDialer(runtime_);
    auto engine = *MakeRemoteEngine(runtime_, std::move(dialer), std::move(options));
    runtime_.SpawnDetached(RunAll(*engine, body, start));
    runtime_.Run();
  }
  // Starts an engine and runs one request.
  Result<Delta> RunOne(Request request) {
    request_ = std::move(request);
    Run(Options(), [](RemoteEngineTest& t, Engine& engine) -> Awaitable<void> {
      t.answer_ = co_await SubmitAndCollect(engine, std::move(t.request_));
    });
    return answer_;
  }
  Result<> StartOnly(RemoteOptions options) {
    Run(
        std::move(options),
        [](RemoteEngineTest& t, Engine& engine) -> Awaitable<void> {
          t.started_ = co_await engine.Start();
        },
        false);
    return started_;
  }
  // Requests that are not probes.
  std::vector<Seen> Asked() const {
    std::vector<Seen> asked = server_.seen();
    std::erase_if(asked, IsProbe);
    return asked;
  }

  // Public, with a member's name: the tests' bodies are functions that get the fixture.
  // NOLINTBEGIN(readability-identifier-naming)
  runtime::AsioRuntime runtime_;
  TestServer server_{runtime_, Good};
  Request request_;
  Result<Delta> answer_;
  Result<> started_;
  // NOLINTEND(readability-identifier-naming)

 private:
  Awaitable<void> RunAll(Engine& engine, Body body, bool start) {
    if (start) {
      auto started = co_await engine.Start();
      EXPECT_TRUE(started) << started.error().ToString();
    }
    co_await body(*this, engine);
    co_await engine.Stop();
    co_await server_.Stop();
    runtime_.Stop();
  }
};

TEST_F(RemoteEngineTest, TheBodyPassesUntouched) {
  auto answer = RunOne(Ask());
  EXPECT_EQ(Text(answer), "answer: ok");
  EXPECT_EQ(answer->raw_response, kGood);
  ASSERT_EQ(Asked().size(), 1u);
  const Seen seen = Asked()[0];
  EXPECT_EQ(seen.method + " " + seen.target, "POST /v1/chat/completions");
  EXPECT_EQ(seen.body, Ask().body);
  EXPECT_EQ(http::FindHeader(seen.headers, "authorization"), "Bearer " + std::string(kKey));
  EXPECT_EQ(http::FindHeader(seen.headers, "x-request-id"), "a1");
}

TEST_F(RemoteEngineTest, OnlyModelAndStreamAreReplaced) {
  Request request =
      Ask(R"({"stream":true,"messages":[{"a": 1.0}],"model":"x","seed":12345678901234567890})");
  request.model = "other";
  (void)RunOne(std::move(request));
  EXPECT_EQ(
      Asked().at(0).body,
      R"({"stream":false,"messages":[{"a": 1.0}],"model":"other","seed":12345678901234567890})");
}

TEST_F(RemoteEngineTest, AMissingModelIsFilledIn) {
  Request request = Ask("{}");
  request.model = "m";
  (void)RunOne(std::move(request));
  EXPECT_EQ(Asked().at(0).body, R"({"model":"m"})");
}

TEST_F(RemoteEngineTest, PlainCompletionsHaveTheirPath) {
  Request request = Ask(R"({"prompt":"x"})");
  request.endpoint = Endpoint::kCompletions;
  (void)RunOne(std::move(request));
  EXPECT_EQ(Asked().at(0).target, "/v1/completions");
}

TEST_F(RemoteEngineTest, EmbeddingsPassUntouchedBothWays) {
  constexpr std::string_view kVectors =
      R"({"object":"list", "data":[{"embedding":"AACAPw=="}],"usage":{"prompt_tokens":4},"x":1})";
  server_.set_handler([=](const Seen& seen) {
    return seen.method == "GET" ? Answer(200, "{}") : Answer(200, std::string(kVectors));
  });
  Request request = Ask(R"({"model":"m", "input":["x"],"later":1})");
  request.endpoint = Endpoint::kEmbeddings;
  auto answer = RunOne(std::move(request));
  EXPECT_EQ(Asked().at(0).target, "/v1/embeddings");
  EXPECT_EQ(Asked().at(0).body, R"({"model":"m", "input":["x"],"later":1})");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->raw_response, kVectors);
  EXPECT_EQ(answer->text, "");
  EXPECT_EQ(answer->finish_reason, FinishReason::kStop);
  EXPECT_EQ(answer->usage.prompt_tokens, 4u);
}

TEST_F(RemoteEngineTest, TheServersRefusalIsHandedOn) {
  server_.set_handler([](const Seen& seen) {
    return IsProbe(seen) ? Good(seen)
                         : Answer(400, R"({"error":{"message":"too hot","param":"temperature"}})");
  });
  auto answer = RunOne(Ask());
  EXPECT_THAT(Text(answer), AllOf(HasSubstr("invalid_argument"), HasSubstr("too hot")));
  EXPECT_EQ(answer.error().param(), "body.temperature");
}

TEST_F(RemoteEngineTest, ATooManyRequestsSaysHowLongToWaitAndPausesTheEngine) {
  server_.set_handler([](const Seen& seen) {
    return IsProbe(seen)
               ? Good(seen)
               : Answer(429, R"({"error":{"message":"slow down"}})", "Retry-After: 7\r\n");
  });
  Run(Options(), [](RemoteEngineTest&, Engine& engine) -> Awaitable<void> {
    auto answer = co_await SubmitAndCollect(engine, Ask());
    EXPECT_THAT(Text(answer), AllOf(HasSubstr("resource_exhausted"), HasSubstr("slow down")));
    EXPECT_EQ(answer.error().retry_after(), 7s);
    EXPECT_FALSE(engine.capacity().ready);
  });
}

TEST_F(RemoteEngineTest, FailuresOfTheServerAreUnavailable) {
  Reply cut{.parts = {{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"choices\""}},
            .then = Reply::Then::kClose};
  std::vector<std::pair<Reply, std::string>> cases{
      {Answer(500, "oops"), "oops"},     {Answer(200, "<html>hello</html>"), "not JSON"},
      {Answer(200, "{}"), "no choices"}, {Hangup(), "closed the connection before it answered"},
      {cut, "broke off its answer"},
  };
  size_t at = 0;
  server_.set_handler(
      [&](const Seen& seen) { return IsProbe(seen) ? Good(seen) : cases[at].first; });
  static std::vector<Result<Delta>> answers;
  static size_t* which;
  answers.clear();
  which = &at;
  RemoteOptions options = Options();
  options.failures_to_pause = 100;
  Run(options, [](RemoteEngineTest&, Engine& engine) -> Awaitable<void> {
    for (*which = 0; *which < 5; ++*which)
      answers.push_back(co_await SubmitAndCollect(engine, Ask()));
    EXPECT_TRUE(engine.capacity().ready);
  });
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_THAT(Text(answers[i]), AllOf(HasSubstr("unavailable: "), HasSubstr(cases[i].second)));
  }
}

TEST_F(RemoteEngineTest, ASlowAnswerIsGivenUp) {
  server_.set_handler(
      [](const Seen& seen) { return IsProbe(seen) ? Good(seen) : Held(Good(seen)); });
  RemoteOptions options = Options();
  options.answer_timeout = 20ms;
  Run(options, [](RemoteEngineTest&, Engine& engine) -> Awaitable<void> {
    EXPECT_THAT(Text(co_await SubmitAndCollect(engine, Ask())), HasSubstr("unavailable"));
  });
}

TEST_F(RemoteEngineTest, FailuresInARowPauseTheEngineUntilAProbeSucceeds) {
  // Requests fail three times, the first two probes after that too; then all is well.
  server_.set_handler([requests = 0, probes = 0](const Seen& seen) mutable {
    if (IsProbe(seen)) ++probes;
    bool still_loading = probes == 2 || probes == 3;
    if (IsProbe(seen)) return still_loading ? Answer(503, "loading") : Good(seen);
    ++requests;
    return requests <= 3 ? Answer(500, "oops") : Good(seen);
  });
  Run(Options(), [](RemoteEngineTest& t, Engine& engine) -> Awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(engine.capacity().ready);
      EXPECT_FALSE(co_await SubmitAndCollect(engine, Ask()));
    }
    EXPECT_FALSE(engine.capacity().ready);
    EXPECT_TRUE(co_await SubmitAndCollect(engine, Ask()));  // waits for the probes
    EXPECT_TRUE(engine.capacity().ready);
    EXPECT_EQ(t.Asked().size(), 4u);
    EXPECT_EQ(t.server_.seen().size() - t.Asked().size(), 4u);
  });
}

TEST_F(RemoteEngineTest, OtherAnswersBreakARowOfFailures) {
  server_.set_handler([requests = 0](const Seen& seen) mutable {
    if (IsProbe(seen)) return Good(seen);
    return ++requests % 3 == 0 ? Answer(400, "{}") : Answer(500, "oops");
  });
  Run(Options(), [](RemoteEngineTest&, Engine& engine) -> Awaitable<void> {
    for (int i = 0; i < 12; ++i) {
      EXPECT_FALSE(co_await SubmitAndCollect(engine, Ask()));
      EXPECT_TRUE(engine.capacity().ready) << i;
    }
  });
}

TEST_F(RemoteEngineTest, AServerThatGoesAwayPausesTheEngineAtOnce) {
  Run(Options(), [](RemoteEngineTest& t, Engine& engine) -> Awaitable<void> {
    co_await t.server_.Stop();
    EXPECT_TRUE(engine.capacity().ready);
    auto answer = co_await SubmitAndCollect(engine, Ask());
    EXPECT_THAT(Text(answer),
                AllOf(HasSubstr("unavailable"), HasSubstr("check that the server runs")));
    EXPECT_FALSE(engine.capacity().ready);
    auto waiting = engine.Submit(Ask());
    EXPECT_TRUE(waiting);
    EXPECT_EQ(engine.capacity().running, 0u);  // not thrown at a dead address
  });
}

TEST_F(RemoteEngineTest, StartSaysThatTheServerIsNotThere) {
  boost::asio::ip::tcp::acceptor bound(runtime_.io_context());  // has the port, but does not listen
  bound.open(boost::asio::ip::tcp::v4());
  bound.bind({boost::asio::ip::address_v4::loopback(), 0});
  RemoteOptions options = Options();
  options.base_url = fmt::format("http://127.0.0.1:{}", bound.local_endpoint().port());
  EXPECT_THAT(Text(StartOnly(options)),
              AllOf(HasSubstr("unavailable"), HasSubstr("check that the server runs")));
}

TEST_F(RemoteEngineTest, StartSaysWhetherTheKeyIsMissingOrWrong) {
  server_.set_handler(
      [](const Seen&) { return Answer(401, R"({"error":{"message":"who are you"}})"); });
  EXPECT_THAT(Text(StartOnly(Options())),
              AllOf(HasSubstr("unauthenticated"), HasSubstr("check the API key")));
}

TEST_F(RemoteEngineTest, StartSaysThatAKeyIsWanted) {
  server_.set_handler([](const Seen&) { return Answer(401, "{}"); });
  RemoteOptions options = Options();
  options.api_key.clear();
  EXPECT_THAT(Text(StartOnly(options)),
              AllOf(HasSubstr("unauthenticated"), HasSubstr("none was given")));
}

TEST_F(RemoteEngineTest, AServerWithoutModelsIsFine) {
  server_.set_handler([](const Seen&) { return Answer(404, "no such page"); });
  EXPECT_EQ(Text(StartOnly(Options())), "ok");
}

TEST_F(RemoteEngineTest, AServerThatIsStillLoadingIsNot) {
  server_.set_handler(
      [](const Seen&) { return Answer(503, R"({"error":{"message":"Loading model"}})"); });
  EXPECT_THAT(Text(StartOnly(Options())),
              AllOf(HasSubstr("unavailable"), HasSubstr("Loading model")));
}

TEST_F(RemoteEngineTest, TheKeyIsNeverShown) {
  std::string echo =
      fmt::format(R"({{"error":{{"message":"bad key {0}, {0}","param":"{0}"}}}})", kKey);
  server_.set_handler(
      [echo](const Seen& seen) { return IsProbe(seen) ? Good(seen) : Answer(400, echo); });
  auto answer = RunOne(Ask());
  ASSERT_FALSE(answer);
  EXPECT_THAT(Text(answer),
              AllOf(HasSubstr("bad key [key], [key]"), Not(HasSubstr(std::string(kKey)))));
  EXPECT_THAT(answer.error().param(), Not(HasSubstr(std::string(kKey))));
}

TEST_F(RemoteEngineTest, TheKeyIsNeverShownByStartOrDescribe) {
  std::string echo = fmt::format(R"({{"error":{{"message":"bad key {}"}}}})", kKey);
  server_.set_handler([echo](const Seen&) { return Answer(401, echo); });
  Run(
      Options(),
      [](RemoteEngineTest&, Engine& engine) -> Awaitable<void> {
        EXPECT_THAT(Text(co_await engine.Start()), Not(HasSubstr(std::string(kKey))));
        EXPECT_THAT(engine.Describe(),
                    AllOf(HasSubstr("remote http://"), Not(HasSubstr(std::string(kKey)))));
      },
      false);
}

constexpr std::string_view kChunk =
    R"({"choices":[{"index":0,"delta":{"content":"时"},"finish_reason":null}],"x":1.50})";
constexpr std::string_view kLastChunk = R"({"choices":[{"delta":{},"finish_reason":"length"}]})";
constexpr std::string_view kUsageChunk =
    R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}})";

// One event of a stream, as a chunk of HTTP.
std::string Event(std::string_view data) {
  std::string event = fmt::format("data: {}\n\n", data);
  return fmt::format("{:x}\r\n{}\r\n", event.size(), event);
}
constexpr std::string_view kStreamEnd = "0\r\n\r\n";

// A stream of these bytes, its head before them.
Reply Stream(std::vector<Reply::Part> parts) {
  parts.insert(parts.begin(), {.bytes = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                        "Transfer-Encoding: chunked\r\n\r\n"});
  return {.parts = std::move(parts)};
}
Reply GoodStream(size_t piece = 1u << 20) {
  std::string events = fmt::format("data: {}\n\ndata: {}\n\ndata: {}\n\ndata: [DONE]\n\n", kChunk,
                                   kLastChunk, kUsageChunk);
  return http::testing::ChunkedAnswer(events, piece, "Content-Type: text/event-stream\r\n");
}

Request AskForStream(std::string body = R"({"messages":[]})") {
  Request request = Ask(std::move(body));
  request.stream = true;
  return request;
}

class StreamTest : public RemoteEngineTest {
 public:
  // All requests but probes get this.
  void AnswerWith(Reply reply) {
    server_.set_handler([reply](const Seen& seen) { return IsProbe(seen) ? Good(seen) : reply; });
  }
};

class CutStream : public StreamTest, public testing::WithParamInterface<size_t> {};

TEST_P(CutStream, ChunksComeAsTheyAre) {
  AnswerWith(GoodStream(GetParam()));
  auto answer = RunOne(AskForStream(R"({"stream":false,"seed":1.0,"messages":[]})"));
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_THAT(answer->raw_chunks, ElementsAre(kChunk, kLastChunk));
  EXPECT_EQ(answer->text + answer->raw_response, "");
  EXPECT_EQ(answer->finish_reason, FinishReason::kLength);
  EXPECT_EQ(answer->usage.prompt_tokens, 7u);
  EXPECT_EQ(answer->tokens, 2u);
  EXPECT_EQ(Asked().at(0).body,
            R"({"stream":true,"seed":1.0,"messages":[],"stream_options":{"include_usage":true}})");
}

INSTANTIATE_TEST_SUITE_P(Pieces, CutStream, testing::Values(1, 2, 3, 7, 50, 10'000));

TEST_F(StreamTest, TheUsageIsHandedOnToAClientThatAskedForIt) {
  AnswerWith(GoodStream());
  auto answer = RunOne(AskForStream(R"({"stream":true,"stream_options":{"include_usage":true}})"));
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->raw_chunks, ElementsAre(kChunk, kLastChunk, kUsageChunk));
}

TEST_F(StreamTest, AJsonAnswerIsTakenAllTheSame) {
  auto answer = RunOne(AskForStream());
  EXPECT_EQ(Text(answer), "answer: ok");
  EXPECT_EQ(answer->raw_response, kGood);
  EXPECT_THAT(answer->raw_chunks, IsEmpty());
}

TEST_F(StreamTest, ARefusalBeforeTheStreamIsHandedOn) {
  AnswerWith(Answer(429, R"({"error":{"message":"slow down"}})", "Retry-After: 7\r\n"));
  auto answer = RunOne(AskForStream());
  EXPECT_THAT(Text(answer), AllOf(HasSubstr("resource_exhausted"), HasSubstr("slow down")));
  EXPECT_EQ(answer.error().retry_after(), 7s);
}

TEST_F(StreamTest, ACompressedStreamIsRefused) {
  AnswerWith(http::testing::ChunkedAnswer(
      "x", 1, "Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"));
  EXPECT_THAT(Text(RunOne(AskForStream())), HasSubstr("gzip"));
}

// Reads the first chunk while the rest is held, lets the rest come, reads it.
Awaitable<void> ReadAcross(RemoteEngineTest& t, Engine& engine) {
  auto generation = *engine.Submit(AskForStream());
  auto first = co_await generation->Next();
  EXPECT_TRUE(first) << first.error().ToString();
  if (!first) co_return;
  EXPECT_THAT(first->raw_chunks, ElementsAre(kChunk));
  EXPECT_FALSE(first->finish_reason);
  t.server_.Release();
  t.answer_ = co_await Collect(*generation);
}

TEST_F(StreamTest, AChunkIsReadBeforeTheNextIsSent) {
  AnswerWith(Stream({{.bytes = Event(kChunk)},
                     {.bytes = Event(kLastChunk) + Event("[DONE]"), .held = true},
                     {.bytes = std::string(kStreamEnd)}}));
  Run(Options(), ReadAcross);
  EXPECT_THAT(answer_->raw_chunks, ElementsAre(kLastChunk));
}

TEST_F(StreamTest, AnErrorEventEndsItWithoutTheKey) {
  std::string error =
      fmt::format(R"({{"error":{{"message":"bad key {0}","code":400,"param":"{0}"}}}})", kKey);
  AnswerWith(Stream({{.bytes = Event(kChunk)}, {.bytes = Event(error), .held = true}}));
  Run(Options(), ReadAcross);
  ASSERT_FALSE(answer_);
  EXPECT_THAT(Text(answer_), AllOf(HasSubstr("invalid_argument"), HasSubstr("bad key [key]"),
                                   Not(HasSubstr(std::string(kKey)))));
  EXPECT_THAT(answer_.error().param(), Not(HasSubstr(std::string(kKey))));
}

TEST_F(StreamTest, AnEndWithoutDoneIsACut) {
  AnswerWith(Stream({{.bytes = Event(kChunk)}, {.bytes = std::string(kStreamEnd), .held = true}}));
  Run(Options(), ReadAcross);
  EXPECT_THAT(Text(answer_), AllOf(HasSubstr("unavailable"), HasSubstr("cut off")));
}

TEST_F(StreamTest, ABrokenConnectionIsACut) {
  Reply reply = Stream({{.bytes = Event(kChunk)}, {.bytes = Event(kChunk), .held = true}});
  reply.then = Reply::Then::kClose;
  AnswerWith(std::move(reply));
  Run(Options(), ReadAcross);
  EXPECT_THAT(Text(answer_), AllOf(HasSubstr("unavailable"), HasSubstr("broke off")));
}

TEST_F(StreamTest, CutStreamsPauseTheEngine) {
  AnswerWith(Stream({{.bytes = Event(kChunk) + std::string(kStreamEnd)}}));
  Run(Options(), [](RemoteEngineTest&, Engine& engine) -> Awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(engine.capacity().ready);
      EXPECT_FALSE(co_await SubmitAndCollect(engine, AskForStream()));
    }
    EXPECT_FALSE(engine.capacity().ready);
  });
}

TEST_F(StreamTest, CancelInTheMiddleHangsUp) {
  AnswerWith(Stream({{.bytes = Event(kChunk)}, {.bytes = Event(kLastChunk), .held = true}}));
  Run(Options(), [](RemoteEngineTest& t, Engine& engine) -> Awaitable<void> {
    auto generation = *engine.Submit(AskForStream());
    (void)co_await generation->Next();
    co_await t.server_.Until([&t] { return t.server_.held() == 1; });
    generation->Cancel();
    auto end = co_await generation->Next();
    EXPECT_TRUE(end && end->finish_reason == FinishReason::kCancelled);
    co_await t.server_.Until([&t] { return t.server_.hangups() == 1; });
    EXPECT_TRUE(engine.capacity().ready);
  });
}

TEST_F(StreamTest, AStallAfterTheFirstChunkIsGivenUpButNotOneBeforeIt) {
  // The first request waits for its first chunk, the second one for its next.
  server_.set_handler([](const Seen& seen) {
    if (IsProbe(seen)) return Good(seen);
    std::vector<Reply::Part> parts{{.bytes = Event(kLastChunk) + Event("[DONE]"), .held = true},
                                   {.bytes = std::string(kStreamEnd)}};
    if (seen.body.contains("stall")) parts.insert(parts.begin(), {.bytes = Event(kChunk)});
    return Stream(std::move(parts));
  });
  RemoteOptions options = Options();
  options.idle_timeout = 20ms;
  Run(options, [](RemoteEngineTest& t, Engine& engine) -> Awaitable<void> {
    auto patient = *engine.Submit(AskForStream());
    co_await t.server_.Until([&t] { return t.server_.held() == 1; });
    auto stalled = co_await SubmitAndCollect(engine, AskForStream(R"({"seed":"stall"})"));
    EXPECT_THAT(Text(stalled), AllOf(HasSubstr("unavailable"), HasSubstr("sent nothing")));
    t.server_.Release();
    EXPECT_THAT(Text(co_await Collect(*patient)), HasSubstr("answer: "));
  });
}

TEST_F(StreamTest, AFirstChunkThatNeverComesIsGivenUp) {
  AnswerWith(Stream({{.bytes = Event(kChunk), .held = true}}));
  RemoteOptions options = Options();
  options.answer_timeout = options.idle_timeout = 20ms;
  Run(options, [](RemoteEngineTest&, Engine& engine) -> Awaitable<void> {
    EXPECT_THAT(Text(co_await SubmitAndCollect(engine, AskForStream())), HasSubstr("unavailable"));
  });
}

TEST_F(StreamTest, TheConnectionIsKept) {
  AnswerWith(Stream({{.bytes = Event(kChunk)},
                     {.bytes = Event(kLastChunk) + Event("[DONE]")},
                     {.bytes = std::string(kStreamEnd), .held = true}}));
  Run(Options(), [](RemoteEngineTest& t, Engine& engine) -> Awaitable<void> {
    auto generation = *engine.Submit(AskForStream());
    (void)co_await generation->Next();
    co_await t.server_.Until([&t] { return t.server_.held() == 1; });
    t.server_.Release();
    EXPECT_TRUE(co_await Collect(*generation));
    EXPECT_TRUE(co_await SubmitAndCollect(engine, AskForStream()));
    EXPECT_EQ(t.server_.accepted(), 1u);  // the probe's, too
  });
}

class BaseUrl : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(BaseUrl, IsBroughtIntoShape) {
  runtime::AsioRuntime runtime;
  std::shared_ptr<runtime::Dialer> dialer = *http::MakeAsioDialer(runtime);
  auto engine = MakeRemoteEngine(runtime, dialer, {.base_url = GetParam().first});
  ASSERT_TRUE(engine) << engine.error().ToString();
  EXPECT_EQ((*engine)->Describe(), fmt::format("remote {}", GetParam().second));
}

INSTANTIATE_TEST_SUITE_P(Urls, BaseUrl,
                         testing::Values(std::pair("http://h:8000", "http://h:8000/v1"),
                                         std::pair("http://h:8000/", "http://h:8000/v1"),
                                         std::pair("http://h:8000/v1", "http://h:8000/v1"),
                                         std::pair("http://h:8000/v1/", "http://h:8000/v1"),
                                         std::pair("https://h/api/v4", "https://h/api/v4"),
                                         std::pair(" http://h/v1/chat/completions\n",
                                                   "http://h/v1"),
                                         std::pair("http://h/v1/completions", "http://h/v1")));

TEST(RemoteOptions, BadOnesAreRefused) {
  runtime::AsioRuntime runtime;
  std::shared_ptr<runtime::Dialer> dialer = *http::MakeAsioDialer(runtime);
  for (const RemoteOptions& bad :
       {RemoteOptions{.base_url = "host:8000"}, RemoteOptions{.base_url = "http://h/?a=b"},
        RemoteOptions{.base_url = "http://u:p@h/"},
        RemoteOptions{.base_url = "http://h", .api_key = "a\r\nb-secret"},
        RemoteOptions{.base_url = "http://h", .slots = 0}}) {
    auto engine = MakeRemoteEngine(runtime, dialer, bad);
    ASSERT_FALSE(engine);
    EXPECT_EQ(engine.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(engine.error().message(), Not(HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace inferq::engine
