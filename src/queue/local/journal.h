#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/task.h"
#include "queue/batch_plan.h"

namespace inferq::queue {

/// What never changes of a task, but for an edit.
struct SpecRow {
  model::TaskId id;
  model::TaskSpec spec;
  base::WallTime submitted;
};

/// What changes while a task lives.
struct StateRow {
  model::TaskId id;
  model::State state = model::State::kQueued;
  model::Version version = 1;
  model::Generation generation = 0;
  model::Fence fence;
  uint32_t attempts = 0;
  uint32_t crashes = 0;
  bool suspect = false;
  base::WallTime eligible;
  std::optional<base::WallTime> retry_at;  ///< End of the backoff; once terminal: when it ended.
  model::Outcome outcome;
  uint64_t finish_sequence = 0;
  /// Of a lease that another process holds: it outlives a restart. "": none, or our own.
  std::string lease_worker;
  base::Micros lease{0};  ///< Its ttl.
};

/// A batch of lines (Queue::SubmitBatch).
struct BatchRow {
  BatchPlan plan;
  model::TaskId first;              ///< Of line plan.first_line; the others follow.
  base::WallTime created;           ///< When its first line was eligible.
  base::Micros pace{0};             ///< Between two lines.
  std::optional<model::State> cut;  ///< How lines without an ending of their own have ended.
  std::string cut_message;
  bool forgotten = false;         ///< Its lines are being removed; nothing else is left of it.
  std::vector<uint64_t> results;  ///< Blobs that results of its lines lie in.
};

/// How a line of such a batch ended. Written once; a requeue removes it again.
struct LineRow {
  model::BatchId batch;
  uint64_t line = 0;
  uint64_t finish_sequence = 0;
  model::State state = model::State::kSucceeded;
  model::Generation generation = 0;
  model::Version version = 1;
  model::Fence fence;
  uint32_t attempts = 0;
  model::Outcome outcome;
};

/// How an earlier generation of a task ended.
struct PastRow {
  model::TaskId id;
  model::Generation generation = 0;
  model::Outcome outcome;
};

/// Something is paused (a batch by the text of its number).
struct PauseRow {
  uint8_t kind = 0;  ///< PauseTarget::Kind
  std::string name;
  friend auto operator<=>(const PauseRow&, const PauseRow&) = default;
};

/// A worker's checkpoint; empty bytes remove it.
struct CheckpointRow {
  model::TaskId id;
  std::string bytes;
};

/// An idempotency key and what it stands for.
struct KeyRow {
  std::string tenant;
  std::string key;
  model::TaskId id;
  uint64_t content_hash = 0;
  base::WallTime created;
};

struct TenantTime {
  std::string tenant;
  double virtual_time = 0;
};

/// The queue's own counters.
struct Meta {
  uint32_t incarnation = 0;  ///< Highest one in use or reserved; raised at every open.
  uint64_t last_task = 0;    ///< Sequence of the newest task id.
  uint64_t last_batch = 0;   ///< Sequence of the newest batch id.
  uint64_t last_finish = 0;  ///< Newest finish_sequence.
  friend bool operator==(const Meta&, const Meta&) = default;
};

/// Rows to write together. A row replaces the stored one of the same id.
struct ChangeSet {
  std::vector<SpecRow> specs;
  std::vector<StateRow> states;
  std::vector<CheckpointRow> checkpoints;
  std::vector<KeyRow> keys;
  std::vector<std::pair<std::string, std::string>> removed_keys;  ///< Tenant and key.
  std::vector<TenantTime> tenant_times;
  std::optional<Meta> meta;
  std::vector<BatchRow> batches;
  std::vector<LineRow> lines;
  /// Line endings that a requeue takes back: batch and finish_sequence.
  std::vector<std::pair<model::BatchId, uint64_t>> removed_lines;
  /// Tasks of which all rows go, past generations too.
  std::vector<model::TaskId> removed_tasks;
  std::vector<PastRow> past;
  std::vector<PauseRow> pauses;
  std::vector<PauseRow> removed_pauses;

  bool empty() const;
};

/// Receives what is stored, once each.
struct RecoveryVisitor {
  std::function<void(SpecRow, StateRow, std::string checkpoint)> on_task;  ///< In order of id.
  std::function<void(KeyRow)> on_key;  ///< In order of creation.
  std::function<void(TenantTime)> on_tenant_time;
  std::function<void(Meta)> on_meta;         ///< Not called for a new store.
  std::function<void(BatchRow)> on_batch{};  ///< Before its lines; not those that are forgotten.
  /// A line that has ended, in order of batch and line.
  std::function<void(model::BatchId, uint64_t line, model::State)> on_line{};
  std::function<void(PauseRow)> on_pause{};
  std::function<void(PastRow)> on_past{};
};

/// Reads what is durable beside the writer, which never waits for it. Any one thread at a time.
class JournalReader {
 public:
  virtual ~JournalReader() = default;
  /// Endings of a batch's lines behind a finish_sequence, in that order.
  virtual base::Result<std::vector<LineRow>> Lines(model::BatchId batch, uint64_t after,
                                                   uint32_t limit) = 0;
  /// The ending of one line; nullopt: none.
  virtual base::Result<std::optional<LineRow>> Line(model::BatchId batch, uint64_t line) = 0;
  virtual base::Result<std::optional<PastRow>> Past(model::TaskId id,
                                                    model::Generation generation) = 0;
};

/// The queue's rows on a disk. Calls block: they run on runtime::kJournalLane, one at a time.
///
/// Order: Open -> Commit ... -> Close. After a failed Commit the store is not to be used any more:
/// what it holds is known only after it was opened anew.
class Journal {
 public:
  virtual ~Journal() = default;

  /// Makes or opens the store and shows what it holds. kFailedPrecondition: in use by another
  /// process, made by a newer inferq, or not a queue's file; kDataLoss: damaged;
  /// kResourceExhausted: disk full.
  virtual base::Result<> Open(const RecoveryVisitor& visitor) = 0;
  /// Writes all of it or none. OK: it survives a killed process and a power cut.
  /// kResourceExhausted: disk full; kDataLoss: damaged; kUnavailable: any other failure of the
  /// disk.
  virtual base::Result<> Commit(const ChangeSet& changes) = 0;
  /// A few milliseconds of what need not be done at once: removes rows of forgotten batches, writes
  /// the log back into the file, gives space back. @return whether more is left. Fails as Commit.
  virtual base::Result<bool> Maintain() = 0;
  /// After Open; ends before Close.
  virtual base::Result<std::unique_ptr<JournalReader>> NewReader() = 0;
  virtual base::Result<> Close() = 0;
};

}  // namespace inferq::queue
