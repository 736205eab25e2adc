#pragma once

#include <llama.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "engine/llama/kv_cache.h"
#include "engine/llama/model.h"
#include "engine/llama/protocol.h"
#include "engine/llama/sampler.h"
#include "engine/llama/seen_prefixes.h"
#include "engine/llama/sequence.h"
#include "engine/llama/step_cost.h"
#include "engine/llama/token_batch.h"
#include "engine/llama/wait_queue.h"

namespace inferq::engine::llama {

/// What StepLoop tells its owner while it works.
struct StepHooks {
  /// Called before the model sees a request: whatever kills the process from now on may be its
  /// fault,
  std::function<void(uint64_t id)> on_start = [](uint64_t) {};
  /// until it has lost its place to others, and waits.
  std::function<void(uint64_t id)> on_park = [](uint64_t) {};
  /// For tests: sees the logits of each output and may put another token in place of the chosen
  /// one.
  std::function<llama_token(const Sequence&, std::span<const float> logits, llama_token chosen)>
      on_logits;
  /// For tests: what runs a batch, with llama_decode's results.
  std::function<int32_t(llama_context*, llama_batch)> decode = llama_decode;
};

/// Continuous batching over one model context. Each step holds one token of every sequence that
/// generates, and prompt chunks of those that join, under a budget that follows the measured cost
/// of steps. Sequences join and leave between steps.
///
/// - A beginning that several prompts share is computed once: who comes second waits for the first
///   one to be past it, and shares its cells.
/// - A request joins when what it needs now fits beside what the others are expected to grow by.
///   When they outgrow the memory, the youngest is paused: its cells are freed and computed again
///   later; what it said stays.
/// - An interactive request joins at the next step, if need be in place of a batch sequence, and
///   until its first token the others pause. A sequence loses its slot for that at most kPausesMax
///   times, and stands aside in at most kPassedMax steps.
/// - The cache is shared by all sequences or separate for each, whichever the prompts and the
///   measured cost of looking at each other's cells make faster (see ChooseCache).
/// - A step that fails is taken apart: those in it run again, one by one, and who fails alone
///   fails.
///
/// One thread. Submit and Cancel between the steps.
class StepLoop {
 public:
  static constexpr uint32_t kPausesMax = 16;
  static constexpr uint32_t kPassedMax = 64;

  explicit StepLoop(Model& model, StepHooks hooks = {});
  ~StepLoop();

  /// Prepares a request (see Model::Prepare) and queues it, without on_start. `id` is the caller's
  /// and not in use.
  void Submit(uint64_t id, GenerateRequest request);
  /// Queues a request whose prompt was prepared, or could not be.
  void Submit(uint64_t id, GenerateRequest request, base::Result<Prompt> prompt);
  /// Ends it; the next Step reports kCancelled. No effect on an unknown id.
  void Cancel(uint64_t id);

  /// False: a Step would do nothing.
  bool HasWork() const { return waiting() > 0 || running() > 0 || !deltas_.empty(); }
  size_t running() const { return running_.size(); }
  size_t waiting() const { return queue_.size(); }

  /// Gives free slots to waiting requests and runs the model once over all sequences.
  /// @return what came out and what ended, at most one delta for each answer. kInternal: the
  ///         context is broken and there is no memory for another one; nothing can run any more.
  base::Result<std::vector<SequenceDelta>> Step();

  EngineStats stats() const;
  const KvCache& cache() const { return *cache_; }

 private:
  void Fail(uint64_t id, const base::Error& error);
  void Queue(const GenerateRequest& request, uint64_t id, Prompt prepared, uint64_t max_new);
  std::vector<SequencePtr> Remove(uint64_t id);

  void Admit();
  bool MayAdmit(const Sequence& next);
  bool AdmitNext();
  void Remember(const Sequence& sequence);
  bool FindPlace(const Sequence& next);
  uint64_t Growth(const Sequence& sequence) const;
  uint32_t ActiveLimit() const;
  bool PauseOne(bool for_interactive);
  void Pause(size_t index);

  void CloseGaps();
  bool MustPause(const Sequence& sequence) const;
  void FillBatch();
  void AddDecoding();
  void AddPrompts();
  void Share(Sequence& sequence);
  void AddChunk(Sequence& sequence, size_t most);
  base::Result<> Decode();
  base::Result<> TakeApart(int32_t status);
  base::Result<> Sample();
  void Take(Sequence& sequence, llama_token token);
  void Leave(Sequence& sequence);

  base::Result<> ChooseCache();
  double SharingCost(double shared) const;
  double MeanTokens() const;
  double WorkLeft() const;
  base::Result<> UseCache(bool shared);

  Model& model_;
  StepHooks hooks_;
  std::unique_ptr<KvCache> cache_;
  WaitQueue queue_;
  std::vector<SequencePtr> running_;
  TokenBatch batch_;
  StepCost cost_;
  SeenPrefixes seen_;
  std::vector<SequenceDelta> deltas_;  // for the next Step to return
  Sampler::Candidates scratch_;
  uint32_t next_order_ = 0;
  bool full_ = false;        // nobody can join before something changes
  bool urgent_ = false;      // somebody interactive has no token yet
  StepShape shape_;          // of the present batch
  double expected_new_ = 0;  // running mean of generated tokens; 0: unknown
  double recent_requests_ = 0;
  double recent_tokens_ = 0;   // of these, prompts and answers,
  double recent_shared_ = 0;   // and of them those that an earlier prompt began with
  double sharing_cost_ = 0;    // part of a step that went to others' cells, when last known
  uint64_t cache_chosen_ = 0;  // in which step
  EngineStats stats_;
};

}  // namespace inferq::engine::llama
