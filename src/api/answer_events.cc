#include "api/answer_events.h"

#include <algorithm>

#include "wire/responses.h"

namespace inferq::api {

namespace {

/// The same with the event's type, which stands in its JSON, in a line before.
void AppendTyped(std::string& out, std::string_view json) {
  auto event = wire::ParseJson(json);
  auto type = event ? event->Find("type") : std::nullopt;
  if (type) out += fmt::format("event: {}\n", type->AsString().value_or(""));
  AppendEvent(out, json);
}

}  // namespace

void AppendEvent(std::string& out, std::string_view json) {
  out += "data: ";
  std::ranges::transform(json, std::back_inserter(out),
                         [](char c) { return c == '\n' || c == '\r' ? ' ' : c; });
  out += "\n\n";
}

AnswerEvents::AnswerEvents(wire::StreamInfo info) : info_(info), chunks_(std::move(info)) {}

std::string AnswerEvents::Of(const engine::Delta& delta) {
  std::string out;
  for (const std::string& chunk : delta.raw_chunks) AppendChunk(out, chunk);
  if (!delta.raw_response.empty()) AppendWhole(out, delta.raw_response);
  if (!passed_through_) AppendOwn(out, delta);
  const bool marked = info_.endpoint != wire::Endpoint::kResponses;
  if (delta.finish_reason && marked) out += "data: [DONE]\n\n";
  return out;
}

std::string AnswerEvents::OfFailure(const wire::ApiError& error) const {
  std::string out;
  if (info_.endpoint == wire::Endpoint::kResponses) {
    AppendTyped(out, wire::FailureEvent(first_response_, events_, error));
  } else {
    AppendEvent(out, wire::ErrorEnvelope(error));
  }
  return out;
}

// One that came from below: of a backend, or composed by the engine.
void AnswerEvents::AppendChunk(std::string& out, const std::string& chunk) {
  passed_through_ = true;
  if (info_.endpoint != wire::Endpoint::kResponses) return AppendEvent(out, chunk);
  if (events_++ == 0) first_response_ = chunk;
  AppendTyped(out, chunk);
}

// A backend may answer with the whole at once, and a model's answers may be kept until they are.
void AnswerEvents::AppendWhole(std::string& out, const std::string& body) {
  auto whole = wire::ParseJson(body);
  if (!whole) return;
  for (const std::string& chunk : ChunksOfBody(info_.endpoint, *whole, info_.include_usage)) {
    AppendChunk(out, chunk);
  }
}

void AnswerEvents::AppendOwn(std::string& out, const engine::Delta& delta) {
  if (delta.text.empty() && !delta.finish_reason) return;
  const bool chat = info_.endpoint == wire::Endpoint::kChatCompletions;
  if (chat && !std::exchange(began_, true)) AppendEvent(out, chunks_.Role());
  if (!delta.text.empty()) AppendEvent(out, chunks_.Text(delta.text));
  if (!delta.finish_reason) return;
  AppendEvent(out, chunks_.Finish(engine::FinishReasonName(*delta.finish_reason)));
  if (!info_.include_usage) return;
  AppendEvent(out, chunks_.Usage({.prompt_tokens = delta.usage.prompt_tokens,
                                  .completion_tokens = delta.usage.completion_tokens,
                                  .cached_tokens = delta.usage.cached_tokens,
                                  .distinct_tokens = delta.usage.distinct_tokens}));
}

}  // namespace inferq::api
