#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/use_cases.h"
#include "http/server.h"
#include "runtime/event.h"
#include "testing/sim_runtime.h"

namespace inferq::api::testing {

/// A request in memory, and what was answered to it.
class FakeExchange final : public http::Exchange {
 public:
  explicit FakeExchange(runtime::Runtime& runtime, std::string method, std::string target);

  // What the client sends.
  http::RequestHead head;
  std::string body;
  size_t piece = 1000;                    ///< Bytes of a NextPiece.
  bool told_length = true;                ///< Content-Length was sent.
  std::optional<base::Error> read_error;  ///< Of the body, at its end.
  int writes_until_gone = -1;             ///< Then Write fails; -1: never.
  bool fail_send = false;                 ///< Send fails: the client is gone.

  // What the client got.
  int status = 0;
  http::Headers headers;
  std::string answer;
  std::vector<std::string> writes;
  std::optional<uint64_t> length;
  bool ended = false;
  bool aborted = false;

  std::string Header(std::string_view name) const;
  /// The client hangs up.
  void HangUp() { gone_->Cancel(); }

  const http::RequestHead& request() const override { return head; }
  runtime::Runtime& runtime() override { return runtime_; }
  const std::shared_ptr<runtime::Cancellation>& gone() const override { return gone_; }
  std::optional<uint64_t> content_length() const override;
  Awaitable<base::Result<std::string>> ReadBody(uint64_t limit) override;
  Awaitable<base::Result<std::string>> NextPiece() override;
  void AddHeader(std::string name, std::string value) override;
  Awaitable<base::Result<>> Send(int code, http::Headers more, std::string bytes) override;
  Awaitable<base::Result<>> Begin(int code, http::Headers more,
                                  std::optional<uint64_t> bytes) override;
  Awaitable<base::Result<>> Write(std::string_view bytes) override;
  Awaitable<base::Result<>> End() override;
  bool began() const override { return status != 0; }
  void Abort() override { aborted = true; }

 private:
  runtime::Runtime& runtime_;
  std::shared_ptr<runtime::Cancellation> gone_ = std::make_shared<runtime::Cancellation>();
  size_t read_ = 0;
};

/// One thing that an answer does, after a time. Without one it waits until it is cancelled.
struct AnswerStep {
  base::Micros after{0};
  base::Result<engine::Delta> delta;
};

/// A service that keeps everything in memory and says what it was asked.
class FakeUseCases final : public UseCases {
 public:
  explicit FakeUseCases(runtime::Runtime& runtime) : runtime_(runtime) {}

  // Answers.
  service::Health health_now{.ready = true, .reasons = {}};
  std::vector<service::ModelView> model_list;
  std::map<std::string, std::string> contents;  ///< By file id; the file's other fields are fixed.
  std::optional<base::Error> fail;              ///< Of every call from now on.
  std::optional<base::Error> fail_append;
  std::optional<base::Error> fail_create;  ///< Of batches.
  std::string batch_input;                 ///< Of every batch that is made; "": what was asked for.
  size_t readable_bytes = SIZE_MAX;        ///< Reads behind this fail.
  bool has_more = false;
  std::deque<AnswerStep> steps;
  service::TaskView task;  ///< Of every call that answers with one.
  queue::Explanation explanation;
  std::vector<service::ClaimedWork> claimable;  ///< For every claim.
  std::vector<base::Result<>> outcomes;         ///< Of completions, failures and releases.
  std::vector<service::HeldReply> replies;
  /// Of a batch: each call takes the next one. Without one the call fails.
  std::deque<service::ResultsPage> pages;
  bool claims_wait = false;  ///< A claim waits until its client hangs up.

