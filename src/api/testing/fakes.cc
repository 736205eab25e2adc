#include "api/testing/fakes.h"

namespace inferq::api::testing {

using base::Code;
using base::Fail;
using base::Result;

FakeExchange::FakeExchange(runtime::Runtime& runtime, std::string method, std::string target)
    : runtime_(runtime) {
  size_t mark = target.find('?');
  head.method = std::move(method);
  head.path = target.substr(0, mark);
  head.query = mark == std::string::npos ? "" : target.substr(mark + 1);
  head.target = std::move(target);
  head.peer = "127.0.0.1:1";
}

std::string FakeExchange::Header(std::string_view name) const {
  return std::string(http::FindHeader(headers, name).value_or(""));
}

std::optional<uint64_t> FakeExchange::content_length() const {
  return told_length ? std::optional<uint64_t>(body.size()) : std::nullopt;
}

Awaitable<Result<std::string>> FakeExchange::ReadBody(uint64_t limit) {
  co_await runtime_.Yield();
  if (body.size() > limit) co_return Fail(Code::kOutOfRange, "longer than {}", limit);
  if (read_error) co_return std::unexpected(*read_error);
  co_return body;
}

Awaitable<Result<std::string>> FakeExchange::NextPiece() {
  co_await runtime_.Yield();
  std::string next = body.substr(read_, piece);
  read_ += next.size();
  if (next.empty() && read_error) co_return std::unexpected(*read_error);
  co_return next;
}

void FakeExchange::AddHeader(std::string name, std::string value) {
  headers.push_back({std::move(name), std::move(value)});
}

Awaitable<Result<>> FakeExchange::Send(int code, http::Headers more, std::string bytes) {
  auto begun = co_await Begin(code, std::move(more), bytes.size());
  if (fail_send) co_return Fail(Code::kUnavailable, "the client is gone");
  answer = std::move(bytes);
  ended = true;
  co_return begun;
}

Awaitable<Result<>> FakeExchange::Begin(int code, http::Headers more,
                                        std::optional<uint64_t> bytes) {
  co_await runtime_.Yield();
  status = code;
  length = bytes;
  headers.insert(headers.end(), more.begin(), more.end());
  co_return Result<>();
}

Awaitable<Result<>> FakeExchange::Write(std::string_view bytes) {
  co_await runtime_.Yield();
  if (writes_until_gone == 0) co_return Fail(Code::kUnavailable, "the client is gone");
  if (writes_until_gone > 0) --writes_until_gone;
  answer += bytes;
  writes.emplace_back(bytes);
  co_return Result<>();
}

Awaitable<Result<>> FakeExchange::End() {
  ended = true;
  co_return Result<>();
}

namespace {

class FakeUpload final : public service::Upload {
 public:
  explicit FakeUpload(FakeUseCases& owner) : owner_(owner) { ++owner_.uploads_alive; }
  ~FakeUpload() override { --owner_.uploads_alive; }
  Awaitable<Result<>> Append(runtime::Runtime& here, std::string bytes) override {
    co_await here.Yield();
    if (owner_.fail_append) co_return std::unexpected(*owner_.fail_append);
    owner_.appends.push_back(bytes.size());
    owner_.uploaded += bytes;
    co_return Result<>();
  }
  uint64_t size() const override { return owner_.uploaded.size(); }

 private:
  FakeUseCases& owner_;
};

model::FileRecord File(const std::string& id, uint64_t bytes) {
  model::FileRecord file;
  file.id = id;
  file.filename = "in.jsonl";
  file.purpose = "batch";
  file.bytes = bytes;
  return file;
}

class FakeContent final : public service::Content {
 public:
  FakeContent(std::string id, std::string bytes, size_t readable)
      : file_(File(id, bytes.size())), bytes_(std::move(bytes)), readable_(readable) {}
  const model::FileRecord& file() const override { return file_; }
  Awaitable<Result<std::string>> Read(runtime::Runtime& here, uint64_t offset,
                                      uint64_t length) override {
    co_await here.Yield();
    if (offset + length > readable_) co_return Fail(Code::kDataLoss, "damaged");
    co_return bytes_.substr(offset, length);
  }

