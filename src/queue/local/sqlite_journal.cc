#include "queue/local/sqlite_journal.h"

#include <cstring>

#include "sqlite/database.h"
#include "sqlite/store.h"

namespace inferq::queue {
namespace {

using base::Code;
using model::State;
using model::TaskId;
using sqlite::Row;

constexpr const char* kSchema = R"sql(
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

constexpr sqlite::Format kFormat{
    .name = "queue",
    .application_id = 0x696e6671,  // "infq"
    .version = 1,
    .schema = kSchema,
};

constexpr const char* kPutTask =
    "INSERT OR REPLACE INTO task VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
constexpr const char* kPutState =
    "INSERT OR REPLACE INTO state VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
constexpr const char* kPutCheckpoint = "INSERT OR REPLACE INTO checkpoint VALUES (?,?,?)";
constexpr const char* kRemoveCheckpoint = "DELETE FROM checkpoint WHERE id = ?";
constexpr const char* kPutKey = "INSERT OR REPLACE INTO idempotency VALUES (?,?,?,?,?,?)";
constexpr const char* kRemoveKey = "DELETE FROM idempotency WHERE tenant = ? AND key = ?";
constexpr const char* kPutTime = "INSERT OR REPLACE INTO tenant_time VALUES (?,?,?)";
constexpr const char* kPutMeta = "INSERT OR REPLACE INTO meta VALUES (?,?,?,?,?,?)";

std::optional<int64_t> Micros(std::optional<base::WallTime> time) {
  return time ? std::optional(time->time_since_epoch().count()) : std::nullopt;
}
std::optional<base::WallTime> Time(std::optional<int64_t> micros) {
  return micros ? std::optional(base::WallTime(base::Micros(*micros))) : std::nullopt;
}

template <class T>
std::string_view BytesOf(const T& values) {
  static_assert(std::is_trivially_copyable_v<typename T::value_type>);
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(typename T::value_type)};
}

void PutExtent(Row& row, const model::Extent& extent) {
  row.Put(extent.blob);
  row.Put(extent.offset);
  row.Put(extent.length);
}

model::Extent TakeExtent(Row& row) {
  uint64_t blob = row.TakeUint();
  uint64_t offset = row.TakeUint();
  return {blob, offset, row.TakeUint()};
}

base::Error Damaged(std::string_view table, uint64_t id) {
  return base::Error(
      Code::kDataLoss,
      fmt::format("the row {:#x} of table {} is damaged; restore a backup", id, table));
}

class SqliteJournal final : public Journal {
 public:
  explicit SqliteJournal(SqliteJournalOptions options) : options_(std::move(options)) {}

  base::Result<> Open(const RecoveryVisitor& visitor) override;
  base::Result<> Commit(const ChangeSet& changes) override;
  base::Result<bool> Maintain() override { return false; }
  base::Result<std::unique_ptr<JournalReader>> NewReader() override {
    return base::Fail(Code::kUnimplemented, "not yet");
  }
  base::Result<> Close() override;

 private:
  // Reset before the connection that they belong to.
  struct Statements {
    Row put_task, put_state, put_checkpoint, remove_checkpoint, put_key, remove_key, put_time,
        put_meta;
  };

  base::Result<> Prepare();
  base::Result<> VisitTasks(const RecoveryVisitor& visitor);
  base::Result<> VisitKeys(const RecoveryVisitor& visitor);
  base::Result<> VisitTimes(const RecoveryVisitor& visitor);
  base::Result<> VisitMeta(const RecoveryVisitor& visitor);
  base::Result<> Write(const ChangeSet& changes);
  base::Result<> WriteSpec(const SpecRow& spec);
  base::Result<> WriteState(const StateRow& state);
  base::Result<> WriteCheckpoint(const CheckpointRow& checkpoint);
  base::Result<> WriteKey(const KeyRow& key);
  base::Result<> WriteMeta(const Meta& meta);

