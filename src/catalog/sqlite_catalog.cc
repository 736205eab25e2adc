#include "catalog/sqlite_catalog.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "catalog/store.h"
#include "catalog/table.h"
#include "runtime/event.h"

namespace inferq::catalog {

using base::Code;
using model::BatchRecord;
using model::FileRecord;
using model::UploadRecord;

namespace {

// What a failed commit means to those who wait for it, or come later.
base::Error ForCaller(const base::Error& failure) {
  bool full = failure.code() == Code::kResourceExhausted;
  return base::Error(full ? failure.code() : Code::kUnavailable,
                     fmt::format("the catalog failed, restart to recover: {}", failure.message()));
}

struct Tables {
  Table<FileRecord> files;
  Table<BatchRecord> batches;
  Table<UploadRecord> uploads;
};

/// One update: its changes, over those of the updates before it in the group, over what is durable.
class Draft final : public Transaction {
 public:
  Draft(const Tables& tables, const ChangeSet& group, uint64_t& last_sequence)
      : tables_(tables), group_(group), last_sequence_(last_sequence) {}

  const FileRecord* FindFile(const std::string& id) const override {
    return Find(own_.files, group_.files, tables_.files, id);
  }
  const BatchRecord* FindBatch(const std::string& id) const override {
    return Find(own_.batches, group_.batches, tables_.batches, id);
  }
  const UploadRecord* FindUpload(const std::string& id) const override {
    return Find(own_.uploads, group_.uploads, tables_.uploads, id);
  }
  // Also what a failed update drew is not given again.
  uint64_t NextSequence() override { return ++last_sequence_; }

  void Put(FileRecord file) override {
    CheckSame(FindFile(file.id), file);
    own_.files.Put(std::move(file));
  }
  void Put(BatchRecord batch) override {
    CheckSame(FindBatch(batch.id), batch);
    own_.batches.Put(std::move(batch));
  }
  void Put(UploadRecord upload) override {
    CheckSame(FindUpload(upload.id), upload);
    own_.uploads.Put(std::move(upload));
  }
  void RemoveFile(const std::string& id) override {
    if (const FileRecord* file = FindFile(id)) own_.files.Remove(*file);
  }
  void RemoveBatch(const std::string& id) override {
    if (const BatchRecord* batch = FindBatch(id)) own_.batches.Remove(*batch);
  }
  void RemoveUpload(const std::string& id) override {
    if (const UploadRecord* upload = FindUpload(id)) own_.uploads.Remove(*upload);
  }

  ChangeSet TakeChanges() { return std::move(own_); }

 private:
  template <class Record>
  static const Record* Find(const Overlay<Record>& own, const Overlay<Record>& group,
                            const Table<Record>& table, const std::string& id) {
    const auto* change = own.Find(id);
    if (change == nullptr) change = group.Find(id);
    if (change == nullptr) return table.Find(id);
    return change->record ? &*change->record : nullptr;
  }
  template <class Record>
  void CheckSame(const Record* before, const Record& after) const {
    INFERQ_CHECK(after.sequence > 0 && after.sequence <= last_sequence_);
    INFERQ_CHECK(!before || (before->sequence == after.sequence && before->tenant == after.tenant));
  }

  const Tables& tables_;
  const ChangeSet& group_;
  uint64_t& last_sequence_;
  ChangeSet own_;
};

class SqliteCatalog final : public Catalog {
 public:
  SqliteCatalog(runtime::Runtime& runtime, SqliteCatalogOptions options)
      : runtime_(runtime),
        store_(std::make_shared<Store>(std::move(options.path), std::move(options.vfs))),
        gathering_(std::make_shared<Group>(runtime)),
        closed_(runtime) {}

  Awaitable<base::Result<>> Open() override;
  Awaitable<base::Result<>> Close() override;
  bool healthy() const override { return phase_ == Phase::kOpen && !failure_; }
  Awaitable<base::Result<>> Update(Change change) override;

