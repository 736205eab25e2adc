#include "api/answer_events.h"
#include "api/testing/fixture.h"

namespace inferq::api {
namespace {

using base::Code;
using base::Error;
using engine::FinishReason;
using ::testing::ElementsAre;
using testing::End;
using testing::FakeExchange;
using testing::GatewayTest;
using ::testing::HasSubstr;
using testing::Text;
using namespace std::chrono_literals;

constexpr const char* kPlain = R"({"messages":[{"role":"user","content":"Hi"}],"model":"m"})";
constexpr const char* kStream =
    R"({"messages":[{"role":"user","content":"Hi"}],"model":"m","stream":true})";

/// What stands in the data lines of a stream, as strict as the strictest client: nothing but data
/// lines and comments, each event one line and JSON with choices (or an error), or [DONE].
std::vector<std::string> StrictEvents(std::string_view stream) {
  std::vector<std::string> events;
  while (!stream.empty()) {
    size_t end = stream.find("\n\n");
    if (end == std::string_view::npos) {
      ADD_FAILURE() << "an event without its end: " << stream;
      break;
    }
    std::string line(stream.substr(0, end));
    stream.remove_prefix(end + 2);
    EXPECT_EQ(line.find_first_of("\r\n"), std::string::npos) << line;
    if (line.starts_with(":")) {
      events.push_back("comment");
      continue;
    }
    if (!line.starts_with("data: ")) {
      ADD_FAILURE() << "neither data nor a comment: " << line;
      continue;
    }
    events.push_back(line.substr(6));
    if (events.back() == "[DONE]") {
      EXPECT_EQ(stream, "") << "behind the end";
      continue;
    }
    auto json = wire::ParseJson(events.back());
    EXPECT_TRUE(json && (json->Find("choices") || json->Find("error"))) << line;
  }
  return events;
}

/// The text of the deltas.
std::string Said(const std::vector<std::string>& events) {
  std::string text;
  for (const std::string& event : events) {
    auto json = wire::ParseJson(event);
    auto choices = json ? json->Find("choices") : std::nullopt;
    if (!choices || choices->Elements().empty()) continue;
    auto delta = choices->Elements()[0].Find("delta");
    auto content = delta ? delta->Find("content") : choices->Elements()[0].Find("text");
    if (content) text += content->AsString().value_or("");
  }
  return text;
}

class OnlineTest : public GatewayTest {
 protected:
  FakeExchange Chat(std::string body) {
    return Do("POST", "/v1/chat/completions", std::move(body));
  }
  void Says(base::Micros after, base::Result<engine::Delta> delta) {
    use_cases_.steps.push_back({.after = after, .delta = std::move(delta)});
  }
  void SaysHello() {
    Says(1s, Text("Hel"));
    Says(1s, Text("lo"));
    Says(1s, End(FinishReason::kStop, {.prompt_tokens = 3, .completion_tokens = 2}));
  }
  /// Starts handling, and hands back whether it has ended.
  std::shared_ptr<bool> Start(Gateway& gateway, FakeExchange& exchange) {
    auto done = std::make_shared<bool>(false);
    auto run = [](Gateway& g, FakeExchange& e, std::shared_ptr<bool> ended) -> Awaitable<void> {
      co_await g.Handle(e);
      *ended = true;
    };
    runtime_.SpawnDetached(run(gateway, exchange, done));
    return done;
  }
};

TEST_F(OnlineTest, AWholeAnswer) {
  SaysHello();
  FakeExchange exchange = Chat(kPlain);
  ASSERT_EQ(exchange.status, 200) << exchange.answer;
  auto json = wire::ParseJson(exchange.answer);
  ASSERT_TRUE(json);
  auto completion = wire::ParseCompletionBody(*json);
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->text, "Hello");
  EXPECT_EQ(completion->model, "m");
  EXPECT_EQ(completion->finish_reason, "stop");
  EXPECT_EQ(completion->usage.prompt_tokens, 3u);
  EXPECT_TRUE(completion->id.starts_with("chatcmpl-"));
  EXPECT_EQ(completion->created, 1'767'225'600);  // when the request came
  EXPECT_EQ(use_cases_.online->model, "m");
  EXPECT_EQ(use_cases_.online->body, kPlain);
  EXPECT_FALSE(use_cases_.online->stream);
  EXPECT_FALSE(use_cases_.online->expires_at);
  EXPECT_EQ(use_cases_.answers_alive, 0);
}

TEST_F(OnlineTest, ATextCompletion) {
  SaysHello();
  FakeExchange exchange = Do("POST", "/completions", R"({"prompt":"x","model":"m"})");
  EXPECT_THAT(exchange.answer, HasSubstr(R"("object":"text_completion")"));
  EXPECT_THAT(exchange.answer, HasSubstr(R"("id":"cmpl-)"));
  EXPECT_EQ(use_cases_.online->endpoint, engine::Endpoint::kCompletions);
}

TEST_F(OnlineTest, ABackendsAnswerPassesUntouched) {
  engine::Delta whole = End(FinishReason::kStop);
  whole.text = "x";
  whole.raw_response = R"({"choices":[],"own":1.50})";
  Says(0s, whole);
  EXPECT_EQ(Chat(kPlain).answer, whole.raw_response);
}

TEST_F(OnlineTest, AFailureIsAnEnvelopeWithTheBodysParameter) {
  Says(0s, std::unexpected(Error(Code::kInvalidArgument, "'body.top_p' is 2, but must be from 0.")
                               .WithParam("body.top_p")));
  FakeExchange exchange = Chat(kPlain);
  EXPECT_EQ(exchange.status, 400);
  EXPECT_EQ(ErrorOf(exchange, "param"), "top_p");
  EXPECT_EQ(ErrorOf(exchange, "message"), "'top_p' is 2, but must be from 0.");
}

TEST_F(OnlineTest, AModelThatIsNotOfferedIs404) {
  use_cases_.fail = Error(Code::kNotFound, "no model 'm'").WithParam("model");
  FakeExchange exchange = Chat(kPlain);
  EXPECT_EQ(exchange.status, 404);
  EXPECT_EQ(ErrorOf(exchange, "code"), "model_not_found");
}

TEST_F(OnlineTest, ABodyWithoutAModelIsRefused) {
  FakeExchange exchange = Chat(R"({"messages":[]})");
  EXPECT_EQ(exchange.status, 400);
  EXPECT_EQ(ErrorOf(exchange, "message"), "you must provide a model parameter");
  EXPECT_FALSE(use_cases_.online);
  options_.limits.online = 5;
  EXPECT_EQ(Chat(kPlain).status, 413);
}

TEST_F(OnlineTest, AnAnswerThatWasCutOffIsAFailure) {
  for (const char* body : {kPlain, kStream}) {
    Says(0s, End(FinishReason::kCancelled));
    EXPECT_EQ(Chat(body).status, 503) << body;
  }
}

TEST_F(OnlineTest, TheClientsTimeoutIsTheDeadline) {
  for (const char* name : {"X-Stainless-Read-Timeout", "X-Request-Timeout"}) {
    SaysHello();
    base::SteadyTime now = runtime_.clock().Steady();
    FakeExchange exchange = Request("POST", "/v1/chat/completions", kPlain);
    exchange.head.headers = {{name, "600"}};
    Handle(exchange);
    EXPECT_EQ(use_cases_.online->expires_at, now + 600s);
    EXPECT_EQ(use_cases_.online->until_begun, name[2] == 'S');
  }
}

TEST_F(OnlineTest, PastItTheAnswerIs504) {
  for (const char* body : {kPlain, kStream}) {
    Says(5s, std::unexpected(Error(Code::kDeadlineExceeded, "too long")));
    FakeExchange exchange = Chat(body);
    EXPECT_EQ(exchange.status, 504) << body;
    EXPECT_EQ(ErrorOf(exchange, "code"), "deadline_exceeded");
  }
}

TEST_F(OnlineTest, IgnoredFieldsAreNamedForLocalModels) {
  use_cases_.model_list = {{.name = "m", .owner = "inferq", .since = {}, .local = true},
                           {.name = "far", .owner = "http://x", .since = {}, .local = false}};
  SaysHello();
  EXPECT_EQ(
      Chat(R"({"model":"m","user":"u","skip_special_tokens":false})").Header("x-inferq-ignored"),
      "user, skip_special_tokens");
  SaysHello();
  EXPECT_EQ(Chat(R"({"model":"far","user":"u"})").Header("x-inferq-ignored"), "");
}

TEST_F(OnlineTest, AStreamOfChunks) {
  SaysHello();
  FakeExchange exchange = Chat(kStream);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.Header("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(exchange.Header("cache-control"), "no-cache");
  EXPECT_EQ(exchange.Header("x-accel-buffering"), "no");
  EXPECT_EQ(exchange.length, std::nullopt);
  EXPECT_TRUE(exchange.ended);
  EXPECT_TRUE(use_cases_.online->stream);
  auto events = StrictEvents(exchange.answer);
  ASSERT_EQ(events.size(), 5u) << exchange.answer;
  EXPECT_THAT(events[0], HasSubstr(R"("role":"assistant")"));
  EXPECT_THAT(events[3], HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_EQ(events[4], "[DONE]");
  EXPECT_EQ(Said(events), "Hello");
}

TEST_F(OnlineTest, AStreamWithUsage) {
  SaysHello();
  FakeExchange exchange =
      Chat(R"({"model":"m","stream":true,"stream_options":{"include_usage":true}})");
  auto events = StrictEvents(exchange.answer);
  ASSERT_EQ(events.size(), 6u) << exchange.answer;
  EXPECT_THAT(events[0], HasSubstr(R"("usage":null)"));
  EXPECT_THAT(events[4], HasSubstr(R"("choices":[],"usage":{"prompt_tokens":3)"));
}

TEST_F(OnlineTest, AStreamOfTextCompletions) {
  SaysHello();
  FakeExchange exchange = Do("POST", "/v1/completions", kStream);
  auto events = StrictEvents(exchange.answer);
  ASSERT_EQ(events.size(), 4u) << exchange.answer;
  EXPECT_EQ(Said(events), "Hello");
}

TEST_F(OnlineTest, ABackendsChunksPassUntouchedAndStayOneLine) {
  engine::Delta first = Text("x");
  first.raw_chunks = {R"({"choices":[{"delta":{"content":"x"}}],"own":1.50})",
                      "{\"choices\":\n[]}"};
  Says(0s, first);
  Says(0s, End(FinishReason::kStop));
  EXPECT_THAT(StrictEvents(Chat(kStream).answer),
              ElementsAre(first.raw_chunks[0], R"({"choices": []})", "[DONE]"));
}

TEST_F(OnlineTest, BeforeTheFirstTextAFailureIsPlain) {
  Says(20s, std::unexpected(Error(Code::kUnavailable, "the engine is gone")));
  FakeExchange exchange = Chat(kStream);
  EXPECT_EQ(exchange.status, 503);
  EXPECT_EQ(ErrorOf(exchange, "message"), "the engine is gone");
  EXPECT_FALSE(exchange.aborted);
}

TEST_F(OnlineTest, AfterItTheStreamBreaksOff) {
  Says(0s, Text("Hel"));
  Says(0s, std::unexpected(Error(Code::kAborted, "the engine died")));
  FakeExchange exchange = Chat(kStream);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_TRUE(exchange.aborted);
  EXPECT_FALSE(exchange.ended);
  auto events = StrictEvents(exchange.answer);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_THAT(events.back(), HasSubstr(R"({"error":{"message":"the engine died")"));
}

TEST_F(OnlineTest, TheStatusIsHeldForTheFirstTextUpToALimit) {
  options_.hold = 30s;
  Says(70s, Text("Hel"));
  Says(0s, End(FinishReason::kStop));
  Gateway gateway(use_cases_, options_);
  FakeExchange exchange = Request("POST", "/v1/chat/completions", kStream);
  auto done = Start(gateway, exchange);
  runtime_.RunFor(29s);
  EXPECT_FALSE(exchange.began());
  runtime_.RunFor(2s);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.answer, kKeepAlive);
  runtime_.RunFor(60s);
  EXPECT_TRUE(*done);
  auto events = StrictEvents(exchange.answer);
  ASSERT_EQ(events.size(), 7u) << exchange.answer;  // comments at 30, 45 and 60 s
  EXPECT_EQ(events[2], "comment");
  EXPECT_EQ(Said(events), "Hel");
}

TEST_F(OnlineTest, AFailureBehindTheLimitBreaksTheStream) {
  Says(51s, std::unexpected(Error(Code::kUnavailable, "the engine is gone")));
  FakeExchange exchange = Chat(kStream);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_TRUE(exchange.aborted);
  auto events = StrictEvents(exchange.answer);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_THAT(events[1], HasSubstr("the engine is gone"));
}

TEST_F(OnlineTest, AWholeAnswerIsStreamedAsChunks) {
  engine::Delta whole = End(FinishReason::kToolCalls);
  whole.text = "x";
  whole.raw_response =
      R"({"own":1.50,"choices":[{"message":{"content":"x","tool_calls":[{"id":"c"}]},)"
      R"("finish_reason":"tool_calls"}],"usage":{"total_tokens":3}})";
  Says(0s, whole);
  auto events = StrictEvents(Chat(kStream).answer);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_THAT(events[0], HasSubstr(R"("own":1.50)"));
  EXPECT_THAT(events[0], HasSubstr(R"("tool_calls":[{"id":"c","index":0}])"));
  EXPECT_THAT(events[1], HasSubstr(R"("finish_reason":"tool_calls")"));
  EXPECT_EQ(Said(events), "x");
}

constexpr const char* kResponse = R"({"input":"Hi","model":"m","stream":true})";

TEST_F(OnlineTest, EventsOfAResponseHaveTheirTypeAndNoMark) {
  engine::Delta last = End(FinishReason::kStop);
  last.raw_chunks = {R"({"type":"response.created","response":{"id":"r"}})",
                     R"({"type":"response.completed"})"};
  Says(0s, last);
  FakeExchange exchange = Do("POST", "/v1/responses", kResponse);
  EXPECT_EQ(exchange.answer, "event: response.created\ndata: " + last.raw_chunks[0] +
                                 "\n\nevent: response.completed\ndata: " + last.raw_chunks[1] +
                                 "\n\n");
  EXPECT_TRUE(exchange.ended);
  EXPECT_EQ(use_cases_.online->endpoint, engine::Endpoint::kResponses);
}

TEST_F(OnlineTest, AResponseThatBreaksOffHasFailed) {
  engine::Delta first;
  first.raw_chunks = {R"({"type":"response.created","response":{"id":"r","status":"x"}})"};
  Says(0s, first);
  Says(0s, std::unexpected(Error(Code::kUnavailable, "gone")));
  FakeExchange exchange = Do("POST", "/v1/responses", kResponse);
  EXPECT_TRUE(exchange.aborted);
  EXPECT_THAT(exchange.answer,
              HasSubstr("event: response.failed\ndata: {\"type\":\"response.failed\","
                        "\"sequence_number\":1,\"response\":{\"id\":\"r\",\"status\":\"failed\""));
}

TEST_F(OnlineTest, SilenceIsFilledOnlyAfterTheHead) {
  Says(40s, Text("Hel"));
  Says(40s, Text("lo"));
  Says(0s, End(FinishReason::kStop));
  FakeExchange exchange = Chat(kStream);
  auto events = StrictEvents(exchange.answer);
  ASSERT_EQ(events.size(), 7u) << exchange.answer;
  EXPECT_EQ(events[2], "comment");
  EXPECT_EQ(events[3], "comment");
  EXPECT_EQ(Said(events), "Hello");
}

TEST_F(OnlineTest, AClientThatHangsUpEndsTheWork) {
  for (const char* body : {kPlain, kStream}) {
    use_cases_.cancels = 0;
    Gateway gateway(use_cases_, options_);
    FakeExchange exchange = Request("POST", "/v1/chat/completions", body);
    auto done = Start(gateway, exchange);
    runtime_.RunFor(5s);
    EXPECT_FALSE(*done);
    EXPECT_EQ(use_cases_.answers_alive, 1);
    exchange.HangUp();
    runtime_.RunFor(1s);
    EXPECT_TRUE(*done) << body;
    EXPECT_EQ(use_cases_.cancels, 1);
    EXPECT_EQ(use_cases_.answers_alive, 0);
  }
}

TEST_F(OnlineTest, AClientThatHangsUpInTheMiddleEndsTheWork) {
  Says(0s, Text("Hel"));  // then nothing, so that a fetch is under way when a comment fails
  FakeExchange exchange = Request("POST", "/v1/chat/completions", kStream);
  exchange.writes_until_gone = 1;
  Handle(exchange);
  EXPECT_EQ(use_cases_.cancels, 1);
  EXPECT_EQ(use_cases_.answers_alive, 0);
  EXPECT_FALSE(exchange.ended);
}

TEST_F(OnlineTest, AnEmptyDeltaSendsNothing) {
  Says(0s, Text(""));
  Says(20s, std::unexpected(Error(Code::kUnavailable, "no")));
  EXPECT_EQ(Chat(kStream).status, 503) << "the head was sent for nothing";
}

}  // namespace
}  // namespace inferq::api
