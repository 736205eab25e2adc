#include "engine/llama/wait_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace inferq::engine::llama {

void WaitQueue::Push(SequencePtr sequence) {
  if (sequence->interactive()) return interactive_.push_back(std::move(sequence));
  prompts_.Extend(sequence->order, sequence->prompt());
  batch_.push_back(std::move(sequence));
}

void WaitQueue::PushPaused(SequencePtr sequence) {
  Line& line = sequence->alone ? suspects_ : sequence->interactive() ? interactive_ : paused_;
  const auto place = std::ranges::upper_bound(line, sequence->order, {},
                                              [](const SequencePtr& s) { return s->order; });
  line.insert(place, std::move(sequence));
}

const Sequence* WaitQueue::Peek(const std::function<size_t(const Sequence&)>& shareable) {
  place_ = 0;
  line_ = FirstLine();
  if (!line_) return nullptr;
  if (line_ == &batch_) PeekBatch(shareable);
  return (*line_)[place_].get();
}

WaitQueue::Line* WaitQueue::FirstLine() {
  const auto impatient = [](const Line& line, uint32_t patience) {
    return !line.empty() && line.front()->overtaken >= patience;
  };
  for (Line* line : {&suspects_, &paused_}) {
    if (impatient(*line, kPatience)) return line;
  }
  if (impatient(batch_, kOvertakenMax)) return &batch_;
  for (Line* line : {&interactive_, &suspects_, &paused_, &batch_}) {
    if (!line->empty()) return line;
  }
  return nullptr;
}

void WaitQueue::PeekBatch(const std::function<size_t(const Sequence&)>& shareable) {
  if (batch_.front()->overtaken >= kOvertakenMax) return;
  size_t longest = 0;
  for (size_t i = 0; i < std::min(batch_.size(), kLookAhead); ++i) {
    const size_t shared = shareable(*batch_[i]);
    if (shared <= longest) continue;
    longest = shared;
    place_ = i;
  }
}

SequencePtr WaitQueue::Pop() {
  INFERQ_CHECK(line_ != nullptr);
  Line& line = *std::exchange(line_, nullptr);
  SequencePtr taken = TakeOut(line, line.begin() + static_cast<ptrdiff_t>(place_));
  for (Line* other : {&suspects_, &paused_, &batch_}) {
    if (!other->empty() && other->front()->order < taken->order) ++other->front()->overtaken;
  }
  return taken;
}

SequencePtr WaitQueue::TakeOut(Line& line, Line::iterator place) {
  SequencePtr sequence = std::move(*place);
  line.erase(place);
  prompts_.Erase(sequence->order);
  return sequence;
}

std::vector<SequencePtr> WaitQueue::Remove(uint64_t id) {
  std::vector<SequencePtr> removed;
  for (Line* line : {&interactive_, &suspects_, &paused_, &batch_}) {
    for (size_t i = 0; i < line->size();) {
      if ((*line)[i]->id != id) {
        ++i;
      } else {
        removed.push_back(TakeOut(*line, line->begin() + static_cast<ptrdiff_t>(i)));
      }
    }
  }
  line_ = nullptr;
  return removed;
}

}  // namespace inferq::engine::llama