  // What was asked.
  service::Caller caller;
  std::optional<service::NewFile> finished;
  std::vector<size_t> appends;
  std::string uploaded;
  int uploads_alive = 0;
  std::optional<service::NewUpload> new_upload;
  std::optional<service::UploadCompletion> completion;
  std::optional<service::FileList> file_list;
  std::string id;
  std::optional<service::NewBatch> new_batch;
  std::string after;
  uint32_t limit = 0;
  std::optional<bool> paused;
  std::optional<service::BatchEdit> batch_edit;
  std::vector<service::ResultsRequest> reads;
  std::optional<service::OnlineRequest> online;
  std::optional<wire::TaskCreate> create;
  std::optional<model::Generation> generation;
  std::optional<service::TaskList> task_list;
  std::optional<service::TaskEdit> edit;
  std::optional<wire::TaskSelection> chosen;
  std::optional<wire::WorkerClaim> claim;
  std::optional<wire::RenewCall> renew;
  std::optional<wire::HeartbeatCall> beat;
  std::optional<wire::CompleteCall> complete;
  std::optional<wire::FailCall> failed;
  std::optional<wire::ReleaseCall> release;
  int cancels = 0;
  int answers_alive = 0;

  runtime::Runtime& runtime() override { return runtime_; }
  service::Health health() const override { return health_now; }
  const std::vector<service::ModelView>& models() const override { return model_list; }

  Awaitable<base::Result<std::shared_ptr<service::Upload>>> BeginUpload(
      runtime::Runtime& here, service::Caller who) override;
  Awaitable<base::Result<model::FileRecord>> FinishUpload(
      runtime::Runtime& here, service::Caller who, service::NewFile file,
      std::shared_ptr<service::Upload> upload) override;
  Awaitable<base::Result<model::FileRecord>> GetFile(runtime::Runtime& here, service::Caller who,
                                                     std::string which) override;
  Awaitable<base::Result<catalog::Page<model::FileRecord>>> ListFiles(
      runtime::Runtime& here, service::Caller who, service::FileList request) override;
  Awaitable<base::Result<>> DeleteFile(runtime::Runtime& here, service::Caller who,
                                       std::string which) override;
  Awaitable<base::Result<std::shared_ptr<service::Content>>> OpenContent(
      runtime::Runtime& here, service::Caller who, std::string which) override;
  Awaitable<base::Result<service::UploadView>> CreateUpload(runtime::Runtime& here,
                                                            service::Caller who,
                                                            service::NewUpload upload) override;
  Awaitable<base::Result<service::PartView>> FinishPart(
      runtime::Runtime& here, service::Caller who, std::string which,
      std::shared_ptr<service::Upload> bytes) override;
  Awaitable<base::Result<service::UploadView>> CompleteUpload(
      runtime::Runtime& here, service::Caller who, std::string which,
      service::UploadCompletion call) override;
  Awaitable<base::Result<service::UploadView>> CancelUpload(runtime::Runtime& here,
                                                            service::Caller who,
                                                            std::string which) override;
  Awaitable<base::Result<service::BatchView>> CreateBatch(runtime::Runtime& here,
                                                          service::Caller who,
                                                          service::NewBatch batch) override;
  Awaitable<base::Result<service::BatchView>> GetBatch(runtime::Runtime& here, service::Caller who,
                                                       std::string which) override;
  Awaitable<base::Result<catalog::Page<service::BatchView>>> ListBatches(runtime::Runtime& here,
                                                                         service::Caller who,
                                                                         std::string behind,
                                                                         uint32_t most) override;
  Awaitable<base::Result<service::BatchView>> CancelBatch(runtime::Runtime& here,
                                                          service::Caller who,
                                                          std::string which) override;
  Awaitable<base::Result<service::BatchView>> PauseBatch(runtime::Runtime& here,
                                                         service::Caller who, std::string which,
                                                         bool pause) override;
  Awaitable<base::Result<service::BatchView>> EditBatch(runtime::Runtime& here, service::Caller who,
                                                        service::BatchEdit change) override;
  Awaitable<base::Result<service::BatchView>> RetryBatch(runtime::Runtime& here,
                                                         service::Caller who,
                                                         std::string which) override;
  Awaitable<base::Result<service::ResultsPage>> ReadResults(
      runtime::Runtime& here, service::Caller who, service::ResultsRequest request) override;
  Awaitable<base::Result<model::FileRecord>> PutBlob(runtime::Runtime& here, service::Caller who,
                                                     std::string bytes) override;
  Awaitable<base::Result<model::FileRecord>> GetBlob(runtime::Runtime& here, service::Caller who,
                                                     std::string which) override;
  Awaitable<base::Result<catalog::Page<model::FileRecord>>> ListBlobs(runtime::Runtime& here,
                                                                      service::Caller who,
                                                                      std::string behind,
                                                                      uint32_t most) override;
  Awaitable<base::Result<>> DeleteBlob(runtime::Runtime& here, service::Caller who,
                                       std::string which) override;
  Awaitable<base::Result<catalog::Page<wire::DeliveryObject>>> ListDeliveries(
      runtime::Runtime& here, service::Caller who, std::string behind, uint32_t most) override;
  Awaitable<base::Result<std::shared_ptr<service::Answer>>> Generate(
      runtime::Runtime& here, service::Caller who, service::OnlineRequest request) override;