  const FileRecord* FindFile(const std::string& id) const override {
    return tables_.files.Find(id);
  }
  const BatchRecord* FindBatch(const std::string& id) const override {
    return tables_.batches.Find(id);
  }
  const UploadRecord* FindUpload(const std::string& id) const override {
    return tables_.uploads.Find(id);
  }
  base::Result<Page<FileRecord>> ListFiles(const ListRequest& request) const override {
    return tables_.files.List(request, [&request](const FileRecord& file) {
      bool hidden = !request.without.empty() && file.purpose == request.without;
      bool wanted = request.purpose.empty() || file.purpose == request.purpose;
      return wanted && !hidden && file.IsThere(request.now);
    });
  }
  base::Result<Page<BatchRecord>> ListBatches(const ListRequest& request) const override {
    return tables_.batches.List(request, [](const BatchRecord&) { return true; });
  }
  void ForEachFile(const std::function<void(const FileRecord&)>& fn) const override {
    tables_.files.ForEach(fn);
  }
  void ForEachBatch(const std::function<void(const BatchRecord&)>& fn) const override {
    tables_.batches.ForEach(fn);
  }
  void ForEachUpload(const std::function<void(const UploadRecord&)>& fn) const override {
    tables_.uploads.ForEach(fn);
  }

 private:
  // Updates that share a commit.
  struct Group {
    explicit Group(runtime::Runtime& runtime) : ended(runtime) {}
    std::vector<Change> changes;
    std::vector<base::Result<>> answers;  // of the changes, once ended
    ChangeSet written;
    bool done = false;
    runtime::Event ended;
  };
  struct Recovered {
    Tables tables;
    uint64_t last_sequence = 0;
  };

  base::Result<> Ready() const;
  static base::Result<> Read(Store& store, Recovered& recovered);
  void Schedule();
  void Begin();
  void Make(Group& group);
  void Finish(base::Result<> committed);
  template <class Fn>
  auto WhileAlive(Fn fn);

