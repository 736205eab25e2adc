#pragma once

#include <llama.h>

#include <cstdint>
#include <vector>

#include "base/check.h"

namespace inferq::engine::llama {

/// The arrays of a llama_batch, filled anew for each step.
class TokenBatch {
 public:
  explicit TokenBatch(size_t capacity)
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

  /// @return the row.
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

}  // namespace inferq::engine::llama