  SqliteJournalOptions options_;
  sqlite::Database db_;
  std::unique_ptr<Statements> statements_;
};

base::Result<> SqliteJournal::Open(const RecoveryVisitor& visitor) {
  auto open = [&]() -> base::Result<> {
    INFERQ_TRY(sqlite::OpenStore(db_, options_.path, options_.vfs, kFormat));
    INFERQ_TRY(Prepare());
    INFERQ_TRY(VisitMeta(visitor));
    INFERQ_TRY(VisitTimes(visitor));
    INFERQ_TRY(VisitTasks(visitor));
    return VisitKeys(visitor);
  };
  base::Result<> opened = open();
  if (!opened) {
    statements_.reset();
    db_.Close();
  }
  return opened;
}

base::Result<> SqliteJournal::Prepare() {
  statements_ = std::make_unique<Statements>();
  Statements& s = *statements_;
  const std::pair<Row*, const char*> all[] = {{&s.put_task, kPutTask},
                                              {&s.put_state, kPutState},
                                              {&s.put_checkpoint, kPutCheckpoint},
                                              {&s.remove_checkpoint, kRemoveCheckpoint},
                                              {&s.put_key, kPutKey},
                                              {&s.remove_key, kRemoveKey},
                                              {&s.put_time, kPutTime},
                                              {&s.put_meta, kPutMeta}};
  for (auto [row, sql] : all) INFERQ_TRY(row->Prepare(db_, sql));
  return {};
}

base::Result<> SqliteJournal::Commit(const ChangeSet& changes) {
  if (!statements_) return base::Fail(Code::kUnavailable, "{} is not open", options_.path);
  return db_.Transact([&] { return Write(changes); });
}

base::Result<> SqliteJournal::Close() {
  statements_.reset();
  db_.Close();
  return {};
}

base::Result<> SqliteJournal::Write(const ChangeSet& changes) {
  for (const SpecRow& row : changes.specs) INFERQ_TRY(WriteSpec(row));
  for (const StateRow& row : changes.states) INFERQ_TRY(WriteState(row));
  for (const CheckpointRow& row : changes.checkpoints) INFERQ_TRY(WriteCheckpoint(row));
  for (const auto& [tenant, key] : changes.removed_keys) {
    statements_->remove_key.Put(tenant);
    statements_->remove_key.Put(key);
    INFERQ_TRY(statements_->remove_key.Run());
  }
  for (const KeyRow& row : changes.keys) INFERQ_TRY(WriteKey(row));
  for (const TenantTime& row : changes.tenant_times) {
    statements_->put_time.Put(row.tenant);
    statements_->put_time.Put(row.virtual_time);
    statements_->put_time.PutSum();
    INFERQ_TRY(statements_->put_time.Run());
  }
  if (changes.meta) INFERQ_TRY(WriteMeta(*changes.meta));
  return {};
}

base::Result<> SqliteJournal::WriteSpec(const SpecRow& spec) {
  Row& row = statements_->put_task;
  const model::TaskSpec& s = spec.spec;
  row.Put(spec.id.value);
  row.Put(s.tenant);
  row.Put(s.lane);
  row.Put(s.idempotency_key);
  row.Put(s.content_hash);
  row.Put(s.priority);
  row.Put(Micros(s.not_before));
  row.Put(Micros(s.deadline));
  row.Put(Micros(s.expires_at));
  row.PutBlob(BytesOf(s.parents));
  row.Put(static_cast<int>(s.parent_policy));
  row.Put(s.batch.value);
  row.Put(s.line);
  PutExtent(row, s.payload);
  row.Put(s.cost);
  row.PutBlob(s.locality == model::LocalityKey{} ? std::string_view() : BytesOf(s.locality));
  row.Put(s.max_attempts);
  row.Put(s.traceparent);
  row.Put(spec.submitted.time_since_epoch().count());
  row.PutSum();
  return row.Run();
}

base::Result<> SqliteJournal::WriteState(const StateRow& state) {
  Row& row = statements_->put_state;
  row.Put(state.id.value);
  row.Put(static_cast<int>(state.state));
  row.Put(state.version);
  row.Put(state.generation);
  row.Put(state.fence.value);
  row.Put(state.attempts);
  row.Put(state.crashes);
  row.Put(state.suspect ? 1 : 0);
  row.Put(state.eligible.time_since_epoch().count());
  row.Put(Micros(state.retry_at));
  row.Put(static_cast<int>(state.outcome.code));
  row.Put(state.outcome.message);
  PutExtent(row, state.outcome.result);
  row.Put(state.finish_sequence);
  row.PutSum();
  return row.Run();
}

base::Result<> SqliteJournal::WriteCheckpoint(const CheckpointRow& checkpoint) {
  if (checkpoint.bytes.empty()) {
    statements_->remove_checkpoint.Put(checkpoint.id.value);
    return statements_->remove_checkpoint.Run();
  }
  Row& row = statements_->put_checkpoint;
  row.Put(checkpoint.id.value);
  row.PutBlob(checkpoint.bytes);
  row.PutSum();
  return row.Run();
}

base::Result<> SqliteJournal::WriteKey(const KeyRow& key) {
  Row& row = statements_->put_key;
  row.Put(key.tenant);
  row.Put(key.key);
  row.Put(key.id.value);
  row.Put(key.content_hash);
  row.Put(key.created.time_since_epoch().count());
  row.PutSum();
  return row.Run();
}

base::Result<> SqliteJournal::WriteMeta(const Meta& meta) {
  Row& row = statements_->put_meta;
  row.Put(1);
  row.Put(meta.incarnation);
  row.Put(meta.last_task);
  row.Put(meta.last_batch);
  row.Put(meta.last_finish);
  row.PutSum();
  return row.Run();
}

template <class T>
bool CopyInto(T& values, const std::string& bytes) {
  if (bytes.size() != values.size() * sizeof(values[0])) return false;
  if (!bytes.empty()) std::memcpy(static_cast<void*>(values.data()), bytes.data(), bytes.size());
  return true;
}

base::Result<SpecRow> TakeSpec(Row& row) {
  SpecRow spec;
  model::TaskSpec& s = spec.spec;
  spec.id = TaskId{row.TakeUint()};
  s.tenant = row.TakeText();
  s.lane = row.TakeText();
  s.idempotency_key = row.TakeText();
  s.content_hash = row.TakeUint();
  s.priority = static_cast<int>(row.TakeInt());
  s.not_before = Time(row.TakeOptional());
  s.deadline = Time(row.TakeOptional());
  s.expires_at = Time(row.TakeOptional());
  std::string parents = row.TakeText();
  s.parent_policy = static_cast<model::ParentPolicy>(row.TakeInt());
  s.batch = model::BatchId{row.TakeUint()};
  s.line = row.TakeUint();
  s.payload = TakeExtent(row);
  s.cost = row.TakeUint();
  std::string locality = row.TakeText();
  s.max_attempts = static_cast<uint32_t>(row.TakeInt());
  s.traceparent = row.TakeText();
  spec.submitted = base::WallTime(base::Micros(row.TakeInt()));
  s.parents.resize(parents.size() / sizeof(TaskId));
  bool sound = row.SumFits() && CopyInto(s.parents, parents) &&
               (locality.empty() || CopyInto(s.locality, locality));
  if (!sound) return std::unexpected(Damaged("task", spec.id.value));
  return spec;
}

base::Result<StateRow> TakeState(Row& row) {
  StateRow state;
  state.id = TaskId{row.TakeUint()};
  state.state = static_cast<State>(row.TakeInt());
  state.version = row.TakeUint();
  state.generation = static_cast<uint32_t>(row.TakeInt());
  state.fence = model::Fence{row.TakeUint()};
  state.attempts = static_cast<uint32_t>(row.TakeInt());
  state.crashes = static_cast<uint32_t>(row.TakeInt());
  state.suspect = row.TakeInt() != 0;
  state.eligible = base::WallTime(base::Micros(row.TakeInt()));
  state.retry_at = Time(row.TakeOptional());
  state.outcome.code = static_cast<Code>(row.TakeInt());
  state.outcome.message = row.TakeText();
  state.outcome.result = TakeExtent(row);
  state.finish_sequence = row.TakeUint();
  if (!row.SumFits()) return std::unexpected(Damaged("state", state.id.value));
  return state;
}

base::Result<std::string> TakeCheckpoint(Row& row, TaskId id) {
  auto stored = row.TakeOptional();
  if (!stored) return std::string();  // outer join: there is none
  std::string bytes = row.TakeText();
  if (!row.SumFits()) return std::unexpected(Damaged("checkpoint", id.value));
  return bytes;
}

base::Result<> SqliteJournal::VisitTasks(const RecoveryVisitor& visitor) {
  Row specs;
  Row states;
  Row checkpoints;
  INFERQ_TRY(specs.Prepare(db_, "SELECT * FROM task ORDER BY id"));
  INFERQ_TRY(states.Prepare(db_, "SELECT * FROM state ORDER BY id"));
  INFERQ_TRY(checkpoints.Prepare(
      db_, "SELECT c.* FROM task LEFT JOIN checkpoint c USING (id) ORDER BY task.id"));
  while (true) {
    INFERQ_ASSIGN(bool more, specs.Step());
    INFERQ_ASSIGN(bool more_states, states.Step());
    INFERQ_ASSIGN(bool more_checkpoints, checkpoints.Step());
    if (!more && !more_states) return {};
    if (!more || !more_states || !more_checkpoints) return std::unexpected(Damaged("state", 0));
    INFERQ_ASSIGN(SpecRow spec, TakeSpec(specs));
    INFERQ_ASSIGN(StateRow state, TakeState(states));
    INFERQ_ASSIGN(std::string checkpoint, TakeCheckpoint(checkpoints, spec.id));
    if (spec.id != state.id) return std::unexpected(Damaged("state", spec.id.value));
    visitor.on_task(std::move(spec), std::move(state), std::move(checkpoint));
  }
}

base::Result<> SqliteJournal::VisitKeys(const RecoveryVisitor& visitor) {
  Row row;
  INFERQ_TRY(row.Prepare(db_, "SELECT * FROM idempotency ORDER BY created, id"));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    KeyRow key;
    key.tenant = row.TakeText();
    key.key = row.TakeText();
    key.id = TaskId{row.TakeUint()};
    key.content_hash = row.TakeUint();
    key.created = base::WallTime(base::Micros(row.TakeInt()));
    if (!row.SumFits()) return std::unexpected(Damaged("idempotency", key.id.value));
    visitor.on_key(std::move(key));
  }
}

