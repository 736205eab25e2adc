#include "queue/local/sqlite_journal.h"

#include "queue/local/journal_rows.h"
#include "queue/local/journal_visit.h"
#include "queue/local/sqlite_reader.h"
#include "sqlite/database.h"
#include "sqlite/store.h"

namespace inferq::queue {
namespace {

using base::Code;
using model::BatchId;
using model::TaskId;
using sqlite::Row;

// What Maintain does at once takes a few milliseconds.
constexpr int kLogPages = 1000;  // unwritten pages that are worth writing back
constexpr uint32_t kGarbageRows = 1000;
constexpr int64_t kFreePages = 256;
constexpr int64_t kFreeShare = 4;  // free pages that are kept: one of so many

class SqliteJournal final : public Journal {
 public:
  explicit SqliteJournal(SqliteJournalOptions options) : options_(std::move(options)) {}

  base::Result<> Open(const RecoveryVisitor& visitor) override;
  base::Result<> Commit(const ChangeSet& changes) override;
  base::Result<bool> Maintain() override;
  base::Result<std::unique_ptr<JournalReader>> NewReader() override {
    return OpenSqliteReader(options_.path, options_.vfs);
  }
  base::Result<> Close() override;

 private:
  // Reset before the connection that they belong to.
  struct Statements {
    Row put_task, put_state, put_checkpoint, put_key, put_time, put_meta, put_batch, put_garbage,
        put_line, put_past, put_pause;
    Row remove_task, remove_state, remove_checkpoint, remove_key, remove_batch, remove_garbage,
        remove_line, remove_past, remove_pause, remove_some_lines;
  };

  base::Result<> Prepare();
  base::Result<> Visit(const RecoveryVisitor& visitor);
  base::Result<> VisitBatches(const RecoveryVisitor& visitor);
  base::Result<> VisitLines(BatchId batch, Row& lines, const RecoveryVisitor& visitor);

  base::Result<> Write(const ChangeSet& changes);
  base::Result<> WriteTasks(const ChangeSet& changes);
  base::Result<> WriteKeys(const ChangeSet& changes);
  base::Result<> WriteLines(const ChangeSet& changes);
  base::Result<> WriteBatch(const BatchRow& batch);
  base::Result<> WritePauses(const ChangeSet& changes);
  base::Result<> RemoveTask(TaskId id);

  base::Result<> RemoveGarbage();
  base::Result<bool> TooMuchFree();

