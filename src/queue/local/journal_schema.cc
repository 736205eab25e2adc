// The tables, all versions of them. A version that was released never changes: the next one gets an
// entry of its own, and a stored sample (README.md).

#include <algorithm>
#include <array>

#include "queue/local/journal_rows.h"

namespace inferq::queue {
namespace {

constexpr const char* kVersion1 = R"sql(
CREATE TABLE task (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, lane TEXT NOT NULL, idempotency_key TEXT NOT NULL,
  content_hash INTEGER NOT NULL, priority INTEGER NOT NULL, not_before INTEGER, deadline INTEGER,
  expires_at INTEGER, parents BLOB NOT NULL, parent_policy INTEGER NOT NULL, batch INTEGER NOT NULL,
  line INTEGER NOT NULL, payload_blob INTEGER NOT NULL, payload_offset INTEGER NOT NULL,
  payload_length INTEGER NOT NULL, cost INTEGER NOT NULL, locality BLOB NOT NULL,
  max_attempts INTEGER NOT NULL, traceparent TEXT NOT NULL, submitted INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE TABLE state (
  id INTEGER PRIMARY KEY, state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 7),
  version INTEGER NOT NULL, generation INTEGER NOT NULL, fence INTEGER NOT NULL,
  attempts INTEGER NOT NULL, crashes INTEGER NOT NULL,
  suspect INTEGER NOT NULL, eligible INTEGER NOT NULL, retry_at INTEGER, code INTEGER NOT NULL,
  message TEXT NOT NULL, result_blob INTEGER NOT NULL, result_offset INTEGER NOT NULL,
  result_length INTEGER NOT NULL, finish_sequence INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE checkpoint (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE idempotency (
  tenant TEXT NOT NULL, key TEXT NOT NULL, id INTEGER NOT NULL, content_hash INTEGER NOT NULL,
  created INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (tenant, key)) STRICT, WITHOUT ROWID;
CREATE TABLE tenant_time (
  tenant TEXT PRIMARY KEY, virtual_time REAL NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1), incarnation INTEGER NOT NULL, last_task INTEGER NOT NULL,
  last_batch INTEGER NOT NULL, last_finish INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;
)sql";

// Batches of lines. A line's state carries check bits, since recovery reads it from the index:
// the state itself is `state & 7`. The lease of a state is NULL where there is none, and then no
// part of the sum, so that rows of version 1 stay as they are.
constexpr const char* kVersion2 = R"sql(
ALTER TABLE state ADD COLUMN lease_worker TEXT;
ALTER TABLE state ADD COLUMN lease INTEGER;
CREATE TABLE batch (
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, lanes BLOB NOT NULL, first_line INTEGER NOT NULL,
  lines INTEGER NOT NULL, input_blob INTEGER NOT NULL, index_blob INTEGER NOT NULL,
  mean_cost INTEGER NOT NULL, priority INTEGER NOT NULL, deadline INTEGER, expires_at INTEGER,
  max_attempts INTEGER NOT NULL, traceparent TEXT NOT NULL, first_task INTEGER NOT NULL,
  created INTEGER NOT NULL, pace INTEGER NOT NULL, cut INTEGER CHECK (cut BETWEEN 4 AND 7),
  cut_message TEXT NOT NULL, results BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE garbage (batch INTEGER PRIMARY KEY, sum INTEGER NOT NULL) STRICT;
CREATE TABLE line (
  batch INTEGER NOT NULL, finish_sequence INTEGER NOT NULL, line INTEGER NOT NULL,
  state INTEGER NOT NULL CHECK (state & 7 >= 4), generation INTEGER NOT NULL,
  version INTEGER NOT NULL, fence INTEGER NOT NULL, attempts INTEGER NOT NULL,
  code INTEGER NOT NULL, message TEXT NOT NULL, result_blob INTEGER NOT NULL,
  result_offset INTEGER NOT NULL, result_length INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY (batch, finish_sequence)) STRICT, WITHOUT ROWID;
CREATE INDEX line_by_number ON line (batch, line, state);
CREATE TABLE past (
  id INTEGER NOT NULL, generation INTEGER NOT NULL, code INTEGER NOT NULL, message TEXT NOT NULL,
  result_blob INTEGER NOT NULL, result_offset INTEGER NOT NULL, result_length INTEGER NOT NULL,
  sum INTEGER NOT NULL, PRIMARY KEY (id, generation)) STRICT, WITHOUT ROWID;
CREATE TABLE pause (
  kind INTEGER NOT NULL, name TEXT NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;
)sql";

constexpr std::array kVersions = {kVersion1, kVersion2};

}  // namespace

constinit const sqlite::Format kJournalFormat{
    .name = "queue",
    .application_id = 0x696e6671,  // "infq"
    .versions = kVersions,
    .read_beside = true,
    .log_bound = 16'000,  // 64 MB; between commits it is written back much earlier
};

template <>
const Table& TableOf<SpecRow>() {
  static constexpr Table kTable{
      "task",
      "id, tenant, lane, idempotency_key, content_hash, priority, not_before, deadline, expires_at,"
      " parents, parent_policy, batch, line, payload_blob, payload_offset, payload_length, cost,"
      " locality, max_attempts, traceparent, submitted, sum",
      "id"};
  return kTable;
}

template <>
const Table& TableOf<StateRow>() {
  static constexpr Table kTable{
      "state",
      "id, state, version, generation, fence, attempts, crashes, suspect, eligible, retry_at, code,"
      " message, result_blob, result_offset, result_length, finish_sequence, lease_worker, lease,"
      " sum",
      "id"};
  return kTable;
}

template <>
const Table& TableOf<CheckpointRow>() {
  static constexpr Table kTable{"checkpoint", "id, bytes, sum", "id"};
  return kTable;
}

template <>
const Table& TableOf<KeyRow>() {
  static constexpr Table kTable{"idempotency", "tenant, key, id, content_hash, created, sum",
                                "created, id"};
  return kTable;
}

template <>
const Table& TableOf<TenantTime>() {
  static constexpr Table kTable{"tenant_time", "tenant, virtual_time, sum", "tenant"};
  return kTable;
}

template <>
const Table& TableOf<Meta>() {
  static constexpr Table kTable{"meta", "one, incarnation, last_task, last_batch, last_finish, sum",
                                "one"};
  return kTable;
}

template <>
const Table& TableOf<BatchRow>() {
  static constexpr Table kTable{
      "batch",
      "id, tenant, lanes, first_line, lines, input_blob, index_blob, mean_cost, priority, deadline,"
      " expires_at, max_attempts, traceparent, first_task, created, pace, cut, cut_message, "
      "results,"
      " sum",
      "id"};
  return kTable;
}

template <>
const Table& TableOf<GarbageRow>() {
  static constexpr Table kTable{"garbage", "batch, sum", "batch"};
  return kTable;
}

template <>
const Table& TableOf<LineRow>() {
  static constexpr Table kTable{
      "line",
      "batch, finish_sequence, line, state, generation, version, fence, attempts, code, message,"
      " result_blob, result_offset, result_length, sum",
      "batch, finish_sequence"};
  return kTable;
}

template <>
const Table& TableOf<PastRow>() {
  static constexpr Table kTable{
      "past", "id, generation, code, message, result_blob, result_offset, result_length, sum",
      "id, generation"};
  return kTable;
}

template <>
const Table& TableOf<PauseRow>() {
  static constexpr Table kTable{"pause", "kind, name, sum", "kind, name"};
  return kTable;
}

std::string PutSql(const Table& table) {
  auto values = std::ranges::count(std::string_view(table.columns), ',');
  std::string sql =
      fmt::format("INSERT OR REPLACE INTO {} ({}) VALUES (?", table.name, table.columns);
  for (; values > 0; --values) sql += ",?";
  return sql + ")";
}

std::string SelectSql(const Table& table, std::string_view rest) {
  return fmt::format("SELECT {} FROM {} {}", table.columns, table.name, rest);
}

}  // namespace inferq::queue
