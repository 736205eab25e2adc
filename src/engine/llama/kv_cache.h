#pragma once

#include <llama.h>

#include <algorithm>
#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "engine/llama/prefix_index.h"

namespace inferq::engine::llama {

/// What of the cache belongs to whom. Every sequence of the context is free, in use by a request,
/// or kept: the beginning of a prompt that has ended, for others that begin alike.
///
///          Take                 Keep
///   free --------> in use ---------------> kept
///     ^              | Drop                  | room is needed, or its place
///     +--------------+-----------------------+
///
/// Sequences that begin alike share cells where the context is unified; a cell is free once nobody
/// holds it. Only computed tokens of prompts are shared, without the last one (whose logits each
/// request needs for itself). The accounts say how many cells are in use without asking llama.cpp.
/// One thread.
class KvCache {
 public:
  struct Limits {
    uint32_t sequences = 1;   ///< At most llama.cpp's 256.
    uint64_t cells = 0;       ///< Tokens that all of them may hold together.
    uint64_t kept_cells = 0;  ///< Of these, for kept ones that nobody waited for when they ended.
    bool shares = false;      ///< A unified context; else nothing is shared or kept.
  };
  using Tokens = PrefixIndex::Tokens;

  /// @param context  empty, and outlives it.
  KvCache(llama_context* context, Limits limits);

  /// A free sequence, the lowest, if need be in place of a kept one. nullopt: all are in use.
  std::optional<llama_seq_id> Take();
  /// Gives `sequence`, which holds `held` tokens of `prompt`, as many more as another one holds.
  /// @return how many it holds now.
  size_t Share(llama_seq_id sequence, Tokens prompt, size_t held);
  /// How many of the first tokens of `prompt` somebody holds.
  size_t Shareable(Tokens prompt) const;
  /// `sequence` holds `held` tokens now, of which those in `prompt` may be shared.
  void Computed(llama_seq_id sequence, Tokens prompt, size_t held);
  /// Frees what `sequence` holds, and its place.
  void Drop(llama_seq_id sequence);
  /// Ends the use of `sequence`, which holds `tokens`, but keeps its first `length` (what nobody
  /// else holds) while there is room. @param wanted  whether somebody waits for it.
  void Keep(llama_seq_id sequence, Tokens tokens, size_t length, bool wanted);
  /// Moves what it holds to the free sequence `to`. Not where cells are shared.
  void Move(llama_seq_id from, llama_seq_id to);

  /// Frees kept cells until `cells` are free. @return whether they are.
  bool MakeRoom(uint64_t cells);

  uint64_t used() const { return index_.distinct_tokens() + own_; }
  uint64_t free() const { return limits_.cells - std::min(limits_.cells, used()); }
  /// Cells that only kept sequences hold: an upper bound.
  uint64_t kept() const { return kept_cells_; }
  uint32_t in_use() const { return in_use_; }
  const Limits& limits() const { return limits_; }

 private:
  enum class State : uint8_t { kFree, kInUse, kKept };
  struct Place {
    State state = State::kFree;
    size_t held = 0;  // tokens
    bool wanted = false;
  };

  Place& At(llama_seq_id sequence) { return places_[static_cast<size_t>(sequence)]; }
  size_t Indexed(llama_seq_id sequence) const;
  void Index(llama_seq_id sequence, Tokens tokens);
  std::list<llama_seq_id>::iterator Unwanted();
  bool EvictOne();
  void LimitKept();

  llama_memory_t memory_;
  Limits limits_;
  PrefixIndex index_;
  std::vector<Place> places_;
  std::list<llama_seq_id> kept_;  // the least recently used first
  uint64_t kept_cells_ = 0;
  uint64_t own_ = 0;  // cells that are not in the index: held by one sequence each
  uint32_t in_use_ = 0;
};

}  // namespace inferq::engine::llama
