#include "sqlite/snapshot.h"

namespace inferq::sqlite {
namespace {

constexpr int kTries = 50;

base::Result<int64_t> DataVersion(Database& db) { return db.QueryInt("PRAGMA data_version"); }

}  // namespace

base::Result<std::unique_ptr<Snapshot>> Snapshot::Take(const std::vector<std::string>& paths) {
  std::unique_ptr<Snapshot> snapshot(new Snapshot);
  INFERQ_TRY(snapshot->Open(paths));
  for (int i = 0; i < kTries; ++i) {
    INFERQ_ASSIGN(bool fixed, snapshot->Fix());
    if (fixed) return snapshot;
  }
  return base::Fail(base::Code::kAborted, "{} changes all the time; try again", paths.front());
}

base::Result<> Snapshot::Open(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    auto& source = sources_.emplace_back(std::make_unique<Source>());
    INFERQ_TRY(source->db.Open(path, "", Access::kRead));
    INFERQ_TRY(source->watch.Open(path, "", Access::kRead));
  }
  return {};
}

// Looks at one file after the other. If none but the last changed meanwhile, all are as they were
// when the last one was looked at.
base::Result<bool> Snapshot::Fix() {
  for (auto& source : sources_) {
    if (source->db.in_transaction()) INFERQ_TRY(source->db.Exec("ROLLBACK"));
    INFERQ_ASSIGN(source->version, DataVersion(source->watch));
    INFERQ_TRY(source->db.Exec("BEGIN; SELECT count(*) FROM sqlite_schema"));
  }
  for (size_t i = 0; i + 1 < sources_.size(); ++i) {
    INFERQ_ASSIGN(int64_t version, DataVersion(sources_[i]->watch));
    if (version != sources_[i]->version) return false;
  }
  return true;
}

base::Result<> Snapshot::CopyTo(size_t index, const std::string& path) {
  return sources_[index]->db.CopyTo(path);
}

}  // namespace inferq::sqlite
