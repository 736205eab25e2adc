#pragma once

#include <memory>
#include <string>
#include <vector>

#include "service/service.h"

namespace inferq::api {

using runtime::Awaitable;

/// The service as the routes see it: the same calls, from any loop. `here` is the caller's, where
/// they resume.
class UseCases {
 public:
  virtual ~UseCases() = default;

  /// Whose strand an Answer's calls belong on.
  virtual runtime::Runtime& runtime() = 0;
  /// Any thread.
  virtual service::Health health() const = 0;
  /// Any thread; never changes.
  virtual const std::vector<service::ModelView>& models() const = 0;

  virtual Awaitable<base::Result<std::shared_ptr<service::Upload>>> BeginUpload(
      runtime::Runtime& here, service::Caller caller) = 0;
  virtual Awaitable<base::Result<model::FileRecord>> FinishUpload(
      runtime::Runtime& here, service::Caller caller, service::NewFile file,
      std::shared_ptr<service::Upload> upload) = 0;
  virtual Awaitable<base::Result<model::FileRecord>> GetFile(runtime::Runtime& here,
                                                             service::Caller caller,
                                                             std::string id) = 0;
  virtual Awaitable<base::Result<catalog::Page<model::FileRecord>>> ListFiles(
      runtime::Runtime& here, service::Caller caller, service::FileList request) = 0;
  virtual Awaitable<base::Result<>> DeleteFile(runtime::Runtime& here, service::Caller caller,
                                               std::string id) = 0;
  virtual Awaitable<base::Result<std::shared_ptr<service::Content>>> OpenContent(
      runtime::Runtime& here, service::Caller caller, std::string id) = 0;

  virtual Awaitable<base::Result<service::UploadView>> CreateUpload(runtime::Runtime& here,
                                                                    service::Caller caller,
                                                                    service::NewUpload upload) = 0;
  virtual Awaitable<base::Result<service::PartView>> FinishPart(
      runtime::Runtime& here, service::Caller caller, std::string id,
      std::shared_ptr<service::Upload> bytes) = 0;
  virtual Awaitable<base::Result<service::UploadView>> CompleteUpload(
      runtime::Runtime& here, service::Caller caller, std::string id,
      service::UploadCompletion call) = 0;
  virtual Awaitable<base::Result<service::UploadView>> CancelUpload(runtime::Runtime& here,
                                                                    service::Caller caller,
                                                                    std::string id) = 0;

  virtual Awaitable<base::Result<service::BatchView>> CreateBatch(runtime::Runtime& here,
                                                                  service::Caller caller,
                                                                  service::NewBatch batch) = 0;
  virtual Awaitable<base::Result<service::BatchView>> GetBatch(runtime::Runtime& here,
                                                               service::Caller caller,
                                                               std::string id) = 0;
  virtual Awaitable<base::Result<catalog::Page<service::BatchView>>> ListBatches(
      runtime::Runtime& here, service::Caller caller, std::string after, uint32_t limit) = 0;
  virtual Awaitable<base::Result<service::BatchView>> CancelBatch(runtime::Runtime& here,
                                                                  service::Caller caller,
                                                                  std::string id) = 0;
  virtual Awaitable<base::Result<service::BatchView>> PauseBatch(runtime::Runtime& here,
                                                                 service::Caller caller,
                                                                 std::string id, bool paused) = 0;
  virtual Awaitable<base::Result<service::BatchView>> EditBatch(runtime::Runtime& here,
                                                                service::Caller caller,
                                                                service::BatchEdit edit) = 0;
  virtual Awaitable<base::Result<service::BatchView>> RetryBatch(runtime::Runtime& here,
                                                                 service::Caller caller,
                                                                 std::string id) = 0;
  virtual Awaitable<base::Result<service::ResultsPage>> ReadResults(
      runtime::Runtime& here, service::Caller caller, service::ResultsRequest request) = 0;

