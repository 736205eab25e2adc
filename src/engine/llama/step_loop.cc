#include "engine/llama/step_loop.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Result;

constexpr uint32_t kActiveMin = 16;  // sequences that run at once, however dear their cells are
constexpr uint64_t kPromptChunkMin = 16;  // tokens of prompts in a step while others generate
constexpr size_t kPopularMin = 16;  // tokens that two prompts share before they are worth keeping

// When to look whether the other kind of cache would be faster.
constexpr double kRecentTokens = 20'000;  // how far back the sharing of prompts is remembered
constexpr uint32_t kCrowd = 24;           // sequences; fewer do not disturb each other much
constexpr double kClearly = 0.05;         // part of the work that a change must save
constexpr uint64_t kStepsBetween = 200;   // changes
// What looking at 100,000 cells in vain costs a token, in parts of its other work: a first guess
// for a small model on a CPU, until it is measured.
constexpr double kCellsGuess = 8;

SequenceDelta Cancelled(const Sequence& sequence) {
  SequenceDelta delta;
  delta.id = sequence.id;
  delta.choice = sequence.choice;
  delta.finish_reason = FinishReason::kCancelled;
  if (sequence.answer) delta.usage = sequence.usage();
  return delta;
}

}  // namespace

StepLoop::StepLoop(Model& model, StepHooks hooks)
    : model_(model), hooks_(std::move(hooks)), batch_(model.facts().batch_tokens) {
  cache_ = std::make_unique<KvCache>(model_.context(), model_.cache_limits());
}

StepLoop::~StepLoop() {
  if (model_.context()) llama_memory_clear(llama_get_memory(model_.context()), false);
}

EngineStats StepLoop::stats() const {
  EngineStats stats = stats_;
  stats.running = running();
  stats.waiting = waiting();
  stats.kv_used = cache_->used();
  stats.kv_cells = cache_->limits().cells;
  stats.shared_cache = cache_->limits().shares;
  return stats;
}

// --- Requests ---

void StepLoop::Submit(uint64_t id, GenerateRequest request) {
  auto prompt = model_.Prepare(request);
  Submit(id, std::move(request), std::move(prompt));
}

void StepLoop::Submit(uint64_t id, GenerateRequest request, Result<Prompt> prompt) {
  if (!prompt) return Fail(id, prompt.error());
  const uint64_t room = model_.facts().context_tokens - prompt->tokens.size();
  const uint64_t max_new = std::min(room, request.max_tokens.value_or(room));
  const uint64_t most = prompt->tokens.size() + max_new;
  if (most > cache_->limits().cells) {
    base::Error error(Code::kInvalidArgument,
                      fmt::format("prompt and output may have {} tokens, more than the engine's "
                                  "memory for {}: lower max_tokens",
                                  most, cache_->limits().cells));
    return Fail(id, std::move(error).WithParam("body.max_tokens"));
  }
  Queue(request, id, *std::move(prompt), max_new);
}

void StepLoop::Queue(const GenerateRequest& request, uint64_t id, Prompt prepared,
                     uint64_t max_new) {
  const std::vector<llama_token>& prompt = prepared.tokens;
  const size_t seen = std::min(seen_.Add(prompt), prompt.size() - 1);
  stats_.distinct_tokens += prompt.size() - seen;
  for (uint32_t choice = 0; choice < request.n; ++choice) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = id;
    sequence->choice = choice;
    sequence->order = next_order_++;
    sequence->request = request;
    sequence->format = prepared.format;
    sequence->tokens = prompt;
    sequence->prompt_size = prompt.size();
    sequence->max_new = max_new;
    sequence->distinct = prompt.size() - seen;
    queue_.Push(std::move(sequence));
  }
  full_ = false;
}

void StepLoop::Cancel(uint64_t id) {
  for (const SequencePtr& sequence : Remove(id)) deltas_.push_back(Cancelled(*sequence));
}

