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

  Awaitable<Result<std::shared_ptr<service::Answer>>> Generate(
      Runtime& here, Caller caller, service::OnlineRequest request) override {
    return CallOn(
        here, runtime(),
        [&service = service_, caller = std::move(caller), request = std::move(request)]() mutable {
          return service.Generate(caller, std::move(request));
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
