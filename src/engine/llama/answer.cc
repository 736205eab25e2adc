#include "engine/llama/answer.h"

#include <algorithm>
#include <utility>

namespace inferq::engine::llama {
namespace {

SamplingParams ParamsOf(const GenerateRequest& request, uint32_t choice) {
  SamplingParams params = request.sampling;
  if (params.seed) *params.seed += choice;
  return params;
}

std::optional<Grammar> CopyOf(const std::optional<Grammar>& grammar) {
  return grammar ? std::optional(grammar->Copy()) : std::nullopt;
}

std::vector<std::string> Stops(const GenerateRequest& request, const AnswerFormat& format) {
  std::vector<std::string> stops = request.stop;
  stops.insert(stops.end(), format.stop.begin(), format.stop.end());
  return stops;
}

uint64_t CharactersIn(std::string_view utf8) {
  return static_cast<uint64_t>(
      std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

Answer::Answer(const Model& model, const GenerateRequest& request, const AnswerFormat& format,
               std::span<const llama_token> prompt, uint64_t max_new, uint32_t choice)
    : model_(model),
      max_new_(max_new),
      ignore_eos_(request.ignore_eos && !format.grammar),
      choice_(choice),
      visible_(format.visible),
      sampler_(ParamsOf(request, choice), CopyOf(format.grammar)),
      stop_(Stops(request, format)),
      tools_(format.tools),
      logprobs_(request.logprobs),
      top_logprobs_(request.top_logprobs) {
  sampler_.AcceptPrompt(prompt);
}

llama_token Answer::Choose(std::span<const float> logits, Sampler::Candidates& scratch) {
  const llama_token token = sampler_.Sample(logits, scratch);
  if (!logprobs_ || token == LLAMA_TOKEN_NULL) return token;
  const double total = LogSumExp(logits, scratch.draw);
  const auto logprob = [&](uint32_t id) { return double{logits[id]} - total; };
  chosen_ = {};
  chosen_.token = Score(token, logprob(static_cast<uint32_t>(token)));
  for (uint32_t id : TopK(logits, top_logprobs_, scratch.draw)) {
    chosen_.top.push_back(Score(static_cast<llama_token>(id), logprob(id)));
  }
  return token;
}

wire::TokenScore Answer::Score(llama_token token, double logprob) const {
  return {.bytes = model_.Piece(token, true), .logprob = logprob};
}

SequenceDelta Answer::Take(llama_token token) {
  ++generated_;
  SequenceDelta delta;
  delta.choice = choice_;
  delta.tokens = 1;
  if (token == LLAMA_TOKEN_NULL || (model_.IsEnd(token) && !ignore_eos_)) {
    delta.text = stop_.Feed(utf8_.Finish());
    return Finish(FinishReason::kStop, std::move(delta));
  }
  if (logprobs_) HoldLogprob();
  const std::string text = utf8_.Feed(model_.Piece(token, visible_.contains(token)));
  assembled_ += text.size();
  characters_ += CharactersIn(text);
  delta.text = stop_.Feed(text);
  if (stop_.stopped()) return Finish(FinishReason::kStop, std::move(delta));
  if (generated_ >= max_new_) {
    delta.text += stop_.Feed(utf8_.Finish());
    return Finish(FinishReason::kLength, std::move(delta));
  }
  if (tools_) {
    whole_ += std::exchange(delta.text, {});
  } else {
    ReleaseLogprobs(delta, false);
  }
  return delta;
}

SequenceDelta Answer::Finish(FinishReason reason, SequenceDelta delta) {
  if (!stop_.stopped()) delta.text += stop_.Finish();
  delta.finish_reason = reason;
  if (tools_) ReadCalls(reason, delta);
  ReleaseLogprobs(delta, tools_ || !stop_.stopped());
  return delta;
}

void Answer::ReadCalls(FinishReason reason, SequenceDelta& delta) {
  whole_ += delta.text;
  ToolParser::Message message = tools_->Parse(whole_, reason == FinishReason::kLength);
  delta.text = std::move(message.text);
  delta.tool_calls = std::move(message.calls);
  if (reason == FinishReason::kStop && !delta.tool_calls.empty()) {
    delta.finish_reason = FinishReason::kToolCalls;
  }
}

void Answer::HoldLogprob() {
  chosen_.offset = characters_;
  held_.push_back({.begin = assembled_, .logprob = std::move(chosen_)});
  chosen_ = {};
}

void Answer::ReleaseLogprobs(SequenceDelta& delta, bool all) {
  released_ += delta.text.size();
  size_t count = 0;
  while (count < held_.size() && (all || held_[count].begin < released_)) {
    delta.logprobs.push_back(std::move(held_[count++].logprob));
  }
  held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(count));
}

}  // namespace inferq::engine::llama
