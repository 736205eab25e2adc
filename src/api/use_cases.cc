#include "api/use_cases.h"

#include "runtime/call_on.h"

namespace inferq::api {

namespace {

using base::Result;
using runtime::CallOn;
using runtime::Runtime;
using service::Caller;

/// Hops to the service's strand and back, for each call.
class ServiceUseCases final : public UseCases {
 public:
  explicit ServiceUseCases(service::Service& service) : service_(service) {}

  Runtime& runtime() override { return service_.runtime(); }
  service::Health health() const override { return service_.health(); }
  const std::vector<service::ModelView>& models() const override { return service_.models(); }

  Awaitable<Result<std::shared_ptr<service::Upload>>> BeginUpload(Runtime& here,
                                                                  Caller caller) override {
    return CallOn(here, runtime(), [&service = service_, caller = std::move(caller)] {
      return service.BeginUpload(caller);
    });
  }
  Awaitable<Result<model::FileRecord>> FinishUpload(
      Runtime& here, Caller caller, service::NewFile file,
      std::shared_ptr<service::Upload> upload) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), file = std::move(file),
                   upload = std::move(upload)]() mutable {
                    return service.FinishUpload(caller, std::move(file), std::move(upload));
                  });
  }
  Awaitable<Result<model::FileRecord>> GetFile(Runtime& here, Caller caller,
                                               std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)] {
                    return service.GetFile(caller, id);
                  });
  }
  Awaitable<Result<catalog::Page<model::FileRecord>>> ListFiles(
      Runtime& here, Caller caller, service::FileList request) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), request = std::move(request)] {
                    return service.ListFiles(caller, request);
                  });
  }
  Awaitable<Result<>> DeleteFile(Runtime& here, Caller caller, std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)] {
                    return service.DeleteFile(caller, id);
                  });
  }
  Awaitable<Result<std::shared_ptr<service::Content>>> OpenContent(Runtime& here, Caller caller,
                                                                   std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)] {
                    return service.OpenContent(caller, id);
                  });
  }

  Awaitable<Result<service::UploadView>> CreateUpload(Runtime& here, Caller caller,
                                                      service::NewUpload upload) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), upload = std::move(upload)] {
                    return service.CreateUpload(caller, upload);
                  });
  }
  Awaitable<Result<service::PartView>> FinishPart(Runtime& here, Caller caller, std::string id,
                                                  std::shared_ptr<service::Upload> bytes) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id),
                   bytes = std::move(bytes)]() mutable {
                    return service.FinishPart(caller, id, std::move(bytes));
                  });
  }
  Awaitable<Result<service::UploadView>> CompleteUpload(Runtime& here, Caller caller,
                                                        std::string id,
                                                        service::UploadCompletion call) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id),
                   call = std::move(call)] { return service.CompleteUpload(caller, id, call); });
  }
  Awaitable<Result<service::UploadView>> CancelUpload(Runtime& here, Caller caller,
                                                      std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)] {
                    return service.CancelUpload(caller, id);
                  });
  }

  Awaitable<Result<service::BatchView>> CreateBatch(Runtime& here, Caller caller,
                                                    service::NewBatch batch) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), batch = std::move(batch)] {
                    return service.CreateBatch(caller, batch);
                  });
  }
  Awaitable<Result<service::BatchView>> GetBatch(Runtime& here, Caller caller,
                                                 std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)] {
                    return service.GetBatch(caller, id);
                  });
  }
  Awaitable<Result<catalog::Page<service::BatchView>>> ListBatches(Runtime& here, Caller caller,
                                                                   std::string after,
                                                                   uint32_t limit) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), after = std::move(after),
                   limit] { return service.ListBatches(caller, after, limit); });
  }
  Awaitable<Result<service::BatchView>> CancelBatch(Runtime& here, Caller caller,
                                                    std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)] {
                    return service.CancelBatch(caller, id);
                  });
  }

  Awaitable<Result<service::BatchView>> PauseBatch(Runtime& here, Caller caller, std::string id,
                                                   bool paused) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id), paused] {
                    return service.PauseBatch(caller, id, paused);
                  });
  }
  Awaitable<Result<service::BatchView>> EditBatch(Runtime& here, Caller caller,
                                                  service::BatchEdit edit) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), edit = std::move(edit)] {
                    return service.EditBatch(caller, edit);
                  });
  }
  Awaitable<Result<service::BatchView>> RetryBatch(Runtime& here, Caller caller,
                                                   std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)] {
                    return service.RetryBatch(caller, id);
                  });
  }
  Awaitable<Result<service::ResultsPage>> ReadResults(Runtime& here, Caller caller,
                                                      service::ResultsRequest request) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), request = std::move(request)] {
                    return service.ReadResults(caller, request);
                  });
  }

  Awaitable<Result<model::FileRecord>> PutBlob(Runtime& here, Caller caller,
                                               std::string bytes) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), bytes = std::move(bytes)]() mutable {
          return service.PutBlob(std::move(caller), std::move(bytes));
        });
  }
  Awaitable<Result<model::FileRecord>> GetBlob(Runtime& here, Caller caller,
                                               std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)] {
                    return service.GetBlob(caller, id);
                  });
  }
  Awaitable<Result<catalog::Page<model::FileRecord>>> ListBlobs(Runtime& here, Caller caller,
                                                                std::string after,
                                                                uint32_t limit) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), after = std::move(after),
                   limit] { return service.ListBlobs(caller, after, limit); });
  }
  Awaitable<Result<>> DeleteBlob(Runtime& here, Caller caller, std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)] {
                    return service.DeleteBlob(caller, id);
                  });
  }

  Awaitable<Result<catalog::Page<wire::DeliveryObject>>> ListDeliveries(Runtime& here,
                                                                        Caller caller,
                                                                        std::string after,
                                                                        uint32_t limit) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), after = std::move(after),
                   limit] { return service.ListDeliveries(caller, after, limit); });
  }

  Awaitable<Result<std::shared_ptr<service::Answer>>> Generate(
      Runtime& here, Caller caller, service::OnlineRequest request) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), request = std::move(request)]() mutable {
          return service.Generate(caller, std::move(request));
        });
  }

  Awaitable<Result<service::Submitted>> SubmitTasks(Runtime& here, Caller caller,
                                                    wire::TaskCreate create) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), create = std::move(create)]() mutable {
          return service.SubmitTasks(std::move(caller), std::move(create));
        });
  }
  Awaitable<Result<service::TaskView>> GetTask(
      Runtime& here, Caller caller, std::string id,
      std::optional<model::Generation> generation) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id),
                   generation]() mutable {
                    return service.GetTask(std::move(caller), std::move(id), generation);
                  });
  }
  Awaitable<Result<service::TaskPage>> ListTasks(Runtime& here, Caller caller,
                                                 service::TaskList request) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), request = std::move(request)]() mutable {
          return service.ListTasks(std::move(caller), std::move(request));
        });
  }
  Awaitable<Result<queue::Explanation>> ExplainTask(Runtime& here, Caller caller,
                                                    std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)]() mutable {
                    return service.ExplainTask(std::move(caller), std::move(id));
                  });
  }
  Awaitable<Result<service::TaskView>> EditTask(Runtime& here, Caller caller,
                                                service::TaskEdit edit) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), edit = std::move(edit)]() mutable {
          return service.EditTask(std::move(caller), std::move(edit));
        });
  }
  Awaitable<Result<service::TaskView>> CancelTask(Runtime& here, Caller caller,
                                                  std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)]() mutable {
                    return service.CancelTask(std::move(caller), std::move(id));
                  });
  }
  Awaitable<Result<uint64_t>> CancelTasks(Runtime& here, Caller caller,
                                          wire::TaskSelection chosen) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), chosen = std::move(chosen)]() mutable {
          return service.CancelTasks(std::move(caller), std::move(chosen));
        });
  }
  Awaitable<Result<service::TaskView>> RequeueTask(Runtime& here, Caller caller,
                                                   std::string id) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), id = std::move(id)]() mutable {
                    return service.RequeueTask(std::move(caller), std::move(id));
                  });
  }
  Awaitable<Result<std::vector<service::ClaimedWork>>> ClaimTasks(Runtime& here, Caller caller,
                                                                  wire::WorkerClaim call,
                                                                  service::HungUp gone) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), call = std::move(call),
                   gone = std::move(gone)]() mutable {
                    return service.ClaimTasks(std::move(caller), std::move(call), std::move(gone));
                  });
  }
  Awaitable<Result<std::vector<service::HeldReply>>> RenewTasks(Runtime& here, Caller caller,
                                                                wire::RenewCall call) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), call = std::move(call)]() mutable {
          return service.RenewTasks(std::move(caller), std::move(call));
        });
  }
  Awaitable<Result<std::vector<service::HeldReply>>> Heartbeat(Runtime& here, Caller caller,
                                                               wire::HeartbeatCall call) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), call = std::move(call)]() mutable {
          return service.Heartbeat(std::move(caller), std::move(call));
        });
  }
  Awaitable<Result<service::Completed>> CompleteTasks(Runtime& here, Caller caller,
                                                      wire::CompleteCall call,
                                                      service::HungUp gone) override {
    return CallOn(here, runtime(),
                  [&service = service_, caller = std::move(caller), call = std::move(call),
                   gone = std::move(gone)]() mutable {
                    return service.CompleteTasks(std::move(caller), std::move(call),
                                                 std::move(gone));
                  });
  }
  Awaitable<Result<std::vector<base::Result<>>>> FailTasks(Runtime& here, Caller caller,
                                                           wire::FailCall call) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), call = std::move(call)]() mutable {
          return service.FailTasks(std::move(caller), std::move(call));
        });
  }
  Awaitable<Result<std::vector<base::Result<>>>> ReleaseTasks(Runtime& here, Caller caller,
                                                              wire::ReleaseCall call) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), call = std::move(call)]() mutable {
          return service.ReleaseTasks(std::move(caller), std::move(call));
        });
  }
  Awaitable<Result<std::vector<wire::WorkerObject>>> ListWorkers(Runtime& here,
                                                                 Caller caller) override {
    return CallOn(here, runtime(), [&service = service_, caller = std::move(caller)]() mutable {
      return service.ListWorkers(std::move(caller));
    });
  }

 private:
  service::Service& service_;
};

}  // namespace

std::unique_ptr<UseCases> MakeUseCases(service::Service& service) {
  return std::make_unique<ServiceUseCases>(service);
}

}  // namespace inferq::api
