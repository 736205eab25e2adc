#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "batch_ledger.h"
#include "queue_world.h"

namespace inferq::queue {

/// Which faults and habits a run has, drawn from its seed.
struct BatchFaults {
  explicit BatchFaults(base::Rng& rng);
  bool power_cuts = false;
  bool torn = false;
  bool kills = false;
  bool disk_faults = false;
  bool drains = false;
  bool bad_workers = false;
  bool failing_work = false;
  bool bad_indices = false;
  bool small_retention = false;
  bool large = false;  ///< One batch of up to 3,000 lines.
  base::Micros slow_disk{0};
  uint32_t window = 8;
};

/// Indices of batches, some of which cannot be read for a while or from some line on.
struct BatchIndices {
  std::map<uint64_t, std::vector<LineInfo>> lines;
  std::map<uint64_t, uint64_t> damaged_from;
  base::SteadyTime unreadable_until{};
  base::Result<std::vector<LineInfo>> Read(const base::Clock& clock, uint64_t index, uint64_t first,
                                           uint32_t count) const;
};

/// One run: see queue_batch_sim_test.cc.
class QueueBatchSimulation {
 public:
  explicit QueueBatchSimulation(uint64_t seed);

  /// Trouble first, then calm, then every batch is forgotten. @return whether all work ended.
  bool RunToEnd();
  /// Every broken promise; "" when there is none.
  std::string Breaches() const;
  std::string Log() const { return log_ + ledger_.Stories(); }

 private:
  using Op = LedgerEvent::Op;
  template <class T>
  using Call = std::function<Awaitable<T>(Queue&)>;
  /// A task beside the batches: a child of lines or of other tasks.
  struct Single {
    model::TaskSpec spec;
    model::TaskId id;
    bool may_have_ended = false;
    uint64_t last_fence = 0;
  };

  QueueWorldOptions WorldOptions(uint64_t seed, const BatchFaults& faults);
  // nullopt: nobody serves.
  template <class T>
  Awaitable<std::optional<T>> Ask(Call<T> call);
  Awaitable<void> Items(std::vector<LedgerEvent*> events, Call<std::vector<base::Result<>>> call);

  // Clients.
  Awaitable<void> Client();
  Awaitable<void> SubmitBatch();
  BatchPlan Plan(uint64_t lines);
  Awaitable<void> SubmitSingles();
  Awaitable<void> ChangeSomething();
  Awaitable<void> ChangeLines(BatchLedger::Batch& batch, Op op);
  Awaitable<void> EditLine(BatchLedger::Batch& batch);
  Awaitable<void> EditBatch(model::BatchId batch);
  Awaitable<void> Cut(BatchLedger::Batch& batch, bool waiting_only);
  Awaitable<void> Pause(PauseTarget target, LedgerStory& story, bool paused);
  Awaitable<void> PauseSomething(BatchLedger::Batch& batch);
  Awaitable<void> ResumeAll();
  Awaitable<bool> Forget(BatchLedger::Batch& batch);
  Awaitable<void> RepeatKey();

  // Workers.
  Awaitable<void> Worker(std::string name, bool external);
  Awaitable<void> WorkOnAll(std::vector<ClaimedTask> tasks, base::Micros lease);
  Awaitable<void> Tell(std::vector<ClaimedTask> tasks, Op op);
  Awaitable<void> Complete(std::vector<ClaimedTask> tasks);
  Awaitable<void> Renew(std::vector<ClaimedTask> tasks, base::Micros lease);
  Awaitable<void> SingleClaimed(ClaimedTask task);

  // What goes wrong, and what is looked at.
  Awaitable<void> Director();
  Awaitable<void> Trouble();
  Awaitable<void> Restart(bool drain, testing::CrashMode mode);
  Awaitable<void> WatchOver();
  Awaitable<void> LookAtAll(bool over);
  Awaitable<void> LookAt(BatchLedger::Batch& batch, bool over);
  Awaitable<void> LookAtForgotten(BatchLedger::Batch& batch);
  Awaitable<void> LookAtLeases(base::SteadyTime stopped);
  Awaitable<void> LookAtSingles(bool over);
  void CheckCounts();

  void Spawn(Awaitable<void> actor);
  Awaitable<void> Count(Awaitable<void> actor);
  Awaitable<void> Sleep(base::Micros most);
  bool AllEnded();
  BatchLedger::Batch* AnyBatch();
  void Note(const std::string& text);
  base::SteadyTime Now() { return world_.sim().clock().Steady(); }

  base::Rng rng_;
  BatchFaults faults_;
  std::shared_ptr<BatchIndices> indices_ = std::make_shared<BatchIndices>();
  // What indices are read with, once the world is there.
  std::shared_ptr<const base::Clock*> clock_ = std::make_shared<const base::Clock*>(nullptr);
  QueueWorld world_;
  BatchLedger ledger_;
  std::vector<Single> singles_;
  std::string log_;
  size_t wanted_;
  size_t submitted_ = 0;
  bool calm_ = false;
  bool over_ = false;
  bool restarting_ = false;
  bool looking_ = false;
  size_t actors_ = 0;
  size_t clients_ = 0;
  uint64_t results_ = 0;
  uint64_t labels_ = 0;
  uint64_t keys_ = 0;
  uint64_t last_blob_ = 10;
};

}  // namespace inferq::queue
