#pragma once

#include <deque>
#include <functional>

#include "engine/llama/prefix_index.h"
#include "engine/llama/sequence.h"

namespace inferq::engine::llama {

/// Who gets the next free slot: interactive requests in order, then the suspects of a failed step,
/// one at a time, then paused sequences, the oldest first, then the others. Of these the one that
/// shares the longest beginning with what the cache holds, among the first kLookAhead; so a tree of
/// prompts is run through depth first, however they were shuffled. The first of a line is overtaken
/// at most kOvertakenMax times, one that has run (and so waits for the second time) kPatience
/// times. Pure.
class WaitQueue {
 public:
  static constexpr size_t kLookAhead = 256;
  static constexpr uint32_t kOvertakenMax = 1024;
  static constexpr uint32_t kPatience = 16;

  void Push(SequencePtr sequence);
  /// One that has run, and goes on later.
  void PushPaused(SequencePtr sequence);

  /// Who is next; null: nobody. @param shareable  tokens of a prompt that need not be computed now.
  const Sequence* Peek(const std::function<size_t(const Sequence&)>& shareable);
  /// Takes out whom Peek has named.
  SequencePtr Pop();
  /// Takes out all answers of a request.
  std::vector<SequencePtr> Remove(uint64_t id);

  /// How much of the beginning of `tokens` one of those waits for that have not run.
  size_t Wanted(std::span<const llama_token> tokens) const {
    return prompts_.Longest(tokens).length;
  }
  bool interactive_waits() const { return !interactive_.empty(); }
  bool suspect_waits() const { return !suspects_.empty(); }
  size_t size() const {
    return interactive_.size() + suspects_.size() + paused_.size() + batch_.size();
  }

 private:
  using Line = std::deque<SequencePtr>;

  Line* FirstLine();
  void PeekBatch(const std::function<size_t(const Sequence&)>& shareable);
  SequencePtr TakeOut(Line& line, Line::iterator place);

  Line interactive_;
  Line suspects_;
  Line paused_;  // by order
  Line batch_;
  PrefixIndex prompts_;   // of batch_, by order
  Line* line_ = nullptr;  // whom Peek has named: in which line,
  size_t place_ = 0;      // and where
};

}  // namespace inferq::engine::llama
