#include "engine/llama/answer.h"

#include <utility>

namespace inferq::engine::llama {

Answer::Answer(const Model& model, const GenerateRequest& request,
               std::span<const llama_token> prompt, uint64_t max_new)
    : model_(model),
      max_new_(max_new),
      ignore_eos_(request.ignore_eos),
      sampler_(request.sampling, static_cast<int32_t>(model.facts().vocabulary),
               static_cast<int32_t>(model.facts().context_tokens)),
      stop_(request.stop) {
  sampler_.AcceptPrompt(prompt);
}

SequenceDelta Answer::Take(llama_token token) {
  ++generated_;
  SequenceDelta delta;
  delta.tokens = 1;
  if (model_.IsEnd(token) && !ignore_eos_) {
    delta.text = stop_.Feed(utf8_.Finish());
    return Finish(FinishReason::kStop, std::move(delta));
  }
  delta.text = stop_.Feed(utf8_.Feed(model_.Piece(token)));
  if (stop_.stopped()) return Finish(FinishReason::kStop, std::move(delta));
  if (generated_ < max_new_) return delta;
  delta.text += stop_.Feed(utf8_.Finish());
  return Finish(FinishReason::kLength, std::move(delta));
}

SequenceDelta Answer::Finish(FinishReason reason, SequenceDelta delta) {
  if (!stop_.stopped()) delta.text += stop_.Finish();
  delta.finish_reason = reason;
  return delta;
}

}  // namespace inferq::engine::llama
