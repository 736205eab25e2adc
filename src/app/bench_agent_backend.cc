#include "app/bench_agent_backend.h"

#include <array>
#include <cmath>

#include "api/answer_events.h"
#include "api/error_reply.h"
#include "runtime/call_on.h"
#include "wire/locality.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using runtime::Awaitable;

namespace {

constexpr uint64_t kLongestBody = 64u << 20;
constexpr double kImageSeconds = 0.3;
constexpr double kPrefillPerSecond = 8000;
constexpr double kDecodePerSecond = 83;
constexpr double kStreamsToHalve = 32;
constexpr uint64_t kImageTokens = 3200;
constexpr uint64_t kBytesPerToken = 4;
constexpr base::Micros kPieceTime = 20ms;  // tokens that come closer together go out together
constexpr std::string_view kModels =
    R"({"object":"list","data":[{"id":"phone","object":"model","created":0,"owned_by":"bench"}]})";

http::Headers JsonHeaders() { return {{"content-type", "application/json"}}; }

bool IsImage(wire::JsonValue part) {
  auto type = part.Find("type");
  return type && type->text() == R"("image_url")";
}

}  // namespace

std::string AgentBackend::ErrorBody(int status, std::string_view message) {
  return api::ServerErrorBody(status, message);
}

AgentBackendCounts AgentBackend::Take() {
  beginnings_.clear();
  return std::exchange(counts_, {});
}

Awaitable<void> AgentBackend::Handle(http::Exchange& exchange) {
  if (exchange.request().method == "GET") {
    (void)co_await exchange.Send(200, JsonHeaders(), std::string(kModels));
    co_return;
  }
  auto body = co_await exchange.ReadBody(kLongestBody);
  if (!body) co_return;  // the server says why
  ++counts_.requests;
  bool fails = dice_.Chance(options_.fail_rate);
  if (fails) co_return co_await Fail(exchange);
  auto plan = Read(*body);
  body->clear();
  body->shrink_to_fit();
  if (!plan) {
    (void)co_await exchange.Send(400, JsonHeaders(), ErrorBody(400, plan.error().message()));
    co_return;
  }
  co_await Answer(exchange, *plan);
}

Awaitable<void> AgentBackend::Fail(http::Exchange& exchange) {
  constexpr std::array kStatuses = {500, 502, 503};
  ++counts_.failed;
  int status = kStatuses[dice_.Below(kStatuses.size())];
  (void)co_await exchange.Send(status, JsonHeaders(), ErrorBody(status, "as the fail rate wants"));
}

Result<AgentBackend::Plan> AgentBackend::Read(const std::string& body) {
  INFERQ_ASSIGN(wire::JsonValue request, wire::ParseJson(body));
  auto messages = request.Find("messages");
  if (!messages) return base::Fail(Code::kInvalidArgument, "'messages' is missing.");
  Plan plan;
  auto stream = request.Find("stream");
  plan.stream = stream && stream->AsBool().value_or(false);
  Survey(*messages, plan);
  base::Rng rng(wire::HashBytes(messages->text()).low);
  auto limit = request.Find("max_tokens").and_then([](auto value) { return value.AsInteger(); });
  plan.tokens = std::min(DrawOutputTokens(*options_.profile, rng),
                         static_cast<uint64_t>(limit.value_or(INT64_MAX)));
  plan.stop_at = plan.tokens;
  bool cut = dice_.Chance(options_.cut_rate);
  if (cut) plan.stop_at = dice_.Below(plan.tokens);
  counts_.cut += cut ? 1 : 0;
  counts_.prompt_tokens += plan.prompt_tokens;
  counts_.cached_tokens += plan.cached_tokens;
  return plan;
}

// Message by message: a prompt is cached as far as all of its messages have been seen in this
// order.
void AgentBackend::Survey(wire::JsonValue messages, Plan& plan) {
  uint64_t chain = 0;
  bool known = true;
  for (wire::JsonElements message(messages); message.Next();) {
    uint64_t images = 0;
    uint64_t text_bytes = message.value().text().size();
    if (auto content = message.value().Find("content")) {
      for (wire::JsonElements part(*content); part.Next();) {
        if (!IsImage(part.value())) continue;
        ++images;
        text_bytes -= part.value().text().size();
      }
    }
    plan.images += images;
    plan.prompt_tokens += text_bytes / kBytesPerToken + images * kImageTokens;
    uint64_t hash = wire::HashBytes(message.value().text()).low;
    chain = (chain ^ hash) * 0x9E3779B97F4A7C15u;
    known = known && !beginnings_.insert(chain).second;
    if (known) plan.cached_tokens = plan.prompt_tokens;
  }
}

