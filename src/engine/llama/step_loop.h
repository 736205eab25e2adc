#pragma once

#include <llama.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/llama/answer.h"
#include "engine/llama/model.h"
#include "engine/llama/protocol.h"
#include "engine/llama/sampler.h"

namespace inferq::engine::llama {

/// What StepLoop tells its owner while it works.
struct StepHooks {
  /// Called before a request is touched for the first time (template, tokenizer, model): whatever
  /// kills the process from now on may be its fault.
  std::function<void(uint64_t id)> on_start = [](uint64_t) {};
  /// For tests: sees the logits of each output and may put another token in place of the chosen
  /// one.
  std::function<llama_token(uint64_t id, std::span<const float> logits, llama_token chosen)>
      on_logits;
};

/// Continuous batching over one model context. Every step holds one token of each running sequence
/// and, up to the batch size, prompt chunks of those that join; sequences join and leave between
/// steps, in order of submission.
///
/// A request gets a slot only when all that it may come to hold (prompt plus max_tokens) fits
/// beside the others, so a running one never runs out of room. One thread. Submit and Cancel
/// between the steps.
class StepLoop {
 public:
  explicit StepLoop(const Model& model, StepHooks hooks = {});
  ~StepLoop();

  /// Queues a request. `id` is the caller's and not in use.
  void Submit(uint64_t id, GenerateRequest request);
  /// Ends it; the next Step reports kCancelled. No effect on an unknown id.
  void Cancel(uint64_t id);

  /// False: a Step would do nothing.
  bool HasWork() const { return !queue_.empty() || running_ > 0 || !ended_.empty(); }
  size_t running() const { return running_; }
  size_t waiting() const { return queue_.size(); }

  /// Gives free slots to waiting requests and runs the model once over all sequences.
  /// @return what came out and what ended, at most one delta for each request. kInternal: the
  /// context is
  ///         broken, nothing can run on it any more.
  base::Result<std::vector<SequenceDelta>> Step();

 private:
  struct Waiting {
    uint64_t id = 0;
    GenerateRequest request;
    uint32_t choice = 0;
    Prepared prompt = {};  // without tokens: not prepared yet
  };
  struct Sequence;
  class Batch;

  void Admit();
  bool AdmitFirst(size_t slot);
  void CloseGaps();
  void FillBatch();
  base::Result<> Decode();
  void ShedLargest();
  void Advance(Sequence& sequence, llama_token token);
  void Leave(Sequence& sequence);

  const Model& model_;
  StepHooks hooks_;
  std::deque<Waiting> queue_;
  std::vector<std::unique_ptr<Sequence>> slots_;  // the index is the sequence id; null: free
  size_t running_ = 0;
  uint64_t reserved_ = 0;  // tokens that the running sequences may come to hold
  std::unique_ptr<Batch> batch_;
  std::vector<SequenceDelta> ended_;   // since the last Step
  std::vector<SequenceDelta> deltas_;  // of this Step
  Sampler::Candidates scratch_;
};

}  // namespace inferq::engine::llama
