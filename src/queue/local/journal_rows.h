#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "queue/local/journal.h"
#include "sqlite/database.h"
#include "sqlite/store.h"

namespace inferq::queue {

/// The journal as a file: its tables, all versions of them.
extern const sqlite::Format kJournalFormat;

/// A table whose rows end in a checksum.
struct Table {
  const char* name;
  const char* columns;  ///< In the order in which they are put and taken.
  const char* order;    ///< What a visit sorts by: the key, but for idempotency keys.
};

/// Where rows of a kind lie: SpecRow, StateRow, CheckpointRow, KeyRow, TenantTime, Meta, BatchRow,
/// GarbageRow, LineRow, PastRow, PauseRow.
template <class T>
const Table& TableOf();
/// Takes a row apart, in the order of the columns. kDataLoss: its checksum does not fit.
template <class T>
base::Result<T> Take(sqlite::Row& row);

/// Binds a row; what it refers to must stay until the row has run.
void Put(sqlite::Row& row, const SpecRow& spec);
void Put(sqlite::Row& row, const StateRow& state);
void Put(sqlite::Row& row, const CheckpointRow& checkpoint);
void Put(sqlite::Row& row, const KeyRow& key);
void Put(sqlite::Row& row, const TenantTime& time);
void Put(sqlite::Row& row, const Meta& meta);
void Put(sqlite::Row& row, const BatchRow& batch);
void Put(sqlite::Row& row, const LineRow& line);
void Put(sqlite::Row& row, const PastRow& past);
void Put(sqlite::Row& row, const PauseRow& pause);

/// A batch whose lines are still to be removed.
struct GarbageRow {
  model::BatchId batch;
};
void Put(sqlite::Row& row, const GarbageRow& garbage);

/// The state of a line as the index holds it, where no checksum covers it: with check bits of its
/// own.
int64_t SealState(model::BatchId batch, uint64_t line, model::State state);
/// kDataLoss: the check bits do not fit.
base::Result<model::State> OpenState(model::BatchId batch, uint64_t line, int64_t sealed);

std::string PutSql(const Table& table);
/// "SELECT … FROM table" and what follows, such as a condition.
std::string SelectSql(const Table& table, std::string_view rest);

base::Error Damaged(std::string_view table, uint64_t id);

/// Calls `visit` with every row, in the order of the table.
template <class T, class Visit>
base::Result<> VisitRows(sqlite::Database& db, Visit visit) {
  const Table& table = TableOf<T>();
  sqlite::Row row;
  INFERQ_TRY(row.Prepare(db, SelectSql(table, fmt::format("ORDER BY {}", table.order)).c_str()));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    INFERQ_ASSIGN(T value, Take<T>(row));
    INFERQ_TRY(visit(std::move(value)));
  }
}

}  // namespace inferq::queue