// Takes out all answers of a request, wherever they are.
std::vector<SequencePtr> StepLoop::Remove(uint64_t id) {
  std::vector<SequencePtr> removed = queue_.Remove(id);
  for (SequencePtr& sequence : running_) {
    if (sequence->id != id) continue;
    cache_->Drop(sequence->slot);
    removed.push_back(std::move(sequence));
  }
  std::erase(running_, nullptr);
  full_ = false;
  return removed;
}

// Ends a request and all its answers.
void StepLoop::Fail(uint64_t id, const base::Error& error) {
  Remove(id);
  SequenceDelta delta;
  delta.id = id;
  delta.error = RequestError{error.code(), error.message(), error.param()};
  deltas_.push_back(std::move(delta));
}

// --- Who runs ---

void StepLoop::Admit() {
  if (full_ && !queue_.interactive_waits()) return;
  const auto shareable = [this](const Sequence& s) { return cache_->Shareable(s.prompt()); };
  for (;;) {
    const Sequence* next = queue_.Peek(shareable);
    full_ = !next || !MayAdmit(*next) || !FindPlace(*next) || !AdmitNext();
    if (full_) return;
  }
}

bool StepLoop::MayAdmit(const Sequence& next) {
  if (running_.empty()) return true;
  const bool company = !next.alone && !running_.front()->alone;
  return company && (next.interactive() || running_.size() < ActiveLimit());
}

uint32_t StepLoop::ActiveLimit() const {
  const uint32_t slots = model_.facts().slots;
  if (!cache_->limits().shares || running_.size() < kActiveMin) return slots;
  const auto cells = static_cast<double>(cache_->used());
  return cost_.BestActive(cells / static_cast<double>(running_.size()), kActiveMin, slots);
}

// Tokens that the sequence is expected to need beyond what it holds.
uint64_t StepLoop::Growth(const Sequence& sequence) const {
  const uint64_t left = sequence.max_new - sequence.generated();
  uint64_t expected = left;
  if (expected_new_ > 0 && !sequence.request.ignore_eos) {
    const auto more = static_cast<uint64_t>(expected_new_ * 1.25) + 16;
    expected = std::min(left, more > sequence.generated() ? more - sequence.generated() : 16);
  }
  return sequence.tokens.size() - sequence.held + expected;
}

// Whether there is a slot and memory for the next one, after making some.
bool StepLoop::FindPlace(const Sequence& next) {
  while (running_.size() >= model_.facts().slots) {
    if (!next.interactive() || !PauseOne(true)) return false;
  }
  for (;;) {
    uint64_t need = Growth(next) - std::min(next.tokens.size(), cache_->Shareable(next.prompt()));
    for (const SequencePtr& sequence : running_) need += Growth(*sequence);
    if (cache_->free() + cache_->kept() >= need || running_.empty()) return true;
    if (!next.interactive() || !PauseOne(true)) return false;
  }
}

bool StepLoop::AdmitNext() {
  const auto slot = cache_->Take();
  if (!slot) return false;
  SequencePtr sequence = queue_.Pop();
  hooks_.on_start(sequence->id);
  sequence->slot = *slot;
  Share(*sequence);
  if (!sequence->answer) {
    Remember(*sequence);
    sequence->answer =
        std::make_unique<Answer>(model_, sequence->request, *sequence->format, sequence->prompt(),
                                 sequence->max_new, sequence->choice);
  }
  running_.push_back(std::move(sequence));
  return true;
}

// How much of what runs is shared: counted as it comes to run, since what waits may be all there
// is.
void StepLoop::Remember(const Sequence& sequence) {
  const size_t own = sequence.choice > 0 ? 1 : sequence.distinct;
  ++recent_requests_;
  recent_tokens_ += static_cast<double>(sequence.prompt_size);
  recent_shared_ += static_cast<double>(sequence.prompt_size - own);
}