 private:
  model::FileRecord file_;
  std::string bytes_;
  size_t readable_;
};

class FakeAnswer final : public service::Answer {
 public:
  explicit FakeAnswer(FakeUseCases& owner) : owner_(owner), cancelled_(owner.runtime()) {
    ++owner_.answers_alive;
  }
  ~FakeAnswer() override { --owner_.answers_alive; }

  Awaitable<Result<engine::Delta>> Next() override {
    base::SteadyTime when = base::SteadyTime::max();
    if (!owner_.steps.empty()) {
      when = owner_.runtime().clock().Steady() + owner_.steps.front().after;
    }
    if (!is_cancelled_) co_await cancelled_.WaitUntil(when);
    if (is_cancelled_) co_return testing::End(engine::FinishReason::kCancelled);
    auto delta = std::move(owner_.steps.front().delta);
    owner_.steps.pop_front();
    co_return delta;
  }
  void Cancel() override {
    ++owner_.cancels;
    is_cancelled_ = true;
    cancelled_.NotifyAll();
  }

 private:
  FakeUseCases& owner_;
  runtime::Event cancelled_;
  bool is_cancelled_ = false;
};

model::UploadRecord UploadOf(const std::string& id) {
  model::UploadRecord upload;
  upload.id = id;
  upload.filename = "in.jsonl";
  upload.mime_type = "application/jsonl";
  upload.purpose = "batch";
  upload.bytes = 7;
  return upload;
}

service::BatchView View(const std::string& id) {
  service::BatchView view;
  view.record.id = id;
  view.record.endpoint = "/v1/chat/completions";
  view.record.input_file_id = "file-1";
  view.record.completion_window = "24h";
  view.total = 3;
  view.succeeded = 2;
  view.failed = 1;
  return view;
}

}  // namespace

Result<> FakeUseCases::Note(service::Caller who, std::string which) {
  caller = std::move(who);
  id = std::move(which);
  if (fail) return std::unexpected(*fail);
  return {};
}

Awaitable<Result<std::shared_ptr<service::Upload>>> FakeUseCases::BeginUpload(
    runtime::Runtime& /*here*/, service::Caller who) {
  INFERQ_CO_TRY(Note(std::move(who)));
  co_return std::make_shared<FakeUpload>(*this);
}

Awaitable<Result<model::FileRecord>> FakeUseCases::FinishUpload(
    runtime::Runtime& /*here*/, service::Caller who, service::NewFile file,
    std::shared_ptr<service::Upload> upload) {
  INFERQ_CO_TRY(Note(std::move(who)));
  finished = std::move(file);
  model::FileRecord record = File("file-new", upload->size());
  record.filename = finished->filename;
  record.purpose = finished->purpose;
  co_return record;
}

Awaitable<Result<model::FileRecord>> FakeUseCases::GetFile(runtime::Runtime& /*here*/,
                                                           service::Caller who, std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  co_return File(which, contents[which].size());
}

Awaitable<Result<catalog::Page<model::FileRecord>>> FakeUseCases::ListFiles(
    runtime::Runtime& /*here*/, service::Caller who, service::FileList request) {
  INFERQ_CO_TRY(Note(std::move(who)));
  file_list = std::move(request);
  catalog::Page<model::FileRecord> page;
  for (const auto& [name, bytes] : contents) page.records.push_back(File(name, bytes.size()));
  page.has_more = has_more;
  co_return page;
}

Awaitable<Result<>> FakeUseCases::DeleteFile(runtime::Runtime& /*here*/, service::Caller who,
                                             std::string which) {
  co_return Note(std::move(who), std::move(which));
}

Awaitable<Result<std::shared_ptr<service::Content>>> FakeUseCases::OpenContent(
    runtime::Runtime& /*here*/, service::Caller who, std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  co_return std::make_shared<FakeContent>(which, contents[which], readable_bytes);
}

Awaitable<Result<service::UploadView>> FakeUseCases::CreateUpload(runtime::Runtime& /*here*/,
                                                                  service::Caller who,
                                                                  service::NewUpload upload) {
  INFERQ_CO_TRY(Note(std::move(who)));
  new_upload = std::move(upload);
  co_return service::UploadView{.record = UploadOf("upload_new"), .file = {}};
}

Awaitable<Result<service::PartView>> FakeUseCases::FinishPart(
    runtime::Runtime& /*here*/, service::Caller who, std::string which,
    std::shared_ptr<service::Upload> /*bytes*/) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  co_return service::PartView{.id = "part_1", .upload_id = which, .created = {}};
}