base::Result<> SqliteJournal::VisitTimes(const RecoveryVisitor& visitor) {
  Row row;
  INFERQ_TRY(row.Prepare(db_, "SELECT * FROM tenant_time ORDER BY tenant"));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    TenantTime time;
    time.tenant = row.TakeText();
    time.virtual_time = row.TakeDouble();
    if (!row.SumFits()) return std::unexpected(Damaged("tenant_time", 0));
    visitor.on_tenant_time(std::move(time));
  }
}

base::Result<> SqliteJournal::VisitMeta(const RecoveryVisitor& visitor) {
  Row row;
  INFERQ_TRY(row.Prepare(db_, "SELECT * FROM meta"));
  INFERQ_ASSIGN(bool found, row.Step());
  if (!found) return {};
  (void)row.TakeInt();
  Meta meta;
  meta.incarnation = static_cast<uint32_t>(row.TakeInt());
  meta.last_task = row.TakeUint();
  meta.last_batch = row.TakeUint();
  meta.last_finish = row.TakeUint();
  if (!row.SumFits()) return std::unexpected(Damaged("meta", 1));
  visitor.on_meta(meta);
  return {};
}

}  // namespace

std::unique_ptr<Journal> MakeSqliteJournal(SqliteJournalOptions options) {
  return std::make_unique<SqliteJournal>(std::move(options));
}

}  // namespace inferq::queue