base::Micros AgentBackend::Scaled(double seconds) const {
  return base::Micros(std::llround(seconds * 1e6 / options_.speed));
}

base::Micros AgentBackend::PrefillTime(const Plan& plan) const {
  auto fresh = static_cast<double>(plan.prompt_tokens - plan.cached_tokens);
  return Scaled(kImageSeconds * static_cast<double>(plan.images) + fresh / kPrefillPerSecond);
}

base::Micros AgentBackend::TokenTime() const {
  double slower = 1 + (decoding_ - 1) / kStreamsToHalve;
  return std::max(Scaled(slower / kDecodePerSecond), base::Micros(1));
}

Awaitable<void> AgentBackend::Answer(http::Exchange& exchange, const Plan& plan) {
  co_await exchange.runtime().SleepFor(PrefillTime(plan));
  ++decoding_;
  auto answer = plan.stream ? AnswerStream(exchange, plan) : AnswerWhole(exchange, plan);
  co_await std::move(answer);
  --decoding_;
}

Awaitable<void> AgentBackend::AnswerWhole(http::Exchange& exchange, const Plan& plan) {
  co_await exchange.runtime().SleepFor(TokenTime() * static_cast<int64_t>(plan.stop_at));
  wire::Completion completion{.id = "chatcmpl-bench",
                              .created = 0,
                              .model = "phone",
                              .text = AgentAnswerText(plan.tokens, 0, plan.tokens),
                              .finish_reason = "stop",
                              .usage = {.prompt_tokens = plan.prompt_tokens,
                                        .completion_tokens = plan.tokens,
                                        .cached_tokens = plan.cached_tokens}};
  std::string body = wire::CompletionBody(wire::Endpoint::kChatCompletions, completion);
  if (plan.stop_at == plan.tokens) {
    (void)co_await exchange.Send(200, JsonHeaders(), std::move(body));
    co_return;
  }
  auto begun = co_await exchange.Begin(200, JsonHeaders(), body.size());
  if (begun) (void)co_await exchange.Write(std::string_view(body).substr(0, body.size() / 2));
  exchange.Abort();
}

Awaitable<void> AgentBackend::AnswerStream(http::Exchange& exchange, const Plan& plan) {
  wire::StreamChunks chunks({.id = "chatcmpl-bench", .created = 0, .model = "phone"});
  std::string events;
  api::AppendEvent(events, chunks.Role());
  http::Headers headers{{"content-type", "text/event-stream"}};
  if (!co_await exchange.Begin(200, std::move(headers), std::nullopt)) co_return;
  for (uint64_t done = 0; done < plan.stop_at;) {
    base::Micros each = TokenTime();
    auto step = std::max<uint64_t>(1, static_cast<uint64_t>(kPieceTime / each));
    step = std::min(step, plan.stop_at - done);
    co_await exchange.runtime().SleepFor(each * static_cast<int64_t>(step));
    api::AppendEvent(events, chunks.Text(AgentAnswerText(plan.tokens, done, done + step)));
    if (!co_await exchange.Write(std::exchange(events, {}))) co_return;
    done += step;
  }
  if (plan.stop_at < plan.tokens) {
    if (!events.empty()) (void)co_await exchange.Write(events);  // nothing but the role came
    co_return exchange.Abort();
  }
  api::AppendEvent(events, chunks.Finish("stop"));
  events += "data: [DONE]\n\n";
  if (!co_await exchange.Write(events)) co_return;
  (void)co_await exchange.End();
}

AgentBackendServer::AgentBackendServer(runtime::AsioRuntime& home, AgentBackendOptions options)
    : home_(home),
      loop_(home, "backend"),
      backend_(options),
      server_(home, {&loop_.runtime()}, backend_, {}) {}

Result<> AgentBackendServer::Listen(uint16_t port) { return server_.Listen({.port = port}); }

std::string AgentBackendServer::url() const {
  return fmt::format("http://127.0.0.1:{}/v1", server_.port());
}

Awaitable<AgentBackendCounts> AgentBackendServer::Take() {
  auto take = [this] { return TakeThere(); };
  co_return co_await runtime::CallOn(home_, loop_.runtime(), take);
}

Awaitable<AgentBackendCounts> AgentBackendServer::TakeThere() { co_return backend_.Take(); }

Awaitable<void> AgentBackendServer::Stop() { co_await server_.Stop(home_.clock().Steady()); }

}  // namespace inferq::app