// Takes the place of one sequence away: of a batch one, the youngest; for memory's sake any but the
// oldest. @return false when nobody can be asked to.
bool StepLoop::PauseOne(bool for_interactive) {
  size_t victim = running_.size();
  for (size_t i = 0; i < running_.size(); ++i) {
    const Sequence& sequence = *running_[i];
    if (for_interactive && (sequence.interactive() || sequence.pauses >= kPausesMax)) continue;
    const auto worse = [](const Sequence& a, const Sequence& b) {  // a goes before b does
      return std::pair(!a.interactive(), a.order) > std::pair(!b.interactive(), b.order);
    };
    if (victim == running_.size() || worse(sequence, *running_[victim])) victim = i;
  }
  if (victim == running_.size() || (!for_interactive && running_.size() == 1)) return false;
  Pause(victim);
  return true;
}

void StepLoop::Pause(size_t index) {
  SequencePtr sequence = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  cache_->Drop(sequence->slot);
  sequence->slot = Sequence::kNoSlot;
  sequence->held = 0;
  sequence->again = true;
  ++sequence->pauses;
  ++stats_.pauses;
  hooks_.on_park(sequence->id);
  queue_.PushPaused(std::move(sequence));
  full_ = false;
}

// --- One step ---

Result<std::vector<SequenceDelta>> StepLoop::Step() {
  INFERQ_TRY(ChooseCache());
  Admit();
  CloseGaps();
  INFERQ_TRY(Decode());
  ++stats_.steps;
  INFERQ_TRY(Sample());
  return std::exchange(deltas_, {});
}

// Moves the last sequences into free places before them: with separate caches llama.cpp splits a
// batch at every gap in the sequence ids and reads all weights once more for each part. Costs a
// copy of the sequence's cache.
void StepLoop::CloseGaps() {
  if (cache_->limits().shares) return;
  std::ranges::sort(running_, {}, &Sequence::slot);
  for (size_t gap = 0; gap < running_.size(); ++gap) {
    const auto place = static_cast<llama_seq_id>(gap);
    if (running_[gap]->slot == place) continue;
    cache_->Move(running_.back()->slot, place);
    running_.back()->slot = place;
    std::ranges::rotate(running_.begin() + static_cast<std::ptrdiff_t>(gap), running_.end() - 1,
                        running_.end());
  }
}

// Others go first in this step.
bool StepLoop::MustPause(const Sequence& sequence) const {
  return urgent_ && !sequence.interactive() && sequence.passed < kPassedMax;
}

void StepLoop::FillBatch() {
  batch_.Clear();
  shape_ = {};
  urgent_ = std::ranges::any_of(
      running_, [](const auto& s) { return s->interactive() && s->generated() == 0; });
  for (auto& sequence : running_) {
    sequence->output = -1;
    sequence->chunk = 0;
    sequence->passed_over = MustPause(*sequence);
    sequence->passed += sequence->passed_over ? 1 : 0;
  }
  AddDecoding();
  AddPrompts();
  if (cache_->limits().shares) shape_.cells = cache_->used();
}

// One token of each sequence that generates.
void StepLoop::AddDecoding() {
  for (auto& sequence : running_) {
    if (!sequence->decoding() || sequence->passed_over) continue;
    AddChunk(*sequence, 1);
    ++shape_.decode;
  }
}

// Prompts of those that join: interactive ones first, then in the order of coming.
void StepLoop::AddPrompts() {
  std::vector<Sequence*> joining;
  for (auto& sequence : running_) {
    if (!sequence->decoding() && !sequence->passed_over) joining.push_back(sequence.get());
  }
  std::ranges::sort(joining, {},
                    [](Sequence* s) { return std::pair(!s->interactive(), s->order); });
  uint64_t budget =
      std::min<uint64_t>(batch_.room(), cache_->free() - std::min(cache_->free(), shape_.decode));
  if (shape_.decode > 0 || queue_.interactive_waits()) {
    budget = std::min(
        budget, cost_.PrefillBudget(shape_.decode, cache_->used(), kPromptChunkMin, batch_.room()));
  }
  PrefixIndex computing;  // in this step
  for (Sequence* sequence : joining) {
    const auto prompt = sequence->prompt();
    if (sequence->held < prompt.size()) {
      Share(*sequence);
      const auto shared = prompt.first(prompt.size() - 1);
      // Somebody else is computing what comes next: that will be shared.
      if (cache_->limits().shares && computing.Longest(shared).length > sequence->held) continue;
    }
    AddChunk(*sequence, budget);
    budget -= sequence->chunk;
    shape_.prefill += sequence->chunk;
    const size_t end = std::min(sequence->held + sequence->chunk, prompt.size() - 1);
    const auto holder = static_cast<PrefixIndex::Holder>(sequence->slot);
    if (cache_->limits().shares && joining.size() > 1) computing.Extend(holder, prompt.first(end));
  }
}