  runtime::Runtime& runtime_;
  std::shared_ptr<Store> store_;
  enum class Phase : uint8_t { kNew, kOpening, kOpen, kClosing, kClosed } phase_ = Phase::kNew;
  Tables tables_;               // what is durable
  uint64_t last_sequence_ = 0;  // given out
  uint64_t stored_sequence_ = 0;
  std::shared_ptr<Group> gathering_;
  std::shared_ptr<Group> in_flight_;  // null: no commit under way
  bool scheduled_ = false;
  std::optional<base::Error> failure_;
  runtime::Event closed_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

// Posted work may run after we are gone.
template <class Fn>
auto SqliteCatalog::WhileAlive(Fn fn) {
  return [alive = std::weak_ptr(alive_), fn = std::move(fn)]() mutable {
    if (!alive.expired()) fn();
  };
}

Awaitable<base::Result<>> SqliteCatalog::Open() {
  if (phase_ != Phase::kNew) {
    co_return base::Fail(Code::kFailedPrecondition, "the catalog was opened before");
  }
  phase_ = Phase::kOpening;
  auto recovered = std::make_shared<Recovered>();
  auto read = [store = store_, recovered] { return Read(*store, *recovered); };
  base::Result<> opened = co_await runtime_.RunBlocking(runtime::kCatalogLane, std::move(read));
  if (!opened) {
    phase_ = Phase::kNew;
    co_return opened;
  }
  tables_ = std::move(recovered->tables);
  last_sequence_ = stored_sequence_ = recovered->last_sequence;
  phase_ = Phase::kOpen;
  co_return opened;
}

base::Result<> SqliteCatalog::Read(Store& store, Recovered& recovered) {
  auto add = [&recovered](auto& table, auto record) -> base::Result<> {
    uint64_t sequence = record.sequence;
    std::string id = record.id;
    if (sequence <= recovered.last_sequence && table.Add(std::move(record))) return {};
    return base::Fail(Code::kDataLoss, "the catalog contradicts itself about \"{}\" (number {})",
                      id, sequence);
  };
  Visitor visitor;
  visitor.on_last_sequence = [&](uint64_t last) { recovered.last_sequence = last; };
  visitor.on_file = [&](FileRecord file) { return add(recovered.tables.files, std::move(file)); };
  visitor.on_batch = [&](BatchRecord batch) {
    return add(recovered.tables.batches, std::move(batch));
  };
  visitor.on_upload = [&](UploadRecord upload) {
    return add(recovered.tables.uploads, std::move(upload));
  };
  return store.Open(visitor);
}

Awaitable<base::Result<>> SqliteCatalog::Close() {
  while (phase_ == Phase::kClosing) co_await closed_.Wait();
  if (phase_ == Phase::kClosed) co_return base::Result<>{};
  phase_ = Phase::kClosing;
  while (in_flight_ || scheduled_) {
    auto group = in_flight_ ? in_flight_ : gathering_;
    co_await group->ended.Wait();
  }
  auto close = [store = store_] { return store->Close(), true; };
  co_await runtime_.RunBlocking(runtime::kCatalogLane, std::move(close));
  phase_ = Phase::kClosed;
  closed_.NotifyAll();
  if (failure_) co_return std::unexpected(*failure_);
  co_return base::Result<>{};
}

// Whether updates are taken.
base::Result<> SqliteCatalog::Ready() const {
  if (phase_ != Phase::kOpen) return base::Fail(Code::kUnavailable, "the catalog is not open");
  if (failure_) return std::unexpected(ForCaller(*failure_));
  return {};
}

Awaitable<base::Result<>> SqliteCatalog::Update(Change change) {
  INFERQ_CO_TRY(Ready());
  auto group = gathering_;
  size_t index = group->changes.size();
  group->changes.push_back(std::move(change));
  Schedule();
  while (!group->done) co_await group->ended.Wait();
  co_return std::move(group->answers[index]);
}

void SqliteCatalog::Schedule() {
  if (scheduled_ || in_flight_ || gathering_->changes.empty()) return;
  scheduled_ = true;
  // Posted, so that everyone who is ready to change something joins the group.
  runtime_.Post(WhileAlive([this] { Begin(); }));
}

void SqliteCatalog::Begin() {
  scheduled_ = false;
  in_flight_ = std::exchange(gathering_, std::make_shared<Group>(runtime_));
  if (failure_) return Finish({});
  Make(*in_flight_);
  ChangeSet& written = in_flight_->written;
  if (written.empty() && last_sequence_ == stored_sequence_) {
    return Finish({});  // nothing to write
  }
  written.last_sequence = last_sequence_;
  struct Work {
    std::shared_ptr<Store> store;
    std::shared_ptr<Group> group;
    base::Result<> result;
  };
  auto work = std::make_shared<Work>(Work{store_, in_flight_, {}});
  runtime_.PostBlocking(
      runtime::kCatalogLane, [work] { work->result = work->store->Commit(work->group->written); },
      WhileAlive([this, work] { Finish(std::move(work->result)); }));
}

// Makes the updates one after the other, each over what those before it left.
void SqliteCatalog::Make(Group& group) {
  for (Change& change : group.changes) {
    Draft draft(tables_, group.written, last_sequence_);
    group.answers.push_back(change(draft));
    if (group.answers.back()) group.written.Merge(draft.TakeChanges());
  }
}

void SqliteCatalog::Finish(base::Result<> committed) {
  auto group = std::exchange(in_flight_, nullptr);
  if (!committed) failure_ = std::move(committed).error();
  if (failure_) {
    group->answers.assign(group->changes.size(), std::unexpected(ForCaller(*failure_)));
  } else {
    tables_.files.Apply(group->written.files);
    tables_.batches.Apply(group->written.batches);
    tables_.uploads.Apply(group->written.uploads);
    stored_sequence_ = std::max(stored_sequence_, group->written.last_sequence);
  }
  group->changes.clear();
  group->done = true;
  group->ended.NotifyAll();
  Schedule();
}

}  // namespace

std::unique_ptr<Catalog> MakeSqliteCatalog(runtime::Runtime& runtime,
                                           SqliteCatalogOptions options) {
  return std::make_unique<SqliteCatalog>(runtime, std::move(options));
}

}  // namespace inferq::catalog
