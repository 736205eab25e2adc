#include "engine/llama/embed_calls.h"

#include <utility>

#include "base/check.h"

namespace inferq::engine::llama {

using base::Result;

EmbedCalls::EmbedCalls(EmbedCallsOptions options) : options_(options) {
  sched::MicroBatchOptions batching;
  batching.max_batch_size = options.batch_size;
  batching.max_queue_delay = options.window;
  batching.max_batch_tokens = options.batch_tokens;
  auto made = sched::MicroBatcher::Make(std::move(batching));
  INFERQ_CHECK(made.has_value());
  batcher_ = *std::move(made);
}

void EmbedCalls::Add(uint64_t id, std::string model, wire::EmbeddingRequest request,
                     base::SteadyTime now) {
  Request& added = requests_[id];
  added.model = std::move(model);
  added.request = std::move(request);
  added.first_call = next_call_;
  added.missing = added.request.inputs.size();
  added.vectors.resize(added.missing);
  // Of another shape than everybody else's: it shares with nobody.
  const std::string shape = options_.window.count() == 0 ? std::to_string(id) : "";
  for (uint32_t index = 0; index < added.missing; ++index) {
    sched::Call call{.id = next_call_++, .shape = shape};
    call.tokens = wire::EstimateInputTokens(added.request.inputs[index]);
    waiting_[call.id] = {id, index};
    INFERQ_CHECK(batcher_->Add(std::move(call), now).has_value());
  }
}

void EmbedCalls::Forget(uint64_t id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  for (size_t i = 0; i < found->second.vectors.size(); ++i) {
    const sched::CallId call = found->second.first_call + i;
    if (batcher_->Cancel(call)) waiting_.erase(call);
  }
  requests_.erase(found);
}

std::optional<Embed> EmbedCalls::Next(base::SteadyTime now) {
  auto batch = batcher_->Next(now, running_ ? 0 : 1);
  if (!batch) return std::nullopt;
  running_ = batch->number;
  Embed out{.batch = batch->number, .inputs = {}};
  for (sched::CallId call : batch->members) {
    const auto place = waiting_.extract(call).mapped();
    wire::EmbeddingRequest& request = requests_.at(place.id).request;
    EmbedInput& input = out.inputs.emplace_back();
    input.id = place.id;
    input.index = place.index;
    input.dimensions = request.dimensions.value_or(0);
    wire::EmbeddingInput given = std::move(request.inputs[place.index]);
    if (auto* text = std::get_if<std::string>(&given)) input.text = std::move(*text);
    if (auto* tokens = std::get_if<std::vector<int32_t>>(&given)) input.tokens = std::move(*tokens);
  }
  ++counts_.batches;
  counts_.inputs += out.inputs.size();
  return out;
}

std::optional<base::SteadyTime> EmbedCalls::NextDeadline(base::SteadyTime now) {
  return batcher_->NextDeadline(now, running_ ? 0 : 1);
}

// @return the whole answer, once nothing is missing; before that one without a finish_reason.
Result<Delta> EmbedCalls::Take(Request& request, Embedding result) {
  if (result.error) {
    base::Error error(result.error->code, std::move(result.error->message));
    return std::unexpected(std::move(error).WithParam(std::move(result.error->param)));
  }
  Delta answer;
  std::string& vector = request.vectors[result.index];
  if (!vector.empty()) return answer;
  vector = wire::EmbeddingJson(result.vector, request.request.format);
  request.tokens += result.tokens;
  if (--request.missing > 0) return answer;
  answer.raw_response = wire::EmbeddingBody(request.model, request.vectors, request.tokens);
  answer.usage.prompt_tokens = request.tokens;
  answer.finish_reason = FinishReason::kStop;
  return answer;
}

std::vector<EmbedCalls::Ended> EmbedCalls::OnEmbedded(Embedded embedded) {
  std::vector<Ended> ended;
  for (Embedding& result : embedded.results) {
    const uint64_t id = result.id;
    const auto found = requests_.find(id);
    if (found == requests_.end() || result.index >= found->second.vectors.size()) continue;
    auto answer = Take(found->second, std::move(result));
    if (answer && !answer->finish_reason) continue;
    ended.push_back({id, std::move(answer)});
    Forget(id);
  }
  if (embedded.last && running_ == embedded.batch) OnLost();
  return ended;
}

void EmbedCalls::OnLost() {
  if (running_) (void)batcher_->Finish(*std::exchange(running_, std::nullopt));
}

}  // namespace inferq::engine::llama