  Awaitable<base::Result<service::Submitted>> SubmitTasks(runtime::Runtime& here,
                                                          service::Caller who,
                                                          wire::TaskCreate create) override;
  Awaitable<base::Result<service::TaskView>> GetTask(
      runtime::Runtime& here, service::Caller who, std::string id,
      std::optional<model::Generation> generation) override;
  Awaitable<base::Result<service::TaskPage>> ListTasks(runtime::Runtime& here, service::Caller who,
                                                       service::TaskList request) override;
  Awaitable<base::Result<queue::Explanation>> ExplainTask(runtime::Runtime& here,
                                                          service::Caller who,
                                                          std::string id) override;
  Awaitable<base::Result<service::TaskView>> EditTask(runtime::Runtime& here, service::Caller who,
                                                      service::TaskEdit edit) override;
  Awaitable<base::Result<service::TaskView>> CancelTask(runtime::Runtime& here, service::Caller who,
                                                        std::string id) override;
  Awaitable<base::Result<uint64_t>> CancelTasks(runtime::Runtime& here, service::Caller who,
                                                wire::TaskSelection chosen) override;
  Awaitable<base::Result<service::TaskView>> RequeueTask(runtime::Runtime& here,
                                                         service::Caller who,
                                                         std::string id) override;
  Awaitable<base::Result<std::vector<service::ClaimedWork>>> ClaimTasks(
      runtime::Runtime& here, service::Caller who, wire::WorkerClaim call,
      service::HungUp gone) override;
  Awaitable<base::Result<std::vector<service::HeldReply>>> RenewTasks(
      runtime::Runtime& here, service::Caller who, wire::RenewCall call) override;
  Awaitable<base::Result<std::vector<service::HeldReply>>> Heartbeat(
      runtime::Runtime& here, service::Caller who, wire::HeartbeatCall call) override;
  Awaitable<base::Result<service::Completed>> CompleteTasks(runtime::Runtime& here,
                                                            service::Caller who,
                                                            wire::CompleteCall call,
                                                            service::HungUp gone) override;
  Awaitable<base::Result<std::vector<base::Result<>>>> FailTasks(runtime::Runtime& here,
                                                                 service::Caller who,
                                                                 wire::FailCall call) override;
  Awaitable<base::Result<std::vector<base::Result<>>>> ReleaseTasks(
      runtime::Runtime& here, service::Caller who, wire::ReleaseCall call) override;
  Awaitable<base::Result<std::vector<wire::WorkerObject>>> ListWorkers(
      runtime::Runtime& here, service::Caller who) override;

 private:
  base::Result<> Note(service::Caller who, std::string which = {});

  runtime::Runtime& runtime_;
};

/// An attempt's text, and its end.
engine::Delta Text(std::string text);
engine::Delta End(engine::FinishReason reason, engine::Usage usage = {});

}  // namespace inferq::api::testing
