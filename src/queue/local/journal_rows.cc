#include "queue/local/journal_rows.h"

#include <cstring>

namespace inferq::queue {

using base::Code;
using model::State;
using model::TaskId;
using sqlite::Row;

namespace {

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

template <class T>
bool CopyInto(T& values, const std::string& bytes) {
  if (bytes.size() != values.size() * sizeof(values[0])) return false;
  if (!bytes.empty()) std::memcpy(static_cast<void*>(values.data()), bytes.data(), bytes.size());
  return true;
}

template <class T>
bool CopyIntoList(std::vector<T>& values, const std::string& bytes) {
  values.resize(bytes.size() / sizeof(T));
  return CopyInto(values, bytes);
}

// Names one behind the other, each with its length before it.
std::string EncodeNames(const std::vector<std::string>& names) {
  std::string bytes;
  for (const std::string& name : names) {
    auto size = static_cast<uint32_t>(name.size());
    bytes.append(reinterpret_cast<const char*>(&size), sizeof(size));
    bytes += name;
  }
  return bytes;
}

bool DecodeNames(std::string_view bytes, std::vector<std::string>& names) {
  while (!bytes.empty()) {
    uint32_t size = 0;
    if (bytes.size() < sizeof(size)) return false;
    std::memcpy(&size, bytes.data(), sizeof(size));
    bytes.remove_prefix(sizeof(size));
    if (bytes.size() < size) return false;
    names.emplace_back(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return true;
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

void PutOutcome(Row& row, const model::Outcome& outcome) {
  row.Put(static_cast<int>(outcome.code));
  row.Put(outcome.message);
  PutExtent(row, outcome.result);
}

model::Outcome TakeOutcome(Row& row) {
  auto code = static_cast<Code>(row.TakeInt());
  std::string message = row.TakeText();
  return {code, std::move(message), TakeExtent(row)};
}

void PutLease(Row& row, const StateRow& state) {
  if (state.lease_worker.empty()) {
    row.PutAbsent();
    row.PutAbsent();
    return;
  }
  row.Put(state.lease_worker);
  row.Put(state.lease.count());
}

void TakeLease(Row& row, StateRow& state) {
  if (!row.TakeAbsent()) state.lease_worker = row.TakeText();
  if (!row.TakeAbsent()) state.lease = base::Micros(row.TakeInt());
}

uint32_t TakeUint32(Row& row) { return static_cast<uint32_t>(row.TakeInt()); }

base::WallTime TakeTime(Row& row) { return base::WallTime(base::Micros(row.TakeInt())); }

}  // namespace

base::Error Damaged(std::string_view table, uint64_t id) {
  return base::Error(
      Code::kDataLoss,
      fmt::format("the row {:#x} of table {} is damaged; restore a backup", id, table));
}

void Put(Row& row, const SpecRow& spec) {
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
}

template <>
base::Result<SpecRow> Take<SpecRow>(Row& row) {
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
  s.max_attempts = TakeUint32(row);
  s.traceparent = row.TakeText();
  spec.submitted = TakeTime(row);
  bool sound = row.SumFits() && CopyIntoList(s.parents, parents) &&
               (locality.empty() || CopyInto(s.locality, locality));
  if (!sound) return std::unexpected(Damaged("task", spec.id.value));
  return spec;
}

void Put(Row& row, const StateRow& state) {
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
  PutOutcome(row, state.outcome);
  row.Put(state.finish_sequence);
  PutLease(row, state);
  row.PutSum();
}

template <>
base::Result<StateRow> Take<StateRow>(Row& row) {
  StateRow state;
  state.id = TaskId{row.TakeUint()};
  state.state = static_cast<State>(row.TakeInt());
  state.version = row.TakeUint();
  state.generation = TakeUint32(row);
  state.fence = model::Fence{row.TakeUint()};
  state.attempts = TakeUint32(row);
  state.crashes = TakeUint32(row);
  state.suspect = row.TakeInt() != 0;
  state.eligible = TakeTime(row);
  state.retry_at = Time(row.TakeOptional());
  state.outcome = TakeOutcome(row);
  state.finish_sequence = row.TakeUint();
  TakeLease(row, state);
  if (!row.SumFits()) return std::unexpected(Damaged("state", state.id.value));
  return state;
}

void Put(Row& row, const CheckpointRow& checkpoint) {
  row.Put(checkpoint.id.value);
  row.PutBlob(checkpoint.bytes);
  row.PutSum();
}

template <>
base::Result<CheckpointRow> Take<CheckpointRow>(Row& row) {
  CheckpointRow checkpoint;
  checkpoint.id = TaskId{row.TakeUint()};
  checkpoint.bytes = row.TakeText();
  if (!row.SumFits()) return std::unexpected(Damaged("checkpoint", checkpoint.id.value));
  return checkpoint;
}

void Put(Row& row, const KeyRow& key) {
  row.Put(key.tenant);
  row.Put(key.key);
  row.Put(key.id.value);
  row.Put(key.content_hash);
  row.Put(key.created.time_since_epoch().count());
  row.PutSum();
}

template <>
base::Result<KeyRow> Take<KeyRow>(Row& row) {
  KeyRow key;
  key.tenant = row.TakeText();
  key.key = row.TakeText();
  key.id = TaskId{row.TakeUint()};
  key.content_hash = row.TakeUint();
  key.created = TakeTime(row);
  if (!row.SumFits()) return std::unexpected(Damaged("idempotency", key.id.value));
  return key;
}

void Put(Row& row, const TenantTime& time) {
  row.Put(time.tenant);
  row.Put(time.virtual_time);
  row.PutSum();
}

template <>
base::Result<TenantTime> Take<TenantTime>(Row& row) {
  TenantTime time;
  time.tenant = row.TakeText();
  time.virtual_time = row.TakeDouble();
  if (!row.SumFits()) return std::unexpected(Damaged("tenant_time", 0));
  return time;
}

void Put(Row& row, const Meta& meta) {
  row.Put(1);
  row.Put(meta.incarnation);
  row.Put(meta.last_task);
  row.Put(meta.last_batch);
  row.Put(meta.last_finish);
  row.PutSum();
}

template <>
base::Result<Meta> Take<Meta>(Row& row) {
  (void)row.TakeInt();
  Meta meta;
  meta.incarnation = TakeUint32(row);
  meta.last_task = row.TakeUint();
  meta.last_batch = row.TakeUint();
  meta.last_finish = row.TakeUint();
  if (!row.SumFits()) return std::unexpected(Damaged("meta", 1));
  return meta;
}

void Put(Row& row, const BatchRow& batch) {
  const BatchPlan& plan = batch.plan;
  row.Put(plan.batch.value);
  row.Put(plan.tenant);
  row.PutCopy(EncodeNames(plan.lanes));
  row.Put(plan.first_line);
  row.Put(plan.lines);
  row.Put(plan.input_blob);
  row.Put(plan.index_blob);
  row.Put(plan.mean_cost);
  row.Put(plan.priority);
  row.Put(Micros(plan.deadline));
  row.Put(Micros(plan.expires_at));
  row.Put(plan.max_attempts);
  row.Put(plan.traceparent);
  row.Put(batch.first.value);
  row.Put(batch.created.time_since_epoch().count());
  row.Put(batch.pace.count());
  row.Put(batch.cut.transform([](State state) { return static_cast<int64_t>(state); }));
  row.Put(batch.cut_message);
  row.PutBlob(BytesOf(batch.results));
  row.PutSum();
}

template <>
base::Result<BatchRow> Take<BatchRow>(Row& row) {
  BatchRow batch;
  BatchPlan& plan = batch.plan;
  plan.batch = model::BatchId{row.TakeUint()};
  plan.tenant = row.TakeText();
  std::string lanes = row.TakeText();
  plan.first_line = row.TakeUint();
  plan.lines = row.TakeUint();
  plan.input_blob = row.TakeUint();
  plan.index_blob = row.TakeUint();
  plan.mean_cost = row.TakeUint();
  plan.priority = static_cast<int>(row.TakeInt());
  plan.deadline = Time(row.TakeOptional());
  plan.expires_at = Time(row.TakeOptional());
  plan.max_attempts = TakeUint32(row);
  plan.traceparent = row.TakeText();
  batch.first = TaskId{row.TakeUint()};
  batch.created = TakeTime(row);
  batch.pace = base::Micros(row.TakeInt());
  batch.cut = row.TakeOptional().transform([](int64_t cut) { return static_cast<State>(cut); });
  batch.cut_message = row.TakeText();
  std::string results = row.TakeText();
  bool sound =
      row.SumFits() && DecodeNames(lanes, plan.lanes) && CopyIntoList(batch.results, results);
  if (!sound) return std::unexpected(Damaged("batch", plan.batch.value));
  return batch;
}

void Put(Row& row, const GarbageRow& garbage) {
  row.Put(garbage.batch.value);
  row.PutSum();
}

template <>
base::Result<GarbageRow> Take<GarbageRow>(Row& row) {
  GarbageRow garbage{model::BatchId{row.TakeUint()}};
  if (!row.SumFits()) return std::unexpected(Damaged("garbage", garbage.batch.value));
  return garbage;
}

int64_t SealState(model::BatchId batch, uint64_t line, State state) {
  uint64_t mixed = batch.value * 0x9e3779b97f4a7c15ULL + line;
  mixed = (mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9ULL + static_cast<uint64_t>(state);
  mixed = (mixed ^ (mixed >> 32)) * 0x94d049bb133111ebULL;
  return static_cast<int64_t>(mixed >> 40 << 3 | static_cast<uint64_t>(state));
}

base::Result<State> OpenState(model::BatchId batch, uint64_t line, int64_t sealed) {
  auto state = static_cast<State>(sealed & 7);
  if (SealState(batch, line, state) == sealed) return state;
  return base::Fail(Code::kDataLoss, "the state of line {} of {} is damaged; restore a backup",
                    line, ToString(batch));
}

void Put(Row& row, const LineRow& line) {
  row.Put(line.batch.value);
  row.Put(line.finish_sequence);
  row.Put(line.line);
  row.Put(SealState(line.batch, line.line, line.state));
  row.Put(line.generation);
  row.Put(line.version);
  row.Put(line.fence.value);
  row.Put(line.attempts);
  PutOutcome(row, line.outcome);
  row.PutSum();
}

template <>
base::Result<LineRow> Take<LineRow>(Row& row) {
  LineRow line;
  line.batch = model::BatchId{row.TakeUint()};
  line.finish_sequence = row.TakeUint();
  line.line = row.TakeUint();
  line.state = static_cast<State>(row.TakeInt() & 7);
  line.generation = TakeUint32(row);
  line.version = row.TakeUint();
  line.fence = model::Fence{row.TakeUint()};
  line.attempts = TakeUint32(row);
  line.outcome = TakeOutcome(row);
  if (!row.SumFits()) return std::unexpected(Damaged("line", line.finish_sequence));
  return line;
}

void Put(Row& row, const PastRow& past) {
  row.Put(past.id.value);
  row.Put(past.generation);
  PutOutcome(row, past.outcome);
  row.PutSum();
}

template <>
base::Result<PastRow> Take<PastRow>(Row& row) {
  PastRow past;
  past.id = TaskId{row.TakeUint()};
  past.generation = TakeUint32(row);
  past.outcome = TakeOutcome(row);
  if (!row.SumFits()) return std::unexpected(Damaged("past", past.id.value));
  return past;
}

void Put(Row& row, const PauseRow& pause) {
  row.Put(int{pause.kind});
  row.Put(pause.name);
  row.PutSum();
}

template <>
base::Result<PauseRow> Take<PauseRow>(Row& row) {
  PauseRow pause;
  pause.kind = static_cast<uint8_t>(row.TakeInt());
  pause.name = row.TakeText();
  if (!row.SumFits()) return std::unexpected(Damaged("pause", pause.kind));
  return pause;
}

}  // namespace inferq::queue
