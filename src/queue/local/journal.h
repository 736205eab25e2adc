#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/task.h"

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
  std::optional<base::WallTime> retry_at;
  model::Outcome outcome;
  uint64_t finish_sequence = 0;
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

  bool empty() const;
};

/// Receives what is stored, once each.
struct RecoveryVisitor {
  std::function<void(SpecRow, StateRow, std::string checkpoint)> on_task;  ///< In order of id.
  std::function<void(KeyRow)> on_key;  ///< In order of creation.
  std::function<void(TenantTime)> on_tenant_time;
  std::function<void(Meta)> on_meta;  ///< Not called for a new store.
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
  virtual base::Result<> Close() = 0;
};

}  // namespace inferq::queue
