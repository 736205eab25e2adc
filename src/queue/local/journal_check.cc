#include "queue/local/journal_check.h"

#include "queue/local/journal_rows.h"
#include "sqlite/store.h"

namespace inferq::queue {
namespace {

using sqlite::Row;

// What must not be found: `sql` gives the number of each thing that breaks the rule.
struct Rule {
  const char* sql;
  const char* says;
};

constexpr Rule kRules[] = {
    {"SELECT 0 FROM task WHERE NOT EXISTS (SELECT 1 FROM meta) LIMIT 1",
     "there are tasks, but no counters (table meta)"},
    {"SELECT id FROM task WHERE id NOT IN (SELECT id FROM state)", "task {:#x} has no state"},
    {"SELECT id FROM state WHERE id NOT IN (SELECT id FROM task)",
     "there is a state of task {:#x}, but no such task"},
    {"SELECT id FROM checkpoint WHERE id NOT IN (SELECT id FROM task)",
     "there is a checkpoint of task {:#x}, but no such task"},
    {"SELECT id FROM state WHERE (state >= 4) <> (finish_sequence > 0)",
     "task {:#x} has ended without a number of its ending, or has one and has not ended"},
    {"SELECT finish_sequence FROM (SELECT finish_sequence FROM state WHERE finish_sequence > 0"
     " UNION ALL SELECT finish_sequence FROM line) GROUP BY 1 HAVING count(*) > 1",
     "two endings have the number {}"},
    {"SELECT finish_sequence FROM (SELECT finish_sequence FROM state"
     " UNION ALL SELECT finish_sequence FROM line)"
     " WHERE finish_sequence > (SELECT last_finish FROM meta)",
     "an ending has the number {}, which was not given out yet"},
    {"SELECT id FROM task WHERE id & 0xffffffffffff > (SELECT last_task FROM meta)",
     "task {:#x} has a number that was not given out yet"},
    {"SELECT i.id FROM idempotency i JOIN task t ON t.id = i.id"
     " WHERE t.tenant <> i.tenant OR t.idempotency_key <> i.key",
     "an idempotency key leads to task {:#x}, which has another one"},
    {"SELECT id FROM idempotency WHERE id & 0xffffffffffff > (SELECT last_task FROM meta)",
     "an idempotency key leads to task {:#x}, which there never was"},
    {"SELECT p.id FROM past p JOIN state s ON s.id = p.id WHERE p.generation >= s.generation",
     "task {:#x} has an earlier generation that is not earlier"},
    {"SELECT id FROM batch WHERE id & 0xffffffffffff > (SELECT last_batch FROM meta)",
     "batch {:#x} has a number that was not given out yet"},
    {"SELECT id FROM batch WHERE lines > first_line"
     " AND (first_task & 0xffffffffffff) + lines - first_line - 1 > (SELECT last_task FROM meta)",
     "batch {:#x} has tasks that were not given out yet"},
    {"SELECT id FROM batch WHERE first_line > lines", "batch {:#x} begins behind its end"},
    {"SELECT id FROM (SELECT id, first_task,"
     " lag(first_task + lines - first_line) OVER (ORDER BY first_task) AS before FROM batch"
     " WHERE lines > first_line) WHERE first_task < before",
     "batch {:#x} shares tasks with another one"},
    {"SELECT t.id FROM batch b JOIN task t ON t.id >= b.first_task"
     " AND t.id < b.first_task + b.lines - b.first_line"
     " WHERE t.batch <> b.id OR t.line <> b.first_line + t.id - b.first_task",
     "task {:#x} lies among the lines of a batch, and is none of them"},
    {"SELECT batch FROM garbage WHERE batch IN (SELECT id FROM batch)",
     "batch {:#x} is there, and is being removed"},
    {"SELECT DISTINCT batch FROM line WHERE batch NOT IN (SELECT id FROM batch)"
     " AND batch NOT IN (SELECT batch FROM garbage)",
     "there are ended lines of batch {:#x}, but no such batch"},
    {"SELECT l.finish_sequence FROM line l JOIN batch b ON b.id = l.batch"
     " WHERE l.line < b.first_line OR l.line >= b.lines",
     "ending {} is that of a line that its batch does not have"},
    {"SELECT batch FROM line GROUP BY batch, line HAVING count(*) > 1",
     "a line of batch {:#x} has ended twice"},
    {"SELECT t.id FROM task t JOIN state s USING (id) JOIN line l ON l.batch = t.batch"
     " AND l.line = t.line WHERE t.batch <> 0 AND s.state < 4",
     "task {:#x} is unfinished, and its line has ended"},
};

class JournalChecker {
 public:
  explicit JournalChecker(const JournalCheckOptions& options) : options_(options) {}

  base::Result<JournalCheck> Run();

 private:
  // What keeps a step from its end is a problem too; the next one may get to its own.
  template <class Step>
  void Try(Step step) {
    if (base::Result<> done = step(); !done) Problem(done.error().message());
  }
  void Problem(std::string text);

  base::Result<> CheckStructure();
  template <class T>
  base::Result<> CheckRows();
  base::Result<> CheckLineIndex();
  base::Result<> CheckParents();
  base::Result<> CheckPayloads();
  base::Result<> CheckInputs();
  base::Result<> CheckRule(const Rule& rule);
  void CheckBlob(const std::string& whose, const model::Extent& extent);

