#include <algorithm>

#include "api/answer_events.h"
#include "api/answer_reader.h"
#include "api/model_name.h"
#include "api/request_timeout.h"
#include "api/routes.h"
#include "wire/file_object.h"
#include "wire/online.h"

namespace inferq::api {

using base::Code;
using engine::Delta;
using wire::ApiError;
using wire::ApiResult;
using wire::Endpoint;

namespace {

/// A field of the body is a parameter to the client: "body.max_tokens" is "max_tokens".
ApiError OnlineError(const base::Error& error) {
  constexpr std::string_view kBody = "body.";
  ApiError told(error);
  if (told.param.starts_with(kBody)) {
    size_t at = told.message.find("'" + told.param + "'");
    if (at != std::string::npos) told.message.erase(at + 1, kBody.size());
    told.param.erase(0, kBody.size());
  }
  if (error.code() == Code::kNotFound && told.param == "model") told.code = "model_not_found";
  return told;
}

/// An answer that ends this way is not one: the client must not take it for whole.
base::Result<Delta> RefuseCancelled(base::Result<Delta> delta) {
  if (!delta || delta->finish_reason != engine::FinishReason::kCancelled) return delta;
  return base::Fail(Code::kUnavailable, "The request was cut off before its answer was whole.");
}

wire::StreamInfo Describe(Call& call, Endpoint endpoint, const wire::OnlineHead& head) {
  bool chat = endpoint == Endpoint::kChatCompletions;
  return {.endpoint = endpoint,
          .id = call.ids.Make(chat ? "chatcmpl-" : "cmpl-"),
          .created = wire::UnixSeconds(call.here().clock().Wall()),
          .model = head.model,
          .include_usage = head.include_usage};
}

void NameIgnored(Call& call, std::string_view name, const wire::OnlineHead& head) {
  const auto& models = call.use_cases.models();
  auto model = std::ranges::find(models, name, &service::ModelView::name);
  if (model == models.end() || !model->local || head.ignored.empty()) return;
  call.exchange.AddHeader("x-inferq-ignored", fmt::format("{}", fmt::join(head.ignored, ", ")));
}

// The whole answer at once.

std::string CompletionJson(const wire::StreamInfo& info, const Delta& whole) {
  if (!whole.raw_response.empty()) return whole.raw_response;
  wire::Completion completion{.id = info.id,
                              .created = info.created,
                              .model = info.model,
                              .text = whole.text,
                              .finish_reason = {},
                              .usage = {.prompt_tokens = whole.usage.prompt_tokens,
                                        .completion_tokens = whole.usage.completion_tokens,
                                        .cached_tokens = whole.usage.cached_tokens,
                                        .distinct_tokens = whole.usage.distinct_tokens}};
  completion.finish_reason = engine::FinishReasonName(*whole.finish_reason);
  return wire::CompletionBody(info.endpoint, completion);
}

Awaitable<base::Result<Delta>> CollectAll(AnswerReader& reader) {
  std::string text;
  while (true) {
    auto next = co_await reader.NextUntil(base::SteadyTime::max());
    INFERQ_CO_ASSIGN(Delta delta, RefuseCancelled(*std::move(next)));
    text += delta.text;
    if (!delta.finish_reason) continue;
    delta.text = std::move(text);
    co_return delta;
  }
}

Awaitable<ApiResult<>> AnswerWhole(Call& call, AnswerReader& reader, wire::StreamInfo info) {
  auto whole = co_await CollectAll(reader);
  if (!whole) co_return std::unexpected(OnlineError(whole.error()));
  co_await SendJson(call, CompletionJson(info, *whole));
  co_return ApiResult<>();
}

// The answer as a stream of events.

Awaitable<bool> WriteEvents(Call& call, std::string events) {
  if (!call.exchange.began()) {
    http::Headers headers{{"content-type", "text/event-stream; charset=utf-8"},
                          {"cache-control", "no-cache"},
                          {"x-accel-buffering", "no"}};
    if (!co_await call.exchange.Begin(200, std::move(headers), std::nullopt)) co_return false;
  }
  auto written = co_await call.exchange.Write(events);
  co_return written.has_value();
}

/// Tells the client, which has got a part of the answer; a clean end would make that part whole.
Awaitable<void> BreakOff(Call& call, std::string last_words) {
  (void)co_await call.exchange.Write(last_words);
  call.exchange.Abort();
}

/// The status waits for the first event, as long as a client's connection allows it: until then a
/// failure is a plain error, and the client can repeat the request.
Awaitable<ApiResult<>> AnswerStream(Call& call, AnswerReader& reader, wire::StreamInfo info) {
  AnswerEvents events(std::move(info));
  base::SteadyTime silence = call.here().clock().Steady() + call.options.hold;
  bool ended = false;
  while (!ended) {
    auto next = co_await reader.NextUntil(silence);
    std::string bytes(kKeepAlive);
    if (next) {
      auto delta = RefuseCancelled(*std::move(next));
      if (!delta && !call.exchange.began()) co_return std::unexpected(OnlineError(delta.error()));
      if (!delta) {
        co_await BreakOff(call, events.OfFailure(OnlineError(delta.error())));
        co_return ApiResult<>();
      }
      bytes = events.Of(*delta);
      ended = delta->finish_reason.has_value();
    }
    if (bytes.empty()) continue;
    if (!co_await WriteEvents(call, std::move(bytes))) co_return ApiResult<>();
    silence = call.here().clock().Steady() + call.options.keep_alive;
  }
  (void)co_await call.exchange.End();
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> Online(Call& call, Endpoint endpoint) {
  auto body = co_await call.exchange.ReadBody(call.body_limit);
  if (!body) co_return std::unexpected(BodyError(body.error(), call.body_limit));
  INFERQ_CO_ASSIGN(auto head, wire::ReadOnlineHead(*body, endpoint));
  INFERQ_CO_ASSIGN(auto timeout, RequestTimeout(call.request().headers));

  service::OnlineRequest request;
  request.endpoint = endpoint;
  request.body = *std::move(body);
  INFERQ_CO_ASSIGN(request.model, SettleModel(call, head.model, request.priority));
  NameIgnored(call, request.model, head);
  request.stream = head.stream;
  if (timeout) {
    request.expires_at = call.here().clock().Steady() + timeout->wait;
    request.until_begun = timeout->until_begun;
  }
  auto answer = co_await call.use_cases.Generate(call.here(), call.caller, std::move(request));
  if (!answer) co_return std::unexpected(OnlineError(answer.error()));

  AnswerReader reader(call.here(), call.use_cases.runtime(), *std::move(answer));
  runtime::CancelHook hook(call.exchange.gone(), [&reader] { reader.Cancel(); });
  wire::StreamInfo info = Describe(call, endpoint, head);
  auto outcome = head.stream ? co_await AnswerStream(call, reader, std::move(info))
                             : co_await AnswerWhole(call, reader, std::move(info));
  co_await reader.Close();
  co_return outcome;
}

}  // namespace

Awaitable<ApiResult<>> CreateChatCompletion(Call& call) {
  return Online(call, Endpoint::kChatCompletions);
}

Awaitable<ApiResult<>> CreateCompletion(Call& call) { return Online(call, Endpoint::kCompletions); }

Awaitable<ApiResult<>> CreateResponse(Call& call) { return Online(call, Endpoint::kResponses); }

Awaitable<ApiResult<>> CreateEmbedding(Call& call) { return Online(call, Endpoint::kEmbeddings); }

}  // namespace inferq::api
