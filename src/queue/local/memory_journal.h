#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "queue/local/journal.h"

namespace inferq::queue {

/// The rows of a queue without a disk, for tests. Outlives the queue: opening a journal on it again
/// is a restart. Any thread may call.
class MemoryStore {
 public:
  /// Makes every commit from now on fail with `error`; nullopt mends it.
  void FailCommits(std::optional<base::Error> error);
  /// Commits that succeeded so far.
  uint64_t commits() const;
  /// Tasks stored.
  size_t tasks() const;

 private:
  friend class MemoryJournal;
  friend class MemoryReader;

  base::Result<> Apply(const ChangeSet& changes);
  void Visit(const RecoveryVisitor& visitor) const;
  void ApplyBatch(const BatchRow& row) REQUIRES(mu_);
  std::vector<LineRow> Lines(model::BatchId batch, uint64_t after, uint32_t limit) const;
  std::optional<LineRow> Line(model::BatchId batch, uint64_t line) const;
  std::optional<PastRow> Past(model::TaskId id, model::Generation generation) const;

  mutable base::Mutex mu_;
  std::map<model::TaskId, SpecRow> specs_ GUARDED_BY(mu_);
  std::map<model::TaskId, StateRow> states_ GUARDED_BY(mu_);
  std::map<model::TaskId, std::string> checkpoints_ GUARDED_BY(mu_);
  std::map<std::pair<std::string, std::string>, KeyRow> keys_ GUARDED_BY(mu_);
  std::map<std::string, double> tenant_times_ GUARDED_BY(mu_);
  std::optional<Meta> meta_ GUARDED_BY(mu_);
  std::map<model::BatchId, BatchRow> batches_ GUARDED_BY(mu_);
  std::map<std::pair<model::BatchId, uint64_t>, LineRow> lines_ GUARDED_BY(mu_);  // by finish
  std::map<std::pair<model::TaskId, model::Generation>, PastRow> past_ GUARDED_BY(mu_);
  std::set<PauseRow> pauses_ GUARDED_BY(mu_);
  std::optional<base::Error> failure_ GUARDED_BY(mu_);
  uint64_t commits_ GUARDED_BY(mu_) = 0;
};

std::unique_ptr<Journal> MakeMemoryJournal(std::shared_ptr<MemoryStore> store);

}  // namespace inferq::queue
