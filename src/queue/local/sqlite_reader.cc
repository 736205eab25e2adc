#include "queue/local/sqlite_reader.h"

#include "queue/local/journal_rows.h"
#include "sqlite/store.h"

namespace inferq::queue {
namespace {

using sqlite::Row;

// Ends the read when it goes, whatever was read: the log can be written back only then.
class Reading {
 public:
  explicit Reading(Row& row) : row_(row) {}
  ~Reading() { row_.Reset(); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  template <class T>
  base::Result<std::vector<T>> All() {
    std::vector<T> rows;
    while (true) {
      INFERQ_ASSIGN(bool more, row_.Step());
      if (!more) return rows;
      INFERQ_ASSIGN(T value, Take<T>(row_));
      rows.push_back(std::move(value));
    }
  }
  template <class T>
  base::Result<std::optional<T>> One() {
    INFERQ_ASSIGN(std::vector<T> rows, All<T>());
    return rows.empty() ? std::nullopt : std::optional(std::move(rows.front()));
  }

 private:
  Row& row_;
};

class SqliteReader final : public JournalReader {
 public:
  base::Result<> Open(const std::string& path, const std::string& vfs);

  base::Result<std::vector<LineRow>> Lines(model::BatchId batch, uint64_t after,
                                           uint32_t limit) override;
  base::Result<std::optional<LineRow>> Line(model::BatchId batch, uint64_t line) override;
  base::Result<std::optional<PastRow>> Past(model::TaskId id,
                                            model::Generation generation) override;

 private:
  sqlite::Database db_;
  // After the connection, so that they go first.
  Row lines_;
  Row line_;
  Row past_;
};

base::Result<> SqliteReader::Open(const std::string& path, const std::string& vfs) {
  constexpr const char* kNotForgotten = "NOT EXISTS (SELECT 1 FROM garbage g WHERE g.batch = ?1)";
  INFERQ_TRY(sqlite::OpenReader(db_, path, vfs, kJournalFormat));
  const Table& line = TableOf<LineRow>();
  std::string lines =
      fmt::format("WHERE batch = ?1 AND finish_sequence > ?2 AND {} ORDER BY {} LIMIT ?3",
                  kNotForgotten, line.order);
  std::string one = fmt::format("WHERE batch = ?1 AND line = ?2 AND {} LIMIT 1", kNotForgotten);
  INFERQ_TRY(lines_.Prepare(db_, SelectSql(line, lines).c_str()));
  INFERQ_TRY(line_.Prepare(db_, SelectSql(line, one).c_str()));
  return past_.Prepare(db_,
                       SelectSql(TableOf<PastRow>(), "WHERE id = ? AND generation = ?").c_str());
}

base::Result<std::vector<LineRow>> SqliteReader::Lines(model::BatchId batch, uint64_t after,
                                                       uint32_t limit) {
  lines_.Put(batch.value);
  lines_.Put(after);
  lines_.Put(limit);
  return Reading(lines_).All<LineRow>();
}

base::Result<std::optional<LineRow>> SqliteReader::Line(model::BatchId batch, uint64_t line) {
  line_.Put(batch.value);
  line_.Put(line);
  return Reading(line_).One<LineRow>();
}

base::Result<std::optional<PastRow>> SqliteReader::Past(model::TaskId id,
                                                        model::Generation generation) {
  past_.Put(id.value);
  past_.Put(generation);
  return Reading(past_).One<PastRow>();
}

}  // namespace

base::Result<std::unique_ptr<JournalReader>> OpenSqliteReader(const std::string& path,
                                                              const std::string& vfs) {
  auto reader = std::make_unique<SqliteReader>();
  INFERQ_TRY(reader->Open(path, vfs));
  return reader;
}

}  // namespace inferq::queue
