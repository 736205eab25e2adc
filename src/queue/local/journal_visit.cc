#include "queue/local/journal_visit.h"

#include <set>

#include "queue/local/journal_rows.h"
#include "sqlite/store.h"

namespace inferq::queue {

using sqlite::Row;

// Three tables with the same key, in step.
base::Result<> VisitTasks(sqlite::Database& db, const OnTask& on_task) {
  Row states;
  Row checkpoints;
  INFERQ_TRY(states.Prepare(db, SelectSql(TableOf<StateRow>(), "ORDER BY id").c_str()));
  INFERQ_TRY(checkpoints.Prepare(db, SelectSql(TableOf<CheckpointRow>(), "ORDER BY id").c_str()));
  std::optional<CheckpointRow> checkpoint;
  auto next_checkpoint = [&]() -> base::Result<> {
    checkpoint.reset();
    INFERQ_ASSIGN(bool more, checkpoints.Step());
    if (!more) return {};
    INFERQ_ASSIGN(checkpoint, Take<CheckpointRow>(checkpoints));
    return {};
  };
  INFERQ_TRY(next_checkpoint());
  auto visit = [&](SpecRow spec) -> base::Result<> {
    INFERQ_ASSIGN(bool more, states.Step());
    if (!more) return std::unexpected(Damaged("state", spec.id.value));
    INFERQ_ASSIGN(StateRow state, Take<StateRow>(states));
    if (spec.id != state.id) return std::unexpected(Damaged("state", spec.id.value));
    std::string bytes;
    if (checkpoint && checkpoint->id == spec.id) {
      bytes = std::move(checkpoint->bytes);
      INFERQ_TRY(next_checkpoint());
    }
    return on_task(std::move(spec), std::move(state), std::move(bytes));
  };
  INFERQ_TRY(VisitRows<SpecRow>(db, visit));
  INFERQ_ASSIGN(bool more_states, states.Step());
  if (more_states) return std::unexpected(Damaged("state", states.TakeUint()));
  if (checkpoint) return std::unexpected(Damaged("checkpoint", checkpoint->id.value));
  return {};
}

base::Result<> ReadJournal(const std::string& path, const OnTask& on_task, const OnLine& on_line) {
  sqlite::Database db;
  INFERQ_TRY(sqlite::OpenReader(db, path, "", kJournalFormat));
  INFERQ_TRY(db.Exec("BEGIN"));
  INFERQ_TRY(VisitTasks(db, on_task));
  std::set<model::BatchId> forgotten;  // of which lines may be left
  INFERQ_TRY(VisitRows<GarbageRow>(db, [&](GarbageRow row) -> base::Result<> {
    forgotten.insert(row.batch);
    return {};
  }));
  return VisitRows<LineRow>(db, [&](LineRow row) -> base::Result<> {
    return forgotten.contains(row.batch) ? base::Result<>() : on_line(std::move(row));
  });
}

}  // namespace inferq::queue