Awaitable<Result<service::UploadView>> FakeUseCases::CompleteUpload(
    runtime::Runtime& /*here*/, service::Caller who, std::string which,
    service::UploadCompletion call) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  completion = std::move(call);
  service::UploadView view{.record = UploadOf(which), .file = File("file-new", 7)};
  view.record.status = model::UploadStatus::kCompleted;
  co_return view;
}

Awaitable<Result<service::UploadView>> FakeUseCases::CancelUpload(runtime::Runtime& /*here*/,
                                                                  service::Caller who,
                                                                  std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  service::UploadView view{.record = UploadOf(which), .file = {}};
  view.record.status = model::UploadStatus::kCancelled;
  co_return view;
}

Awaitable<Result<service::BatchView>> FakeUseCases::CreateBatch(runtime::Runtime& /*here*/,
                                                                service::Caller who,
                                                                service::NewBatch batch) {
  INFERQ_CO_TRY(Note(std::move(who)));
  if (fail_create) co_return std::unexpected(*fail_create);
  new_batch = std::move(batch);
  service::BatchView view = View("batch_new");
  view.record.input_file_id = batch_input.empty() ? new_batch->input_file_id : batch_input;
  co_return view;
}

Awaitable<Result<service::BatchView>> FakeUseCases::GetBatch(runtime::Runtime& /*here*/,
                                                             service::Caller who,
                                                             std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  co_return View(which);
}

Awaitable<Result<catalog::Page<service::BatchView>>> FakeUseCases::ListBatches(
    runtime::Runtime& /*here*/, service::Caller who, std::string behind, uint32_t most) {
  INFERQ_CO_TRY(Note(std::move(who)));
  after = std::move(behind);
  limit = most;
  catalog::Page<service::BatchView> page;
  page.records = {View("batch_2"), View("batch_1")};
  page.has_more = has_more;
  co_return page;
}

Awaitable<Result<service::BatchView>> FakeUseCases::CancelBatch(runtime::Runtime& /*here*/,
                                                                service::Caller who,
                                                                std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  service::BatchView view = View(which);
  view.record.status = model::BatchStatus::kCancelling;
  view.record.cancelling = base::WallTime(std::chrono::seconds(1'700'000'000));
  co_return view;
}

Awaitable<Result<service::BatchView>> FakeUseCases::PauseBatch(runtime::Runtime& /*here*/,
                                                               service::Caller who,
                                                               std::string which, bool pause) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  paused = pause;
  co_return View(which);
}

Awaitable<Result<service::BatchView>> FakeUseCases::EditBatch(runtime::Runtime& /*here*/,
                                                              service::Caller who,
                                                              service::BatchEdit change) {
  INFERQ_CO_TRY(Note(std::move(who), change.id));
  batch_edit = change;
  co_return View(change.id);
}

Awaitable<Result<service::BatchView>> FakeUseCases::RetryBatch(runtime::Runtime& /*here*/,
                                                               service::Caller who,
                                                               std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  service::BatchView view = View("batch_again");
  view.record.retry_of = which;
  co_return view;
}

Awaitable<Result<service::ResultsPage>> FakeUseCases::ReadResults(runtime::Runtime& here,
                                                                  service::Caller who,
                                                                  service::ResultsRequest request) {
  co_await here.Yield();
  reads.push_back(request);
  INFERQ_CO_TRY(Note(std::move(who), request.id));
  if (pages.empty()) co_return Fail(Code::kUnavailable, "stopping");
  service::ResultsPage page = pages.front();
  pages.pop_front();
  co_return page;
}

Awaitable<Result<model::FileRecord>> FakeUseCases::PutBlob(runtime::Runtime& /*here*/,
                                                           service::Caller who, std::string bytes) {
  INFERQ_CO_TRY(Note(std::move(who)));
  uploaded = std::move(bytes);
  co_return File("blob:sha256:1", uploaded.size());
}

Awaitable<Result<model::FileRecord>> FakeUseCases::GetBlob(runtime::Runtime& /*here*/,
                                                           service::Caller who, std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), which));
  co_return File(which, 3);
}