// Takes over what others have computed of its prompt.
void StepLoop::Share(Sequence& sequence) {
  const size_t held = cache_->Share(sequence.slot, sequence.prompt(), sequence.held);
  const size_t more = held - std::exchange(sequence.held, held);
  stats_.shared_tokens += more;
  if (!sequence.again) sequence.cached += more;
}

void StepLoop::AddChunk(Sequence& sequence, size_t most) {
  const size_t end = std::min(sequence.tokens.size(), sequence.held + most);
  for (size_t position = sequence.held; position < end; ++position) {
    const bool last = position + 1 == sequence.tokens.size();
    const int32_t row = batch_.Add(sequence.tokens[position], position, sequence.slot, last);
    if (last) sequence.output = row;
  }
  sequence.chunk = end - sequence.held;
}

Result<> StepLoop::Decode() {
  while (!running_.empty()) {
    while (!cache_->MakeRoom(running_.size()) && PauseOne(false)) continue;
    FillBatch();
    if (batch_.size() == 0) return {};
    const base::SteadyTime begin = base::SystemClock().Steady();
    const int32_t status = hooks_.decode(model_.context(), batch_.view());
    if (status == 0) {
      cost_.Observe(shape_, base::SystemClock().Steady() - begin);
      return {};
    }
    // 1: no room in the cache, against our accounts.
    if (status == 1 && PauseOne(false)) continue;
    INFERQ_TRY(TakeApart(status));
    Admit();
  }
  batch_.Clear();
  return {};
}

// The step failed: one of its sequences is to blame, or the context is. A new context, and each of
// them alone.
Result<> StepLoop::TakeApart(int32_t status) {
  std::vector<Sequence*> in_step;
  for (auto& sequence : running_) {
    if (sequence->chunk > 0) in_step.push_back(sequence.get());
  }
  if (in_step.size() == 1) {
    const base::Error failed(
        Code::kInternal,
        fmt::format("the model failed on this request (llama_decode: {})", status));
    const base::Error full(
        Code::kResourceExhausted,
        fmt::format("the engine's memory for {} tokens is full", cache_->limits().cells));
    Fail(in_step.front()->id, status == 1 ? full : failed);
  } else {
    for (Sequence* sequence : in_step) sequence->alone = true;
  }
  return UseCache(cache_->limits().shares);
}

Result<> StepLoop::Sample() {
  if (batch_.size() == 0) return {};
  const auto vocabulary = static_cast<size_t>(model_.facts().vocabulary);
  for (auto& sequence : running_) {
    if (sequence->chunk == 0) continue;
    if (!sequence->decoding()) stats_.computed_tokens += sequence->chunk;
    sequence->held += sequence->chunk;
    cache_->Computed(sequence->slot, sequence->prompt(), sequence->held);
    if (sequence->output < 0) continue;
    sequence->alone = false;  // all of it was computed: it was not to blame
    const float* row = llama_get_logits_ith(model_.context(), sequence->output);
    if (!row) {
      return base::Fail(Code::kInternal, "the model gave no logits for row {}", sequence->output);
    }
    const std::span<const float> logits(row, vocabulary);
    llama_token token = sequence->answer->Choose(logits, scratch_);
    if (hooks_.on_logits) token = hooks_.on_logits(*sequence, logits, token);
    Take(*sequence, token);
  }
  const size_t left =
      std::erase_if(running_, [](const SequencePtr& s) { return s->slot == Sequence::kNoSlot; });
  if (left > 0) full_ = false;
  return {};
}

