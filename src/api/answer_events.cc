#include "api/answer_events.h"

#include <algorithm>

namespace inferq::api {

void AppendEvent(std::string& out, std::string_view json) {
  out += "data: ";
  std::ranges::transform(json, std::back_inserter(out),
                         [](char c) { return c == '\n' || c == '\r' ? ' ' : c; });
  out += "\n\n";
}

AnswerEvents::AnswerEvents(wire::StreamInfo info)
    : chat_(info.endpoint == wire::Endpoint::kChatCompletions),
      include_usage_(info.include_usage),
      chunks_(std::move(info)) {}

std::string AnswerEvents::Of(const engine::Delta& delta) {
  std::string out;
  for (const std::string& chunk : delta.raw_chunks) AppendEvent(out, chunk);
  passed_through_ |= !delta.raw_chunks.empty();
  if (!passed_through_) AppendOwn(out, delta);
  if (delta.finish_reason) out += "data: [DONE]\n\n";
  return out;
}

void AnswerEvents::AppendOwn(std::string& out, const engine::Delta& delta) {
  if (delta.text.empty() && !delta.finish_reason) return;
  if (chat_ && !std::exchange(began_, true)) AppendEvent(out, chunks_.Role());
  if (!delta.text.empty()) AppendEvent(out, chunks_.Text(delta.text));
  if (!delta.finish_reason) return;
  AppendEvent(out, chunks_.Finish(engine::FinishReasonName(*delta.finish_reason)));
  if (!include_usage_) return;
  AppendEvent(out, chunks_.Usage({.prompt_tokens = delta.usage.prompt_tokens,
                                  .completion_tokens = delta.usage.completion_tokens,
                                  .cached_tokens = delta.usage.cached_tokens,
                                  .distinct_tokens = delta.usage.distinct_tokens}));
}

}  // namespace inferq::api