Awaitable<Result<catalog::Page<model::FileRecord>>> FakeUseCases::ListBlobs(
    runtime::Runtime& /*here*/, service::Caller who, std::string behind, uint32_t most) {
  INFERQ_CO_TRY(Note(std::move(who)));
  after = std::move(behind);
  limit = most;
  co_return catalog::Page<model::FileRecord>{
      .records = {File("blob:sha256:2", 2), File("blob:sha256:1", 1)}, .has_more = has_more};
}

Awaitable<Result<>> FakeUseCases::DeleteBlob(runtime::Runtime& /*here*/, service::Caller who,
                                             std::string which) {
  co_return Note(std::move(who), std::move(which));
}

Awaitable<Result<catalog::Page<wire::DeliveryObject>>> FakeUseCases::ListDeliveries(
    runtime::Runtime& /*here*/, service::Caller who, std::string behind, uint32_t most) {
  INFERQ_CO_TRY(Note(std::move(who)));
  after = std::move(behind);
  limit = most;
  catalog::Page<wire::DeliveryObject> page;
  for (const char* delivery : {"evt_2-0", "evt_1-0"})
    page.records.push_back({.id = delivery, .batch_id = "batch_1"});
  page.has_more = has_more;
  co_return page;
}

Awaitable<Result<std::shared_ptr<service::Answer>>> FakeUseCases::Generate(
    runtime::Runtime& /*here*/, service::Caller who, service::OnlineRequest request) {
  INFERQ_CO_TRY(Note(std::move(who)));
  online = std::move(request);
  co_return std::make_shared<FakeAnswer>(*this);
}

Awaitable<Result<service::Submitted>> FakeUseCases::SubmitTasks(runtime::Runtime& /*here*/,
                                                                service::Caller who,
                                                                wire::TaskCreate tasks) {
  INFERQ_CO_TRY(Note(std::move(who)));
  create = std::move(tasks);
  service::Submitted submitted;
  for (size_t i = 0; i < create->tasks.size(); ++i) {
    submitted.ids.push_back(model::TaskId{i + 1});
  }
  if (create->single) submitted.task = task;
  co_return submitted;
}

Awaitable<Result<service::TaskView>> FakeUseCases::GetTask(
    runtime::Runtime& /*here*/, service::Caller who, std::string which,
    std::optional<model::Generation> earlier) {
  INFERQ_CO_TRY(Note(std::move(who), std::move(which)));
  generation = earlier;
  co_return task;
}

Awaitable<Result<service::TaskPage>> FakeUseCases::ListTasks(runtime::Runtime& /*here*/,
                                                             service::Caller who,
                                                             service::TaskList request) {
  INFERQ_CO_TRY(Note(std::move(who)));
  task_list = std::move(request);
  service::TaskPage page{.tasks = {task}, .has_more = has_more};
  co_return page;
}

Awaitable<Result<queue::Explanation>> FakeUseCases::ExplainTask(runtime::Runtime& /*here*/,
                                                                service::Caller who,
                                                                std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), std::move(which)));
  co_return explanation;
}

Awaitable<Result<service::TaskView>> FakeUseCases::EditTask(runtime::Runtime& /*here*/,
                                                            service::Caller who,
                                                            service::TaskEdit change) {
  edit = std::move(change);
  INFERQ_CO_TRY(Note(std::move(who), edit->id));
  co_return task;
}

