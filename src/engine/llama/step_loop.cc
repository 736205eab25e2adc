#include "engine/llama/step_loop.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Fail;
using base::Result;

SequenceDelta Failed(uint64_t id, const base::Error& error) {
  SequenceDelta delta;
  delta.id = id;
  delta.error = RequestError{error.code(), error.message(), error.param()};
  return delta;
}

SequenceDelta Cancelled(uint64_t id, const Usage& usage) {
  SequenceDelta delta;
  delta.id = id;
  delta.finish_reason = FinishReason::kCancelled;
  delta.usage = usage;
  return delta;
}

}  // namespace

// A request in a slot.
struct StepLoop::Sequence {
  Sequence(Waiting waiting, size_t in_slot, const Model& model, uint64_t max_new)
      : id(waiting.id),
        slot(static_cast<llama_seq_id>(in_slot)),
        prompt(waiting.prompt.tokens),
        reservation(prompt.size() + max_new),
        answer(model, waiting.request, waiting.prompt, max_new, waiting.choice) {}

  bool prefilling() const { return held < prompt.size(); }
  Usage usage() const {
    return {.prompt_tokens = prompt.size(), .completion_tokens = answer.generated()};
  }

  uint64_t id;
  llama_seq_id slot;
  std::vector<llama_token> prompt;
  uint64_t reservation;  // prompt and all that it may generate
  Answer answer;
  size_t held = 0;       // tokens in the KV cache
  size_t chunk = 0;      // tokens in the present batch
  int32_t output = -1;   // its row of logits in the present batch; -1: none
  llama_token next = 0;  // sampled, not yet in the cache
};

// The arrays of a llama_batch, filled anew for each step.
class StepLoop::Batch {
 public:
  explicit Batch(size_t capacity)
      : tokens_(capacity),
        positions_(capacity),
        counts_(capacity, 1),
        sequences_(capacity),
        sequence_pointers_(capacity),
        outputs_(capacity) {
    for (size_t i = 0; i < capacity; ++i) sequence_pointers_[i] = &sequences_[i];
  }

  void Clear() { size_ = 0; }
  size_t size() const { return size_; }
  size_t room() const { return tokens_.size() - size_; }

  // @return the row.
  int32_t Add(llama_token token, size_t position, llama_seq_id sequence, bool output) {
    INFERQ_CHECK(room() > 0);
    tokens_[size_] = token;
    positions_[size_] = static_cast<llama_pos>(position);
    sequences_[size_] = sequence;
    outputs_[size_] = output ? 1 : 0;
    return static_cast<int32_t>(size_++);
  }

  llama_batch view() {
    return {.n_tokens = static_cast<int32_t>(size_),
            .token = tokens_.data(),
            .embd = nullptr,
            .pos = positions_.data(),
            .n_seq_id = counts_.data(),
            .seq_id = sequence_pointers_.data(),
            .logits = outputs_.data()};
  }

 private:
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<int32_t> counts_;
  std::vector<llama_seq_id> sequences_;
  std::vector<llama_seq_id*> sequence_pointers_;
  std::vector<int8_t> outputs_;
  size_t size_ = 0;
};

StepLoop::StepLoop(const Model& model, StepHooks hooks)
    : model_(model),
      hooks_(std::move(hooks)),
      slots_(model.facts().slots),
      batch_(std::make_unique<Batch>(model.facts().batch_tokens)) {}

StepLoop::~StepLoop() = default;

void StepLoop::Submit(uint64_t id, GenerateRequest request) {
  for (uint32_t choice = 0; choice < request.n; ++choice) {
    queue_.push_back({.id = id, .request = request, .choice = choice});
  }
}

void StepLoop::Cancel(uint64_t id) {
  Usage usage;
  bool known = std::erase_if(queue_, [id](const Waiting& w) { return w.id == id; }) > 0;
  for (auto& slot : slots_) {
    if (!slot || slot->id != id) continue;
    usage = slot->usage();
    known = true;
    Leave(*slot);
  }
  if (known) ended_.push_back(Cancelled(id, usage));
}

void StepLoop::Admit() {
  while (!queue_.empty() && running_ < slots_.size()) {
    const auto free = std::ranges::find_if(slots_, [](const auto& slot) { return !slot; });
    if (!AdmitFirst(static_cast<size_t>(free - slots_.begin()))) return;
  }
}