  SqliteJournalOptions options_;
  sqlite::Database db_;
  std::unique_ptr<Statements> statements_;
  std::vector<BatchId> garbage_;  // forgotten, with lines that are still to be removed
  bool gives_back_ = false;       // made with incremental vacuum
};

template <class T>
base::Result<> PutRow(Row& row, const T& value) {
  Put(row, value);
  return row.Run();
}

template <class T>
base::Result<> PutRows(Row& row, const std::vector<T>& values) {
  for (const T& value : values) INFERQ_TRY(PutRow(row, value));
  return {};
}

// Runs a statement over a key.
template <class... Key>
base::Result<> RunWith(Row& row, const Key&... key) {
  (row.Put(key), ...);
  return row.Run();
}

base::Result<> SqliteJournal::Open(const RecoveryVisitor& visitor) {
  base::Result<> opened = sqlite::OpenStore(db_, options_.path, options_.vfs, kJournalFormat);
  if (opened) opened = Prepare();
  if (opened) opened = Visit(visitor);
  if (!opened) (void)Close();
  return opened;
}

base::Result<> SqliteJournal::Prepare() {
  statements_ = std::make_unique<Statements>();
  Statements& s = *statements_;
  const std::pair<Row*, const Table*> puts[] = {{&s.put_task, &TableOf<SpecRow>()},
                                                {&s.put_state, &TableOf<StateRow>()},
                                                {&s.put_checkpoint, &TableOf<CheckpointRow>()},
                                                {&s.put_key, &TableOf<KeyRow>()},
                                                {&s.put_time, &TableOf<TenantTime>()},
                                                {&s.put_meta, &TableOf<Meta>()},
                                                {&s.put_batch, &TableOf<BatchRow>()},
                                                {&s.put_garbage, &TableOf<GarbageRow>()},
                                                {&s.put_line, &TableOf<LineRow>()},
                                                {&s.put_past, &TableOf<PastRow>()},
                                                {&s.put_pause, &TableOf<PauseRow>()}};
  for (auto [row, table] : puts) INFERQ_TRY(row->Prepare(db_, PutSql(*table).c_str()));
  const std::pair<Row*, const char*> removals[] = {
      {&s.remove_task, "task WHERE id = ?"},
      {&s.remove_state, "state WHERE id = ?"},
      {&s.remove_checkpoint, "checkpoint WHERE id = ?"},
      {&s.remove_key, "idempotency WHERE tenant = ? AND key = ?"},
      {&s.remove_batch, "batch WHERE id = ?"},
      {&s.remove_garbage, "garbage WHERE batch = ?"},
      {&s.remove_line, "line WHERE batch = ? AND finish_sequence = ?"},
      {&s.remove_past, "past WHERE id = ?"},
      {&s.remove_pause, "pause WHERE kind = ? AND name = ?"},
      {&s.remove_some_lines,
       "line WHERE batch = ?1 AND finish_sequence <= (SELECT max(finish_sequence) FROM (SELECT "
       "finish_sequence FROM line WHERE batch = ?1 ORDER BY finish_sequence LIMIT ?2))"}};
  for (auto [row, rest] : removals) {
    INFERQ_TRY(row->Prepare(db_, fmt::format("DELETE FROM {}", rest).c_str()));
  }
  INFERQ_ASSIGN(int64_t vacuum, db_.QueryInt("PRAGMA auto_vacuum"));
  gives_back_ = vacuum == 2;
  return {};
}

base::Result<> SqliteJournal::Commit(const ChangeSet& changes) {
  if (!statements_) return base::Fail(Code::kUnavailable, "{} is not open", options_.path);
  INFERQ_TRY(db_.Transact([&] { return Write(changes); }));
  for (const BatchRow& row : changes.batches) {
    if (row.forgotten) garbage_.push_back(row.plan.batch);
  }
  return {};
}

base::Result<> SqliteJournal::Close() {
  statements_.reset();
  garbage_.clear();
  db_.Close();
  return {};
}

// Within one commit, the order of kinds and of removals is that of MemoryStore::Apply.
base::Result<> SqliteJournal::Write(const ChangeSet& changes) {
  Statements& s = *statements_;
  INFERQ_TRY(WriteTasks(changes));
  INFERQ_TRY(WriteKeys(changes));
  INFERQ_TRY(PutRows(s.put_time, changes.tenant_times));
  if (changes.meta) INFERQ_TRY(PutRow(s.put_meta, *changes.meta));
  INFERQ_TRY(WriteLines(changes));
  for (TaskId id : changes.removed_tasks) INFERQ_TRY(RemoveTask(id));
  INFERQ_TRY(PutRows(s.put_past, changes.past));
  for (const BatchRow& row : changes.batches) INFERQ_TRY(WriteBatch(row));
  return WritePauses(changes);
}

base::Result<> SqliteJournal::WriteTasks(const ChangeSet& changes) {
  Statements& s = *statements_;
  INFERQ_TRY(PutRows(s.put_task, changes.specs));
  INFERQ_TRY(PutRows(s.put_state, changes.states));
  for (const CheckpointRow& row : changes.checkpoints) {
    INFERQ_TRY(row.bytes.empty() ? RunWith(s.remove_checkpoint, row.id.value)
                                 : PutRow(s.put_checkpoint, row));
  }
  return {};
}

base::Result<> SqliteJournal::WriteKeys(const ChangeSet& changes) {
  Statements& s = *statements_;
  for (const auto& [tenant, key] : changes.removed_keys) {
    INFERQ_TRY(RunWith(s.remove_key, tenant, key));
  }
  return PutRows(s.put_key, changes.keys);
}

base::Result<> SqliteJournal::WriteLines(const ChangeSet& changes) {
  Statements& s = *statements_;
  for (const auto& [batch, finish] : changes.removed_lines) {
    INFERQ_TRY(RunWith(s.remove_line, batch.value, finish));
  }
  return PutRows(s.put_line, changes.lines);
}

// Lines of a forgotten batch are too many to remove at once: Maintain does.
base::Result<> SqliteJournal::WriteBatch(const BatchRow& batch) {
  Statements& s = *statements_;
  if (!batch.forgotten) return PutRow(s.put_batch, batch);
  INFERQ_TRY(RunWith(s.remove_batch, batch.plan.batch.value));
  return PutRow(s.put_garbage, GarbageRow{batch.plan.batch});
}

base::Result<> SqliteJournal::WritePauses(const ChangeSet& changes) {
  Statements& s = *statements_;
  INFERQ_TRY(PutRows(s.put_pause, changes.pauses));
  for (const PauseRow& row : changes.removed_pauses) {
    INFERQ_TRY(RunWith(s.remove_pause, int{row.kind}, row.name));
  }
  return {};
}

base::Result<> SqliteJournal::RemoveTask(TaskId id) {
  Statements& s = *statements_;
  for (Row* row : {&s.remove_task, &s.remove_state, &s.remove_checkpoint, &s.remove_past}) {
    INFERQ_TRY(RunWith(*row, id.value));
  }
  return {};
}

// One thing at a time: lines of forgotten batches, then the log, then free pages.
base::Result<bool> SqliteJournal::Maintain() {
  if (!statements_) return base::Fail(Code::kUnavailable, "{} is not open", options_.path);
  if (!garbage_.empty()) {
    INFERQ_TRY(RemoveGarbage());
    return true;
  }
  if (db_.log_pages() >= kLogPages) {
    INFERQ_TRY(db_.Checkpoint());  // what a reader keeps back is left for later
    return TooMuchFree();
  }
  INFERQ_ASSIGN(bool too_much, TooMuchFree());
  if (!too_much) return false;
  INFERQ_TRY(db_.Exec(fmt::format("PRAGMA incremental_vacuum({})", kFreePages).c_str()));
  return true;
}

base::Result<> SqliteJournal::RemoveGarbage() {
  Statements& s = *statements_;
  uint64_t batch = garbage_.back().value;
  bool all = false;
  auto remove = [&]() -> base::Result<> {
    INFERQ_TRY(RunWith(s.remove_some_lines, batch, kGarbageRows));
    all = db_.changes() < kGarbageRows;
    return all ? RunWith(s.remove_garbage, batch) : base::Result<>{};
  };
  INFERQ_TRY(db_.Transact(remove));
  if (all) garbage_.pop_back();
  return {};
}

base::Result<bool> SqliteJournal::TooMuchFree() {
  if (!gives_back_) return false;
  INFERQ_ASSIGN(int64_t free, db_.QueryInt("PRAGMA freelist_count"));
  if (free <= kFreePages) return false;
  INFERQ_ASSIGN(int64_t pages, db_.QueryInt("PRAGMA page_count"));
  return free > pages / kFreeShare;
}

base::Result<> SqliteJournal::Visit(const RecoveryVisitor& visitor) {
  auto show = [](const auto& to) {
    return [&to](auto row) -> base::Result<> {
      if (to) to(std::move(row));
      return {};
    };
  };
  INFERQ_TRY(VisitRows<Meta>(db_, show(visitor.on_meta)));
  INFERQ_TRY(VisitRows<TenantTime>(db_, show(visitor.on_tenant_time)));
  INFERQ_TRY(VisitTasks(db_, [&](SpecRow spec, StateRow state, std::string checkpoint) {
    if (visitor.on_task) {
      visitor.on_task(std::move(spec), std::move(state), std::move(checkpoint));
    }
    return base::Result<>{};
  }));
  INFERQ_TRY(VisitRows<KeyRow>(db_, show(visitor.on_key)));
  INFERQ_TRY(VisitBatches(visitor));
  INFERQ_TRY(VisitRows<PauseRow>(db_, show(visitor.on_pause)));
  INFERQ_TRY(VisitRows<PastRow>(db_, show(visitor.on_past)));
  return VisitRows<GarbageRow>(db_, [this](GarbageRow row) -> base::Result<> {
    garbage_.push_back(row.batch);
    return {};
  });
}

base::Result<> SqliteJournal::VisitBatches(const RecoveryVisitor& visitor) {
  std::vector<BatchId> batches;
  INFERQ_TRY(VisitRows<BatchRow>(db_, [&](BatchRow row) -> base::Result<> {
    batches.push_back(row.plan.batch);
    if (visitor.on_batch) visitor.on_batch(std::move(row));
    return {};
  }));
  Row lines;
  INFERQ_TRY(lines.Prepare(db_, "SELECT line, state FROM line WHERE batch = ? ORDER BY line"));
  for (BatchId batch : batches) INFERQ_TRY(VisitLines(batch, lines, visitor));
  return {};
}

// From the index alone: there may be millions.
base::Result<> SqliteJournal::VisitLines(BatchId batch, Row& lines,
                                         const RecoveryVisitor& visitor) {
  lines.Put(batch.value);
  while (true) {
    INFERQ_ASSIGN(bool more, lines.Step());
    if (!more) break;
    uint64_t line = lines.TakeUint();
    INFERQ_ASSIGN(model::State state, OpenState(batch, line, lines.TakeInt()));
    if (visitor.on_line) visitor.on_line(batch, line, state);
  }
  lines.Reset();
  return {};
}

}  // namespace

std::unique_ptr<Journal> MakeSqliteJournal(SqliteJournalOptions options) {
  return std::make_unique<SqliteJournal>(std::move(options));
}

}  // namespace inferq::queue
