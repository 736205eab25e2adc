#include "engine/llama/kv_cache.h"

#include <algorithm>

#include "base/check.h"

namespace inferq::engine::llama {
namespace {

PrefixIndex::Holder HolderOf(llama_seq_id sequence) {
  return static_cast<PrefixIndex::Holder>(sequence);
}

llama_pos Position(size_t n) { return static_cast<llama_pos>(n); }

// The part of a prompt that may be shared.
KvCache::Tokens Sharable(KvCache::Tokens prompt) {
  return prompt.first(prompt.empty() ? 0 : prompt.size() - 1);
}

}  // namespace

KvCache::KvCache(llama_context* context, Limits limits)
    : memory_(llama_get_memory(context)), limits_(limits), places_(limits.sequences) {}

std::optional<llama_seq_id> KvCache::Take() {
  auto free = std::ranges::find(places_, State::kFree, &Place::state);
  if (free == places_.end() && EvictOne())
    free = std::ranges::find(places_, State::kFree, &Place::state);
  if (free == places_.end()) return std::nullopt;
  free->state = State::kInUse;
  ++in_use_;
  return static_cast<llama_seq_id>(free - places_.begin());
}

size_t KvCache::Indexed(llama_seq_id sequence) const { return index_.length(HolderOf(sequence)); }

// Lets others find the first tokens of the sequence. Cells that another one holds with the same
// content are given back, so that the index counts each cell once.
void KvCache::Index(llama_seq_id sequence, Tokens tokens) {
  const size_t before = Indexed(sequence);
  if (tokens.size() <= before) return;
  const auto twin = index_.LongestOfOthers(tokens, HolderOf(sequence));
  if (twin.length > before) {
    const auto other = static_cast<llama_seq_id>(twin.holder);
    llama_memory_seq_rm(memory_, sequence, Position(before), Position(twin.length));
    llama_memory_seq_cp(memory_, other, sequence, Position(before), Position(twin.length));
  }
  index_.Extend(HolderOf(sequence), tokens);
  own_ -= tokens.size() - before;
}

size_t KvCache::Shareable(Tokens prompt) const {
  return limits_.shares ? index_.Longest(Sharable(prompt)).length : 0;
}

size_t KvCache::Share(llama_seq_id sequence, Tokens prompt, size_t held) {
  if (!limits_.shares || held != Indexed(sequence)) return held;
  const auto match = index_.LongestOfOthers(Sharable(prompt), HolderOf(sequence));
  if (match.length <= held) return held;
  const auto source = static_cast<llama_seq_id>(match.holder);
  llama_memory_seq_cp(memory_, source, sequence, Position(held), Position(match.length));
  index_.Extend(HolderOf(sequence), prompt.first(match.length));
  At(sequence).held = match.length;
  if (const auto kept = std::ranges::find(kept_, source); kept != kept_.end()) {
    kept_.splice(kept_.end(), kept_, kept);
  }
  return match.length;
}

void KvCache::Computed(llama_seq_id sequence, Tokens prompt, size_t held) {
  own_ += held - At(sequence).held;
  At(sequence).held = held;
  if (limits_.shares) Index(sequence, prompt.first(std::min(held, Sharable(prompt).size())));
}

void KvCache::Drop(llama_seq_id sequence) {
  Place& place = At(sequence);
  INFERQ_CHECK(place.state != State::kFree);
  if (place.state == State::kKept) {
    kept_cells_ -= place.held;
    std::erase(kept_, sequence);
  } else {
    --in_use_;
  }
  own_ -= place.held - Indexed(sequence);
  index_.Erase(HolderOf(sequence));
  llama_memory_seq_rm(memory_, sequence, -1, -1);
  place = {};
}

void KvCache::Keep(llama_seq_id sequence, Tokens tokens, size_t length, bool wanted) {
  Place& place = At(sequence);
  tokens = tokens.first(std::min(length, place.held));
  const size_t others = index_.LongestOfOthers(tokens, HolderOf(sequence)).length;
  if (!limits_.shares || tokens.size() <= others) return Drop(sequence);
  llama_memory_seq_rm(memory_, sequence, Position(tokens.size()), -1);
  own_ -= place.held - std::max(tokens.size(), Indexed(sequence));
  Index(sequence, tokens);
  index_.Truncate(HolderOf(sequence), tokens.size());
  place = {.state = State::kKept, .held = tokens.size(), .wanted = wanted};
  --in_use_;
  kept_.push_back(sequence);
  kept_cells_ += place.held;
  LimitKept();
}

void KvCache::Move(llama_seq_id from, llama_seq_id to) {
  INFERQ_CHECK(!limits_.shares && At(to).state == State::kFree);
  llama_memory_seq_cp(memory_, from, to, -1, -1);
  llama_memory_seq_rm(memory_, from, -1, -1);
  std::swap(At(from), At(to));
}

bool KvCache::MakeRoom(uint64_t cells) {
  while (free() < cells) {
    if (!EvictOne()) return false;
  }
  return true;
}

std::list<llama_seq_id>::iterator KvCache::Unwanted() {
  return std::ranges::find_if(kept_, [this](llama_seq_id s) { return !At(s).wanted; });
}

// Those that nobody waited for go first, then the least recently used.
bool KvCache::EvictOne() {
  if (kept_.empty()) return false;
  const auto unwanted = Unwanted();
  Drop(unwanted == kept_.end() ? kept_.front() : *unwanted);
  return true;
}

// Whatever is kept costs the others time (their tokens look at all cells), so there is a limit even
// while there is room.
void KvCache::LimitKept() {
  while (kept_cells_ > limits_.kept_cells && Unwanted() != kept_.end()) EvictOne();
  while (kept_cells_ > limits_.cells / 2 && EvictOne()) continue;
}

}  // namespace inferq::engine::llama