  const JournalCheckOptions& options_;
  sqlite::Database db_;
  JournalCheck check_;
};

base::Result<JournalCheck> JournalChecker::Run() {
  INFERQ_TRY(sqlite::OpenReader(db_, options_.path, options_.vfs, kJournalFormat));
  INFERQ_TRY(db_.Exec("BEGIN"));
  Try([this] { return CheckStructure(); });
  Try([this] { return CheckRows<SpecRow>(); });
  Try([this] { return CheckRows<StateRow>(); });
  Try([this] { return CheckRows<CheckpointRow>(); });
  Try([this] { return CheckRows<KeyRow>(); });
  Try([this] { return CheckRows<TenantTime>(); });
  Try([this] { return CheckRows<Meta>(); });
  Try([this] { return CheckRows<BatchRow>(); });
  Try([this] { return CheckRows<GarbageRow>(); });
  Try([this] { return CheckRows<LineRow>(); });
  Try([this] { return CheckRows<PastRow>(); });
  Try([this] { return CheckRows<PauseRow>(); });
  Try([this] { return CheckLineIndex(); });
  for (const Rule& rule : kRules) Try([&] { return CheckRule(rule); });
  Try([this] { return CheckParents(); });
  if (options_.blob_size) {
    Try([this] { return CheckPayloads(); });
    Try([this] { return CheckInputs(); });
  }
  return std::move(check_);
}

void JournalChecker::Problem(std::string text) {
  if (++check_.problems <= JournalCheck::kProblemsShown) check_.shown.push_back(std::move(text));
}

base::Result<> JournalChecker::CheckStructure() {
  INFERQ_ASSIGN(auto damage, db_.FindDamage());
  for (const std::string& text : damage) Problem("SQLite: " + text);
  return {};
}

template <class T>
base::Result<> JournalChecker::CheckRows() {
  Row row;
  INFERQ_TRY(row.Prepare(db_, SelectSql(TableOf<T>(), "").c_str()));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    ++check_.rows;
    if (auto taken = Take<T>(row); !taken) Problem(taken.error().message());
  }
}

// Recovery believes the index.
base::Result<> JournalChecker::CheckLineIndex() {
  Row row;
  INFERQ_TRY(row.Prepare(db_, "SELECT batch, line, state FROM line INDEXED BY line_by_number"));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    model::BatchId batch{row.TakeUint()};
    uint64_t line = row.TakeUint();
    auto state = OpenState(batch, line, row.TakeInt());
    if (!state) Problem(state.error().message());
  }
}

base::Result<> JournalChecker::CheckRule(const Rule& rule) {
  Row row;
  INFERQ_TRY(row.Prepare(db_, rule.sql));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    Problem(fmt::format(fmt::runtime(rule.says), row.TakeUint()));
  }
}

// A parent may be gone: it had ended. One that never was would never let its child go.
base::Result<> JournalChecker::CheckParents() {
  Row children;
  Row known;
  std::string unfinished =
      "WHERE length(parents) > 0 AND id IN (SELECT id FROM state WHERE state < 4)";
  INFERQ_TRY(children.Prepare(db_, SelectSql(TableOf<SpecRow>(), unfinished).c_str()));
  INFERQ_TRY(known.Prepare(
      db_, "SELECT 1 FROM meta WHERE (?1 & ((1 << 48) - 1)) BETWEEN 1 AND last_task"));
  while (true) {
    INFERQ_ASSIGN(bool more, children.Step());
    if (!more) return {};
    auto child = Take<SpecRow>(children);
    if (!child) continue;  // told already
    for (model::TaskId parent : child->spec.parents) {
      known.Put(parent.value);
      INFERQ_ASSIGN(bool found, known.Step());
      known.Reset();
      if (found) continue;
      Problem(
          fmt::format("{} waits for {}, which never was", ToString(child->id), ToString(parent)));
    }
  }
}

void JournalChecker::CheckBlob(const std::string& whose, const model::Extent& extent) {
  auto size = options_.blob_size(extent.blob);
  if (!size)
    return Problem(fmt::format("{} needs blob {:#x}, which is not there", whose, extent.blob));
  if (*size >= extent.offset && *size - extent.offset >= extent.length) return;
  Problem(fmt::format("{} needs {} bytes at {} of blob {:#x}, which has {}", whose, extent.length,
                      extent.offset, extent.blob, *size));
}

base::Result<> JournalChecker::CheckPayloads() {
  Row row;
  std::string unfinished =
      "WHERE payload_length > 0 AND id IN (SELECT id FROM state WHERE state < 4)";
  INFERQ_TRY(row.Prepare(db_, SelectSql(TableOf<SpecRow>(), unfinished).c_str()));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    auto task = Take<SpecRow>(row);
    if (task) CheckBlob(ToString(task->id), task->spec.payload);
  }
}

// Of batches with lines that have neither ended nor been cut off.
base::Result<> JournalChecker::CheckInputs() {
  Row row;
  std::string unfinished =
      "WHERE cut IS NULL AND lines - first_line > (SELECT count(*) FROM line l WHERE l.batch = id)";
  INFERQ_TRY(row.Prepare(db_, SelectSql(TableOf<BatchRow>(), unfinished).c_str()));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    auto batch = Take<BatchRow>(row);
    if (!batch) continue;
    const BatchPlan& plan = batch->plan;
    CheckBlob(ToString(plan.batch), {plan.input_blob, 0, 0});
    CheckBlob(ToString(plan.batch), {plan.index_blob, 0, plan.lines * kLineInfoBytes});
  }
}

}  // namespace

base::Result<JournalCheck> CheckJournal(const JournalCheckOptions& options) {
  return JournalChecker(options).Run();
}

}  // namespace inferq::queue