// @return false when the first in line has to wait for others to end.
bool StepLoop::AdmitFirst(size_t slot) {
  Waiting& first = queue_.front();
  if (first.prompt.tokens.empty()) {
    hooks_.on_start(first.id);
    auto prompt = model_.Prepare(first.request);
    if (!prompt) {
      deltas_.push_back(Failed(first.id, prompt.error()));
      queue_.pop_front();
      return true;
    }
    first.prompt = *std::move(prompt);
  }
  const uint64_t room = model_.facts().context_tokens - first.prompt.tokens.size();
  const uint64_t max_new = std::min(room, first.request.max_tokens.value_or(room));
  const uint64_t reservation = first.prompt.tokens.size() + max_new;
  if (running_ > 0 && reserved_ + reservation > model_.kv_tokens()) return false;
  if (reservation > model_.kv_tokens()) {
    const base::Error error(
        Code::kInvalidArgument,
        fmt::format("prompt and output may have {} tokens, more than the engine's "
                    "memory for {}: lower max_tokens",
                    reservation, model_.kv_tokens()));
    deltas_.push_back(Failed(first.id, base::Error(error).WithParam("body.max_tokens")));
    queue_.pop_front();
    return true;
  }
  auto sequence = std::make_unique<Sequence>(std::move(first), slot, model_, max_new);
  reserved_ += reservation;
  ++running_;
  slots_[slot] = std::move(sequence);
  queue_.pop_front();
  return true;
}

// Moves the last sequences into free slots before them: llama.cpp splits a batch at every gap in
// the sequence ids and reads all weights once more for each part. Costs a copy of the sequence's
// cache.
void StepLoop::CloseGaps() {
  if (model_.shares_cache()) return;
  llama_memory_t memory = llama_get_memory(model_.context());
  for (size_t gap = 0; gap < running_; ++gap) {
    if (slots_[gap]) continue;
    size_t last = slots_.size() - 1;
    while (!slots_[last]) --last;
    llama_memory_seq_cp(memory, slots_[last]->slot, static_cast<llama_seq_id>(gap), -1, -1);
    llama_memory_seq_rm(memory, slots_[last]->slot, -1, -1);
    slots_[gap] = std::move(slots_[last]);
    slots_[gap]->slot = static_cast<llama_seq_id>(gap);
  }
}

// One token of each running sequence, then the prompts of the joining ones, oldest first.
void StepLoop::FillBatch() {
  batch_->Clear();
  std::vector<Sequence*> joining;
  for (auto& slot : slots_) {
    if (!slot) continue;
    slot->output = -1;
    slot->chunk = 0;
    if (slot->prefilling()) {
      joining.push_back(slot.get());
    } else {
      slot->output = batch_->Add(slot->next, slot->held, slot->slot, true);
      slot->chunk = 1;
    }
  }
  std::ranges::sort(joining, {}, &Sequence::id);
  for (Sequence* sequence : joining) {
    while (batch_->room() > 0 && sequence->held + sequence->chunk < sequence->prompt.size()) {
      const size_t position = sequence->held + sequence->chunk++;
      const bool last = position + 1 == sequence->prompt.size();
      const int32_t row = batch_->Add(sequence->prompt[position], position, sequence->slot, last);
      if (last) sequence->output = row;
    }
  }
}

Result<> StepLoop::Decode() {
  while (running_ > 0) {
    FillBatch();
    const int32_t status = llama_decode(model_.context(), batch_->view());
    if (status == 0) return {};
    if (status != 1) return Fail(Code::kInternal, "llama_decode failed with status {}", status);
    ShedLargest();  // no room in the KV cache, against our accounts: the others go on
  }
  batch_->Clear();
  return {};
}

void StepLoop::ShedLargest() {
  Sequence* largest = nullptr;
  for (auto& slot : slots_) {
    if (slot && (!largest || slot->held + slot->chunk > largest->held + largest->chunk))
      largest = slot.get();
  }
  const base::Error error(
      Code::kResourceExhausted,
      fmt::format("the engine's memory for {} tokens is full", model_.kv_tokens()));
  deltas_.push_back(Failed(largest->id, error));
  Leave(*largest);
}

Result<std::vector<SequenceDelta>> StepLoop::Step() {
  deltas_ = std::exchange(ended_, {});
  Admit();
  CloseGaps();
  INFERQ_TRY(Decode());
  const auto vocabulary = static_cast<size_t>(model_.facts().vocabulary);
  for (auto& slot : slots_) {
    if (!slot) continue;
    slot->held += slot->chunk;
    if (slot->output < 0) continue;
    const float* row = llama_get_logits_ith(model_.context(), slot->output);
    if (!row) return Fail(Code::kInternal, "the model gave no logits for row {}", slot->output);
    const std::span<const float> logits(row, vocabulary);
    llama_token token = slot->answer.Choose(logits, scratch_);
    if (hooks_.on_logits) token = hooks_.on_logits(slot->id, logits, token);
    Advance(*slot, token);
  }
  return std::exchange(deltas_, {});
}

void StepLoop::Advance(Sequence& sequence, llama_token token) {
  sequence.next = token;
  SequenceDelta delta = sequence.answer.Take(token);
  delta.id = sequence.id;
  const bool over = delta.finish_reason.has_value();
  if (over) delta.usage = sequence.usage();
  deltas_.push_back(std::move(delta));
  if (over) Leave(sequence);
}

// Frees the slot. `sequence` is gone after it.
void StepLoop::Leave(Sequence& sequence) {
  llama_memory_seq_rm(llama_get_memory(model_.context()), sequence.slot, -1, -1);
  reserved_ -= sequence.reservation;
  --running_;
  slots_[static_cast<size_t>(sequence.slot)].reset();
}

}  // namespace inferq::engine::llama
