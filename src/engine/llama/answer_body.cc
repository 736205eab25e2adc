#include "engine/llama/answer_body.h"

#include <algorithm>
#include <utility>

namespace inferq::engine::llama {
namespace {

wire::TokenUsage ToWire(const Usage& usage) {
  return {usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.distinct_tokens};
}

}  // namespace

bool AnswerBody::IsNeededFor(const wire::GenerateRequest& request) {
  const bool calls = !request.tools.empty() && request.tool_choice != wire::ToolChoice::kNone;
  return request.n > 1 || request.logprobs || calls;
}

AnswerBody::AnswerBody(const wire::GenerateRequest& request, wire::StreamInfo info, bool stream)
    : info_(info),
      chunks_(std::move(info)),
      stream_(stream),
      logprobs_(request.logprobs),
      choices_(request.n) {
  for (uint32_t i = 0; i < request.n; ++i) {
    choices_[i].choice.index = i;
    if (logprobs_) choices_[i].choice.logprobs.emplace();
  }
}

void AnswerBody::Add(SequenceDelta delta, Delta& out) {
  if (delta.choice >= choices_.size()) return;
  Progress& progress = choices_[delta.choice];
  wire::Choice& choice = progress.choice;
  if (!choice.finish_reason.empty()) return;
  if (delta.finish_reason) {
    choice.finish_reason = FinishReasonName(*delta.finish_reason);
    ++finished_;
    if (delta.choice == 0) reason_ = delta.finish_reason;
    usage_.completion_tokens += delta.usage.completion_tokens;
    usage_.prompt_tokens = std::max(usage_.prompt_tokens, delta.usage.prompt_tokens);
    if (delta.choice == 0) usage_.cached_tokens = delta.usage.cached_tokens;
    usage_.distinct_tokens = std::max(usage_.distinct_tokens, delta.usage.distinct_tokens);
  }
  if (stream_) return Stream(progress, delta, out);
  choice.text += delta.text;
  std::ranges::move(delta.tool_calls, std::back_inserter(choice.tool_calls));
  if (logprobs_) std::ranges::move(delta.logprobs, std::back_inserter(*choice.logprobs));
}

void AnswerBody::Stream(Progress& progress, SequenceDelta& delta, Delta& out) const {
  const uint32_t index = progress.choice.index;
  const bool text = !delta.text.empty() || !delta.logprobs.empty();
  if (!text && !delta.finish_reason) return;
  const bool chat = info_.endpoint == Endpoint::kChatCompletions;
  if (chat && !std::exchange(progress.begun, true)) out.raw_chunks.push_back(chunks_.Role(index));
  wire::Choice piece{.index = index, .text = std::move(delta.text)};
  if (logprobs_) piece.logprobs = std::move(delta.logprobs);
  if (text) out.raw_chunks.push_back(chunks_.Text(piece));
  piece.tool_calls = std::move(delta.tool_calls);
  if (!piece.tool_calls.empty()) out.raw_chunks.push_back(chunks_.ToolCalls(piece));
  if (!delta.finish_reason) return;
  out.raw_chunks.push_back(chunks_.Finish(FinishReasonName(*delta.finish_reason), index));
}

void AnswerBody::Finish(Delta& out) const {
  out.finish_reason = reason_;
  out.usage = usage_;
  if (stream_) {
    if (info_.include_usage) out.raw_chunks.push_back(chunks_.Usage(ToWire(usage_)));
    return;
  }
  std::vector<wire::Choice> all;
  for (const Progress& progress : choices_) all.push_back(progress.choice);
  const wire::Completion head{
      .id = info_.id, .created = info_.created, .model = info_.model, .usage = ToWire(usage_)};
  out.raw_response = wire::CompletionBody(info_.endpoint, head, all);
}

}  // namespace inferq::engine::llama