// Takes a new token in: its text, and whether the sequence ends with it.
void StepLoop::Take(Sequence& sequence, llama_token token) {
  sequence.tokens.push_back(token);
  ++stats_.generated_tokens;
  SequenceDelta delta = sequence.answer->Take(token);
  delta.id = sequence.id;
  delta.choice = sequence.choice;
  const bool over = delta.finish_reason.has_value();
  if (over) delta.usage = sequence.usage();
  deltas_.push_back(std::move(delta));
  if (over) Leave(sequence);
}

// Frees the slot, and keeps of the prompt what others are likely to begin with: those that wait, or
// because two have before; of a conversation all, since it goes on.
void StepLoop::Leave(Sequence& sequence) {
  const double generated = static_cast<double>(sequence.generated());
  expected_new_ += (generated - expected_new_) / (expected_new_ > 0 ? 32 : 1);
  recent_tokens_ += generated;
  const size_t wanted = queue_.Wanted(sequence.prompt());
  const size_t seen = sequence.prompt_size - sequence.distinct;
  size_t length = std::max(wanted, seen >= kPopularMin ? seen : 0);
  if (sequence.interactive()) length = sequence.held;
  cache_->Keep(std::exchange(sequence.slot, Sequence::kNoSlot), sequence.tokens, length,
               wanted >= length);
}

// --- Which kind of cache ---

// One cache for all lets prompts share, but each token looks at everybody's cells: what is better
// depends on how much the prompts share, and on how many cells there are.
Result<> StepLoop::ChooseCache() {
  if (!model_.may_choose_cache() || running_.size() + waiting() < kCrowd) return {};
  if (recent_requests_ < kCrowd) return {};  // the first of those that begin alike shares nothing
  if (cache_chosen_ != 0 && stats_.steps < cache_chosen_ + kStepsBetween) return {};
  if (recent_tokens_ > kRecentTokens) {
    recent_requests_ /= 2;
    recent_tokens_ /= 2;
    recent_shared_ /= 2;
  }
  const double shared = recent_shared_ / std::max(1.0, recent_tokens_);
  const bool shares = cache_->limits().shares;
  if (shares) sharing_cost_ = SharingCost(shared);
  const double gain = shares ? sharing_cost_ - shared : shared - sharing_cost_;
  // What is held has to be computed again; it must be worth that.
  if (gain < kClearly || gain * WorkLeft() < 2 * static_cast<double>(cache_->used())) return {};
  return UseCache(!shares);
}

// The part of a step that goes to looking at others' cells, with as many sequences as may run.
double StepLoop::SharingCost(double shared) const {
  const auto rows = std::min<uint64_t>(model_.facts().slots, running_.size() + waiting());
  const double each = MeanTokens() * (1 - shared);
  const double all = each * static_cast<double>(rows);
  const double guess = all / 1e5 * kCellsGuess;
  if (!cost_.known()) return guess;
  const double with = cost_.Predict({rows, 0, static_cast<uint64_t>(all)}).count();
  const double without = cost_.Predict({rows, 0, static_cast<uint64_t>(each)}).count();
  return std::clamp(with / without - 1, guess / 4, guess * 4);
}

// Of the last requests, prompt and answer.
double StepLoop::MeanTokens() const { return recent_tokens_ / std::max(1.0, recent_requests_); }

// Tokens still to be computed, about.
double StepLoop::WorkLeft() const {
  double left = MeanTokens() * static_cast<double>(waiting());
  for (const SequencePtr& sequence : running_) left += static_cast<double>(Growth(*sequence));
  return left;
}

// Leaves everything that is held behind; it is computed again.
Result<> StepLoop::UseCache(bool shared) {
  while (!running_.empty()) Pause(running_.size() - 1);
  INFERQ_TRY(model_.UseCache(shared));
  cache_ = std::make_unique<KvCache>(model_.context(), model_.cache_limits());
  cost_ = StepCost();
  cache_chosen_ = stats_.steps + 1;
  return {};
}

}  // namespace inferq::engine::llama