Awaitable<Result<service::TaskView>> FakeUseCases::CancelTask(runtime::Runtime& /*here*/,
                                                              service::Caller who,
                                                              std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), std::move(which)));
  ++cancels;
  co_return task;
}

Awaitable<Result<uint64_t>> FakeUseCases::CancelTasks(runtime::Runtime& /*here*/,
                                                      service::Caller who,
                                                      wire::TaskSelection selection) {
  INFERQ_CO_TRY(Note(std::move(who)));
  chosen = std::move(selection);
  co_return 7;
}

Awaitable<Result<service::TaskView>> FakeUseCases::RequeueTask(runtime::Runtime& /*here*/,
                                                               service::Caller who,
                                                               std::string which) {
  INFERQ_CO_TRY(Note(std::move(who), std::move(which)));
  co_return task;
}

Awaitable<Result<std::vector<service::ClaimedWork>>> FakeUseCases::ClaimTasks(
    runtime::Runtime& here, service::Caller who, wire::WorkerClaim call, service::HungUp gone) {
  INFERQ_CO_TRY(Note(std::move(who)));
  claim = std::move(call);
  base::SteadyTime until = here.clock().Steady() + claim->wait;
  while (claims_wait && !(gone && *gone) && here.clock().Steady() < until) {
    co_await here.SleepFor(base::Micros(1000));
  }
  co_return claimable;
}

Awaitable<Result<std::vector<service::HeldReply>>> FakeUseCases::RenewTasks(
    runtime::Runtime& /*here*/, service::Caller who, wire::RenewCall call) {
  INFERQ_CO_TRY(Note(std::move(who)));
  renew = std::move(call);
  co_return replies;
}

Awaitable<Result<std::vector<service::HeldReply>>> FakeUseCases::Heartbeat(
    runtime::Runtime& /*here*/, service::Caller who, wire::HeartbeatCall call) {
  INFERQ_CO_TRY(Note(std::move(who)));
  beat = std::move(call);
  co_return replies;
}

Awaitable<Result<service::Completed>> FakeUseCases::CompleteTasks(runtime::Runtime& /*here*/,
                                                                  service::Caller who,
                                                                  wire::CompleteCall call,
                                                                  service::HungUp /*gone*/) {
  INFERQ_CO_TRY(Note(std::move(who)));
  complete = std::move(call);
  service::Completed done{.outcomes = outcomes, .claimed = {}};
  if (complete->claim) done.claimed.emplace(claimable);
  co_return done;
}

Awaitable<Result<std::vector<Result<>>>> FakeUseCases::FailTasks(runtime::Runtime& /*here*/,
                                                                 service::Caller who,
                                                                 wire::FailCall call) {
  INFERQ_CO_TRY(Note(std::move(who)));
  failed = std::move(call);
  co_return outcomes;
}

Awaitable<Result<std::vector<Result<>>>> FakeUseCases::ReleaseTasks(runtime::Runtime& /*here*/,
                                                                    service::Caller who,
                                                                    wire::ReleaseCall call) {
  INFERQ_CO_TRY(Note(std::move(who)));
  release = std::move(call);
  co_return outcomes;
}

Awaitable<Result<std::vector<wire::WorkerObject>>> FakeUseCases::ListWorkers(
    runtime::Runtime& /*here*/, service::Caller who) {
  INFERQ_CO_TRY(Note(std::move(who)));
  std::vector<wire::WorkerObject> workers(1);
  workers.front().worker = "w1";
  co_return workers;
}

engine::Delta Text(std::string text) {
  engine::Delta delta;
  delta.tokens = 1;
  delta.text = std::move(text);
  return delta;
}

engine::Delta End(engine::FinishReason reason, engine::Usage usage) {
  engine::Delta delta;
  delta.finish_reason = reason;
  delta.usage = usage;
  return delta;
}

}  // namespace inferq::api::testing
