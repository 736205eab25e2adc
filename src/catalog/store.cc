#include "catalog/store.h"

#include <utility>

#include "catalog/codec.h"
#include "sqlite/store.h"

namespace inferq::catalog {

using base::Code;
using sqlite::Row;

namespace {

constexpr const char* kVersions[] = {R"sql(
CREATE TABLE file (
  sequence INTEGER PRIMARY KEY, record BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE batch (
  sequence INTEGER PRIMARY KEY, record BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1), last_sequence INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT;
)sql",
                                     R"sql(
CREATE TABLE upload (
  sequence INTEGER PRIMARY KEY, record BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
)sql"};

constexpr sqlite::Format kFormat{
    .name = "catalog",
    .application_id = 0x696e6663,  // "infc"
    .versions = kVersions,
    .read_beside = true,  // by a backup
};

std::unexpected<base::Error> Damaged(std::string_view table, uint64_t sequence) {
  return base::Fail(Code::kDataLoss, "the row {} of table {} is damaged; restore a backup",
                    sequence, table);
}

template <class Record>
base::Result<> WriteChanges(Row& put, Row& remove, const Overlay<Record>& overlay) {
  for (const auto& [id, change] : overlay.changes()) {
    if (!change.record) {
      remove.Put(change.sequence);
      INFERQ_TRY(remove.Run());
      continue;
    }
    std::string bytes = Encode(*change.record);
    put.Put(change.sequence);
    put.PutBlob(bytes);
    put.PutSum();
    INFERQ_TRY(put.Run());
  }
  return {};
}

}  // namespace

base::Result<> Store::Open(const Visitor& visitor) {
  INFERQ_TRY(sqlite::OpenStore(db_, path_, vfs_, kFormat));
  base::Result<> opened = Prepare();
  if (opened) opened = Visit(visitor);
  if (!opened) Close();
  return opened;
}

base::Result<> Store::Read(const Visitor& visitor) {
  auto read = [&]() -> base::Result<> {
    INFERQ_TRY(sqlite::OpenReader(db_, path_, vfs_, kFormat));
    INFERQ_TRY(db_.Exec("BEGIN"));
    INFERQ_ASSIGN(auto damage, db_.FindDamage());
    if (!damage.empty()) return base::Fail(Code::kDataLoss, "SQLite: {}", damage[0]);
    return Visit(visitor);
  };
  base::Result<> done = read();
  Close();
  return done;
}

base::Result<> Store::Prepare() {
  statements_ = std::make_unique<Statements>();
  Statements& s = *statements_;
  const std::pair<Row*, const char*> all[] = {
      {&s.put_file, "INSERT OR REPLACE INTO file VALUES (?,?,?)"},
      {&s.remove_file, "DELETE FROM file WHERE sequence = ?"},
      {&s.put_batch, "INSERT OR REPLACE INTO batch VALUES (?,?,?)"},
      {&s.remove_batch, "DELETE FROM batch WHERE sequence = ?"},
      {&s.put_upload, "INSERT OR REPLACE INTO upload VALUES (?,?,?)"},
      {&s.remove_upload, "DELETE FROM upload WHERE sequence = ?"},
      {&s.put_meta, "INSERT OR REPLACE INTO meta VALUES (1,?,?)"}};
  for (auto [row, sql] : all) INFERQ_TRY(row->Prepare(db_, sql));
  return {};
}

base::Result<> Store::Visit(const Visitor& visitor) {
  INFERQ_TRY(VisitMeta(visitor));
  INFERQ_TRY(VisitTable("file", visitor.on_file));
  INFERQ_TRY(VisitTable("batch", visitor.on_batch));
  return visitor.on_upload ? VisitTable("upload", visitor.on_upload) : base::Result<>();
}

base::Result<> Store::VisitMeta(const Visitor& visitor) {
  Row row;
  INFERQ_TRY(row.Prepare(db_, "SELECT last_sequence, sum FROM meta"));
  INFERQ_ASSIGN(bool found, row.Step());
  if (!found) return {};
  uint64_t last = row.TakeUint();
  if (!row.SumFits()) return Damaged("meta", 1);
  visitor.on_last_sequence(last);
  return {};
}

template <class Record>
base::Result<> Store::VisitTable(const char* table,
                                 const std::function<base::Result<>(Record)>& on_record) {
  Row row;
  std::string sql = fmt::format("SELECT sequence, record, sum FROM {} ORDER BY sequence", table);
  INFERQ_TRY(row.Prepare(db_, sql.c_str()));
  while (true) {
    INFERQ_ASSIGN(bool more, row.Step());
    if (!more) return {};
    uint64_t sequence = row.TakeUint();
    std::string bytes = row.TakeText();
    Record record;
    if (!row.SumFits() || !Decode(bytes, record) || record.sequence != sequence) {
      return Damaged(table, sequence);
    }
    INFERQ_TRY(on_record(std::move(record)));
  }
}

base::Result<> Store::Commit(const ChangeSet& changes) {
  if (!statements_) return base::Fail(Code::kUnavailable, "{} is not open", path_);
  return db_.Transact([&] { return Write(changes); });
}

base::Result<> Store::Write(const ChangeSet& changes) {
  Statements& s = *statements_;
  INFERQ_TRY(WriteChanges(s.put_file, s.remove_file, changes.files));
  INFERQ_TRY(WriteChanges(s.put_batch, s.remove_batch, changes.batches));
  INFERQ_TRY(WriteChanges(s.put_upload, s.remove_upload, changes.uploads));
  s.put_meta.Put(changes.last_sequence);
  s.put_meta.PutSum();
  return s.put_meta.Run();
}

void Store::Close() {
  statements_.reset();
  db_.Close();
}

}  // namespace inferq::catalog
