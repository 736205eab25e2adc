#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "queue/queue.h"

namespace inferq::queue {

/// A call of a client or worker about a line, a batch, or whatever can be paused.
struct LedgerEvent {
  enum class Op : uint8_t {
    kClaim,
    kStart,
    kComplete,
    kFail,
    kRelease,
    kCancel,
    kRequeue,
    kEdit,
    kCutAll,      ///< Cancel of the whole batch.
    kCutWaiting,  ///< Cancel of what waits of it.
    kPause,
    kResume,
    kForget,
  } op = Op::kClaim;
  /// In doubt: not answered, or with an error of the store; it may have taken effect.
  enum class Fate : uint8_t { kDoubt, kAccepted, kRefused } fate = Fate::kDoubt;
  uint64_t called = 0;             ///< Position in the order of all calls and answers.
  uint64_t answered = UINT64_MAX;  ///< The same; unanswered: never.
  model::Fence fence{};
  model::Extent result{};
  int priority = 0;
  uint32_t attempt = 0;
  bool external = false;
  base::SteadyTime lease_until{};
};

/// What happened to one thing, in the order of the calls. References to events stay valid.
using LedgerStory = std::deque<LedgerEvent>;

/// What clients and workers of batches were told, and which promises that breaks.
///
/// Order: each call is entered with Call before it is made and with Answer when it is answered;
/// Check... at a moment when no call is under way. One thread.
class BatchLedger {
 public:
  using Op = LedgerEvent::Op;
  using Fate = LedgerEvent::Fate;
  struct Batch {
    BatchPlan plan;
    model::TaskId first;  ///< 0: not known yet.
    bool acknowledged = false;
    bool gone = false;  ///< It was never accepted, or is forgotten.
    bool damaged = false;
    LedgerStory story;
    std::map<uint64_t, LedgerStory> lines;
    model::TaskId IdOf(uint64_t line) const { return model::TaskId{first.value + line}; }
  };
  /// What the queue shows of a batch.
  struct View {
    std::vector<model::TaskRecord> ended;  ///< By finish_sequence.
    std::vector<model::TaskRecord> all;    ///< By id.
    std::vector<uint64_t> without_result;
    QueueStats stats;
  };

  Batch& Add(BatchPlan plan);
  std::map<model::BatchId, Batch>& batches() { return batches_; }
  LedgerStory& StoryOf(model::BatchId batch, uint64_t line) {
    return batches_.at(batch).lines[line];
  }
  /// Of a tenant or lane.
  LedgerStory& StoryOf(const std::string& name) { return pauses_[name]; }

  LedgerEvent& Call(LedgerStory& story, LedgerEvent event);
  void Answer(LedgerEvent& event, const base::Result<>& answer);
  /// The same as accepted, or in doubt.
  void Accept(LedgerEvent& event) { Answer(event, {}); }
  uint64_t Tick() { return ++now_; }

  /// A line was given out by a claim that was called at `called`.
  LedgerEvent& Claimed(const ClaimedTask& task, uint64_t called, bool external,
                       base::SteadyTime lease_until);
  /// Checks what a batch shows. `over`: all work has ended.
  void Check(const Batch& batch, const View& view, bool over);
  /// Claims by other processes that a restart at `stopped` must have kept: id and fence.
  std::vector<TaskRef> CertainLeases(base::SteadyTime stopped) const;
  /// Every call about the batch and about lines that a breach names.
  std::string Stories() const;
  /// Whether this is a line that a client asked for anew.
  bool MayBeRequeued(model::TaskId id) const;
  void Breach(std::string what) { breaches_.push_back(std::move(what)); }
  const std::vector<std::string>& breaches() const { return breaches_; }

 private:
  static bool MayHave(const LedgerStory& story, std::set<Op> ops, uint64_t after,
                      uint64_t before = UINT64_MAX);
  /// Ended for good, as it was told, before `at`.
  static std::string EndedBefore(const Batch& batch, const LedgerStory& story, uint64_t at,
                                 uint64_t until);
  void CheckAnswers(const Batch& batch, uint64_t line);
  void CheckClaim(const Batch& batch, const ClaimedTask& task, const LedgerEvent& claim);
  void CheckPaused(const std::string& what, const LedgerStory& story, const LedgerEvent& claim);
  void CheckEnding(const Batch& batch, const model::TaskRecord& record);
  void CheckAcknowledged(const Batch& batch, const View& view);
  static std::string Name(const Batch& batch, uint64_t line);

  std::map<model::BatchId, Batch> batches_;
  std::map<std::string, LedgerStory> pauses_;
  std::vector<std::string> breaches_;
  uint64_t now_ = 0;
  uint64_t certain_ = 0;  // what was answered before this is durable
};

}  // namespace inferq::queue
