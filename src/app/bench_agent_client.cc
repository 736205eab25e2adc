#include "app/bench_agent_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/bench_agent_profile.h"
#include "http/retry_after.h"
#include "http/sse.h"
#include "wire/chat.h"
#include "wire/json.h"

namespace inferq::app {

using namespace std::chrono_literals;
using runtime::Awaitable;

namespace {

constexpr uint32_t kRepetitions = 2;
constexpr base::Micros kFirstPause = 500ms;
constexpr base::Micros kLongestPause = 8s;
constexpr base::Micros kLongestAsked = 60s;  // a server that asks for more is not heard
constexpr double kJitter = 0.25;
constexpr int kOk = 200;

bool IsRepeated(int status, const http::Headers& headers) {
  auto word = http::FindHeader(headers, "x-should-retry");
  if (word == "true") return true;
  if (word == "false") return false;
  return status == 0 || status == 408 || status == 409 || status == 429 || status >= 500;
}

bool IsAskedFor(int status, const http::Headers& headers, base::WallTime now) {
  auto asked = http::RetryAfter(headers, now);
  return status != 0 && asked > 0ms && asked <= kLongestAsked;
}

/// What one event of a stream adds to the text; nullopt: it reports an error.
std::optional<std::string> TextOf(std::string_view data) {
  auto event = wire::ParseJson(data);
  if (!event || event->Find("error")) return std::nullopt;
  auto choices = event->Find("choices");
  auto all = choices ? choices->Elements() : std::vector<wire::JsonValue>();
  if (all.empty()) return "";
  auto delta = all[0].Find("delta");
  auto content = delta ? delta->Find("content") : std::nullopt;
  return content ? content->AsString().value_or("") : "";
}

AgentAnswer WholeAnswer(const std::string& body) {
  auto json = wire::ParseJson(body);
  auto completion =
      json ? wire::ParseCompletionBody(*json) : std::unexpected(std::move(json).error());
  if (!completion) return {.end = AgentEnd::kCut, .text = body};
  return {.end = AgentEnd::kWhole, .text = completion->text};
}

}  // namespace

std::optional<base::Micros> AgentRetryPause(int status, const http::Headers& headers,
                                            uint32_t attempt, double draw, base::WallTime now) {
  if (attempt >= kRepetitions || !IsRepeated(status, headers)) return std::nullopt;
  if (IsAskedFor(status, headers, now)) return http::RetryAfter(headers, now);
  base::Micros pause = std::min(kFirstPause * (1 << attempt), kLongestPause);
  return base::Micros(std::llround(static_cast<double>(pause.count()) * (1 - kJitter * draw)));
}

http::Request AgentClient::MakeRequest(const std::string& body, base::Micros timeout,
                                       uint32_t attempt) const {
  http::Request request;
  request.method = "POST";
  request.url = options_.base_url + "/chat/completions";
  const std::string& key = options_.api_key;
  request.headers = {
      {"Authorization", "Bearer " + (key.empty() ? std::string("EMPTY") : key)},
      {"Content-Type", "application/json"},
      {"x-stainless-retry-count", std::to_string(attempt)},
      {"x-stainless-read-timeout",
       std::to_string(std::chrono::duration_cast<std::chrono::seconds>(timeout).count())}};
  request.body = body;
  request.timeouts.first_byte = timeout;
  request.timeouts.idle = timeout;
  request.cancel = options_.cancel;
  return request;
}

Awaitable<AgentAnswer> AgentClient::Complete(std::string body, bool stream, base::Micros timeout) {
  for (uint32_t attempt = 0;; ++attempt) {
    Attempt tried = co_await Try(body, stream, timeout, attempt);
    if (stopped()) co_return AgentAnswer{};
    if (tried.answer) co_return *std::move(tried.answer);
    base::WallTime now = runtime_.clock().Wall();
    auto pause = AgentRetryPause(tried.status, tried.headers, attempt, rng_.Uniform(), now);
    if (!pause) co_return AgentAnswer{.end = AgentEnd::kRefused, .text = {}};
    ++repeated_;
    bool asked = IsAskedFor(tried.status, tried.headers, now);
    double scale = asked ? 1 : options_.speed;
    co_await runtime_.SleepFor(
        base::Micros(std::llround(static_cast<double>(pause->count()) / scale)));
  }
}

Awaitable<AgentClient::Attempt> AgentClient::Try(const std::string& body, bool stream,
                                                 base::Micros timeout, uint32_t attempt) {
  http::Request request = MakeRequest(body, timeout, attempt);
  Attempt tried;
  if (!stream) {
    auto response = co_await http_.Send(std::move(request));
    if (!response) co_return tried;
    tried.status = response->head.status;
    tried.headers = std::move(response->head.headers);
    if (tried.status == kOk) tried.answer = WholeAnswer(response->body);
    co_return tried;
  }
  auto opened = co_await http_.Open(std::move(request));
  if (!opened) co_return tried;
  tried.status = (*opened)->head().status;
  tried.headers = (*opened)->head().headers;
  if (tried.status == kOk) tried.answer = co_await ReadStream(**opened);
  co_return tried;
}

Awaitable<AgentAnswer> AgentClient::ReadStream(http::ResponseStream& stream) {
  http::SseDecoder decoder;
  AgentAnswer answer{.end = AgentEnd::kCut, .text = {}};
  for (;;) {
    auto piece = co_await stream.Next();
    if (!piece) co_return answer;
    if (!*piece) break;
    decoder.Feed(**piece);
    auto event = decoder.Next();
    for (; event && *event; event = decoder.Next()) {
      if ((*event)->data.starts_with("[DONE]")) continue;
      auto text = TextOf((*event)->data);
      if (!text) co_return answer;
      answer.text += *text;
    }
    if (!event) co_return answer;
  }
  bool whole = IsWholeAgentAnswer(answer.text);
  answer.end = whole ? AgentEnd::kWhole : AgentEnd::kTruncated;
  co_return answer;
}

}  // namespace inferq::app
