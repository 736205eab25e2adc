#include "queue/local/journal_stats.h"

#include <algorithm>

#include "queue/local/journal_rows.h"
#include "sqlite/store.h"

namespace inferq::queue {
namespace {

using sqlite::Row;

// Calls `take` for each row of a query.
template <class Take>
base::Result<> ForEach(sqlite::Database& db, const char* sql, Take take) {
  Row row;
  INFERQ_TRY(row.Prepare(db, sql));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    take(row);
  }
}

base::Result<> CountTasks(sqlite::Database& db, JournalStats& stats) {
  return ForEach(db,
                 "SELECT tenant, lane, state, count(*) FROM task JOIN state USING (id)"
                 " GROUP BY 1, 2, 3",
                 [&](Row& row) {
                   std::string tenant = row.TakeText();
                   std::string lane = row.TakeText();
                   if (stats.groups.empty() || stats.groups.back().tenant != tenant ||
                       stats.groups.back().lane != lane) {
                     stats.groups.push_back({.tenant = tenant, .lane = lane});
                   }
                   uint64_t state = row.TakeUint() % model::kStateCount;
                   stats.groups.back().by_state[state] = row.TakeUint();
                 });
}

base::Result<> CountBatches(sqlite::Database& db, JournalStats& stats) {
  INFERQ_TRY(ForEach(db,
                     "SELECT id, tenant, lines - first_line, (SELECT count(*) FROM task t"
                     " WHERE t.id >= first_task AND t.id < first_task + lines - first_line)"
                     " FROM batch ORDER BY id",
                     [&](Row& row) {
                       JournalStats::Batch& batch = stats.batches.emplace_back();
                       batch.batch = model::BatchId{row.TakeUint()};
                       batch.tenant = row.TakeText();
                       batch.lines = row.TakeUint();
                       batch.tasks = row.TakeUint();
                     }));
  return ForEach(db, "SELECT batch, state & 7, count(*) FROM line GROUP BY 1, 2", [&](Row& row) {
    model::BatchId id{row.TakeUint()};
    uint64_t state = row.TakeUint(), lines = row.TakeUint();
    auto batch = std::ranges::lower_bound(stats.batches, id, {}, &JournalStats::Batch::batch);
    if (batch == stats.batches.end() || batch->batch != id) {
      stats.garbage_lines += lines;
    } else {
      batch->ended[state] = lines;
    }
  });
}

}  // namespace

base::Result<JournalStats> CountJournal(const std::string& path) {
  sqlite::Database db;
  INFERQ_TRY(sqlite::OpenReader(db, path, "", kJournalFormat));
  INFERQ_TRY(db.Exec("BEGIN"));
  JournalStats stats;
  INFERQ_TRY(CountTasks(db, stats));
  INFERQ_TRY(CountBatches(db, stats));
  const std::pair<uint64_t*, const char*> counts[] = {
      {&stats.idempotency_keys, "SELECT count(*) FROM idempotency"},
      {&stats.checkpoints, "SELECT count(*) FROM checkpoint"},
      {&stats.past_generations, "SELECT count(*) FROM past"},
      {&stats.pauses, "SELECT count(*) FROM pause"},
      {&stats.page_bytes, "PRAGMA page_size"},
      {&stats.pages, "PRAGMA page_count"},
      {&stats.free_pages, "PRAGMA freelist_count"}};
  for (auto [count, sql] : counts) {
    INFERQ_ASSIGN(int64_t n, db.QueryInt(sql));
    *count = static_cast<uint64_t>(n);
  }
  return stats;
}

}  // namespace inferq::queue