  virtual Awaitable<base::Result<model::FileRecord>> PutBlob(runtime::Runtime& here,
                                                             service::Caller caller,
                                                             std::string bytes) = 0;
  virtual Awaitable<base::Result<model::FileRecord>> GetBlob(runtime::Runtime& here,
                                                             service::Caller caller,
                                                             std::string id) = 0;
  virtual Awaitable<base::Result<catalog::Page<model::FileRecord>>> ListBlobs(
      runtime::Runtime& here, service::Caller caller, std::string after, uint32_t limit) = 0;
  virtual Awaitable<base::Result<>> DeleteBlob(runtime::Runtime& here, service::Caller caller,
                                               std::string id) = 0;
  virtual Awaitable<base::Result<catalog::Page<wire::DeliveryObject>>> ListDeliveries(
      runtime::Runtime& here, service::Caller caller, std::string after, uint32_t limit) = 0;
  virtual Awaitable<base::Result<std::shared_ptr<service::Answer>>> Generate(
      runtime::Runtime& here, service::Caller caller, service::OnlineRequest request) = 0;

  virtual Awaitable<base::Result<service::Submitted>> SubmitTasks(runtime::Runtime& here,
                                                                  service::Caller caller,
                                                                  wire::TaskCreate create) = 0;
  virtual Awaitable<base::Result<service::TaskView>> GetTask(
      runtime::Runtime& here, service::Caller caller, std::string id,
      std::optional<model::Generation> generation) = 0;
  virtual Awaitable<base::Result<service::TaskPage>> ListTasks(runtime::Runtime& here,
                                                               service::Caller caller,
                                                               service::TaskList request) = 0;
  virtual Awaitable<base::Result<queue::Explanation>> ExplainTask(runtime::Runtime& here,
                                                                  service::Caller caller,
                                                                  std::string id) = 0;
  virtual Awaitable<base::Result<service::TaskView>> EditTask(runtime::Runtime& here,
                                                              service::Caller caller,
                                                              service::TaskEdit edit) = 0;
  virtual Awaitable<base::Result<service::TaskView>> CancelTask(runtime::Runtime& here,
                                                                service::Caller caller,
                                                                std::string id) = 0;
  virtual Awaitable<base::Result<uint64_t>> CancelTasks(runtime::Runtime& here,
                                                        service::Caller caller,
                                                        wire::TaskSelection chosen) = 0;
  virtual Awaitable<base::Result<service::TaskView>> RequeueTask(runtime::Runtime& here,
                                                                 service::Caller caller,
                                                                 std::string id) = 0;
  virtual Awaitable<base::Result<std::vector<service::ClaimedWork>>> ClaimTasks(
      runtime::Runtime& here, service::Caller caller, wire::WorkerClaim call,
      service::HungUp gone) = 0;
  virtual Awaitable<base::Result<std::vector<service::HeldReply>>> RenewTasks(
      runtime::Runtime& here, service::Caller caller, wire::RenewCall call) = 0;
  virtual Awaitable<base::Result<std::vector<service::HeldReply>>> Heartbeat(
      runtime::Runtime& here, service::Caller caller, wire::HeartbeatCall call) = 0;
  virtual Awaitable<base::Result<service::Completed>> CompleteTasks(runtime::Runtime& here,
                                                                    service::Caller caller,
                                                                    wire::CompleteCall call,
                                                                    service::HungUp gone) = 0;
  virtual Awaitable<base::Result<std::vector<base::Result<>>>> FailTasks(runtime::Runtime& here,
                                                                         service::Caller caller,
                                                                         wire::FailCall call) = 0;
  virtual Awaitable<base::Result<std::vector<base::Result<>>>> ReleaseTasks(
      runtime::Runtime& here, service::Caller caller, wire::ReleaseCall call) = 0;
  virtual Awaitable<base::Result<std::vector<wire::WorkerObject>>> ListWorkers(
      runtime::Runtime& here, service::Caller caller) = 0;
};

/// Those of a service, which outlives it.
std::unique_ptr<UseCases> MakeUseCases(service::Service& service);

}  // namespace inferq::api
