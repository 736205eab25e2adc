#include "queue/conformance/queue_suite.h"

#include <cstdlib>

#include "base/file_system.h"
#include "queue/local/memory_journal.h"
#include "queue/local/sqlite_journal.h"

namespace inferq::queue {

using model::TaskId;
using model::TaskSpec;

namespace {

class MemoryBacked final : public Store {
 public:
  std::unique_ptr<Queue> MakeQueue(runtime::Runtime& runtime, LocalQueueOptions options) override {
    return MakeLocalQueue(runtime, MakeMemoryJournal(store_), std::move(options));
  }

 private:
  std::shared_ptr<MemoryStore> store_ = std::make_shared<MemoryStore>();
};

class SqliteBacked final : public Store {
 public:
  SqliteBacked() {
    directory_ =
        (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_queue_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
  }
  ~SqliteBacked() override { EXPECT_TRUE(base::RemoveTree(base::PosixFileSystem(), directory_)); }
  std::unique_ptr<Queue> MakeQueue(runtime::Runtime& runtime, LocalQueueOptions options) override {
    return MakeLocalQueue(runtime, MakeSqliteJournal({.path = directory_ + "/queue.db", .vfs = ""}),
                          std::move(options));
  }

 private:
  std::string directory_;
};

}  // namespace

void PrintTo(const Implementation& implementation, std::ostream* out) {
  *out << implementation.name;
}

std::vector<Implementation> Implementations() {
  return {{"Memory", [] { return std::make_unique<MemoryBacked>(); }},
          {"Sqlite", [] { return std::make_unique<SqliteBacked>(); }}};
}

QueueConformance::QueueConformance() : store_(GetParam().make_store()) { Open(); }

QueueConformance::~QueueConformance() {
  (void)sim_.Run(queue_->Close());
  queue_.reset();
}

void QueueConformance::Open() {
  queue_ = store_->MakeQueue(sim_, options_);
  EXPECT_THAT(sim_.Run(queue_->Open()), Succeeds());
}

void QueueConformance::Restart() {
  EXPECT_THAT(sim_.Run(queue_->Close()), Succeeds());
  Crash();
}

void QueueConformance::Crash() {
  queue_.reset();
  Open();
}

TaskSpec QueueConformance::Spec(std::string lane) {
  TaskSpec spec;
  spec.lane = std::move(lane);
  return spec;
}

TaskSpec QueueConformance::Keyed(std::string key, uint64_t hash) {
  TaskSpec spec = Spec();
  spec.idempotency_key = std::move(key);
  spec.content_hash = hash;
  return spec;
}

base::Result<std::vector<TaskId>> QueueConformance::TrySubmit(std::vector<TaskSpec> specs) {
  return sim_.Run(queue_->Submit(std::move(specs)));
}

std::vector<TaskId> QueueConformance::SubmitAll(std::vector<TaskSpec> specs) {
  auto ids = TrySubmit(std::move(specs));
  EXPECT_THAT(ids, Succeeds());
  return ids.value_or(std::vector<TaskId>{});
}

TaskId QueueConformance::Submit(TaskSpec spec) {
  auto ids = SubmitAll(One(std::move(spec)));
  return ids.empty() ? TaskId{} : ids[0];
}

std::vector<TaskId> QueueConformance::SubmitMany(size_t count) {
  return SubmitAll(std::vector<TaskSpec>(count, Spec()));
}

std::vector<ClaimedTask> QueueConformance::Claim(uint32_t max, std::vector<std::string> lanes,
                                                 base::Micros lease) {
  ClaimRequest request{.worker = "w", .lanes = std::move(lanes), .max_tasks = max, .lease = lease};
  auto claimed = sim_.Run(queue_->Claim(std::move(request)));
  EXPECT_THAT(claimed, Succeeds());
  return claimed.value_or(std::vector<ClaimedTask>{});
}

ClaimedTask QueueConformance::ClaimOne(std::string lane) {
  auto claimed = Claim(1, {std::move(lane)});
  EXPECT_EQ(claimed.size(), 1u);
  return claimed.empty() ? ClaimedTask{} : claimed[0];
}

ClaimedTask QueueConformance::RunOne(std::string lane) {
  ClaimedTask task = ClaimOne(std::move(lane));
  EXPECT_THAT(Start(task), Succeeds());
  return task;
}

base::Result<> QueueConformance::Start(const ClaimedTask& task) {
  return sim_.Run(queue_->Start(One(Ref(task)))).at(0);
}
base::Result<> QueueConformance::Complete(const ClaimedTask& task, model::Extent result) {
  return sim_.Run(queue_->Complete(One(Completion{.task = Ref(task), .result = result}))).at(0);
}
base::Result<> QueueConformance::Fail(const ClaimedTask& task, bool retryable, bool crashed) {
  Failure failure{.task = Ref(task),
                  .error = base::Error(base::Code::kUnavailable, "it broke"),
                  .retryable = retryable,
                  .crashed = crashed,
                  .result = {}};
  return sim_.Run(queue_->Fail(One(std::move(failure)))).at(0);
}
base::Result<> QueueConformance::Release(const ClaimedTask& task) {
  return sim_.Run(queue_->Release(One(Ref(task)))).at(0);
}
base::Result<> QueueConformance::Cancel(TaskId id) {
  return sim_.Run(queue_->Cancel(One(id))).at(0);
}
base::Result<> QueueConformance::Requeue(TaskId id) {
  return sim_.Run(queue_->Requeue(One(id))).at(0);
}

RenewalReply QueueConformance::Renew(const ClaimedTask& task,
                                     std::optional<std::string> checkpoint) {
  return sim_
      .Run(queue_->Renew(One(Renewal{.task = Ref(task), .checkpoint = std::move(checkpoint)})))
      .at(0);
}

model::TaskRecord QueueConformance::Get(TaskId id) {
  auto record = sim_.Run(queue_->Get(id));
  EXPECT_THAT(record, Succeeds());
  return record.value_or(model::TaskRecord{});
}

std::vector<model::TaskRecord> QueueConformance::Query(QueryRequest request) {
  auto records = sim_.Run(queue_->Query(std::move(request)));
  EXPECT_THAT(records, Succeeds());
  return records.value_or(std::vector<model::TaskRecord>{});
}

uint64_t QueueConformance::Count(model::State state, const TaskFilter& filter) {
  return queue_->Stats(filter).by_state[static_cast<size_t>(state)];
}

}  // namespace inferq::queue
