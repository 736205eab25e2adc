#include "service/service.h"

#include <algorithm>

#include "base/mutex.h"
#include "service/station.h"

namespace inferq::service {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using model::FileRecord;

namespace {

constexpr base::Micros kLongestRoomPause = 30s;

base::Error NotServing(const std::string& why) {
  return base::Error(Code::kUnavailable, "The server takes no requests now: " + why)
      .WithRetryAfter(2s);
}

}  // namespace

class Service::Impl {
 public:
  Impl(ServiceEnvironment environment, ServiceOptions options)
      : env_(std::move(environment)),
        options_(std::move(options)),
        ids_(env_.seed),
        changed_(env_.runtime) {
    for (const ModelSpec& model : options_.models) {
      models_.push_back({model.name, model.owner, model.since, model.local});
    }
    Publish();
  }

  Awaitable<Result<>> Run();
  void Drain(base::SteadyTime deadline);
  Health health() const {
    base::MutexLock lock(mu_);
    return health_;
  }
  runtime::Runtime& runtime() { return env_.runtime; }
  const std::vector<ModelView>& models() const { return models_; }

  /// The open store, for a call that adds nothing.
  Result<std::shared_ptr<Station>> Open() const;
  /// The same, for a call that adds something: not while stopping or short of room.
  Result<std::shared_ptr<Station>> OpenForMore() const;
  /// Hands the answer of a call on; a failure may tell that the store is broken.
  template <class T>
  Result<T> Checked(Station& station, Result<T> result);

 private:
  Awaitable<void> WatchRoom();
  Awaitable<Result<bool>> HasRoom();
  Awaitable<void> AwaitRoom(base::Micros pause);
  void Publish();
  bool draining() const { return drain_until_.has_value(); }

  const ServiceEnvironment env_;
  const ServiceOptions options_;
  std::vector<ModelView> models_;
  IdMaker ids_;
  runtime::Event changed_;
  std::shared_ptr<Station> station_;
  std::optional<base::SteadyTime> drain_until_;
  bool ended_ = false;
  std::shared_ptr<std::atomic<bool>> low_on_room_ = std::make_shared<std::atomic<bool>>(false);
  std::string closed_because_ = "it is starting";

  mutable base::Mutex mu_;
  Health health_ GUARDED_BY(mu_);
};

Awaitable<Result<>> Service::Impl::Run() {
  runtime::Scope helpers(env_.runtime);
  helpers.Spawn(WatchRoom());
  Result<> served;
  base::Micros pause = options_.room_check;
  while (!draining()) {
    station_ = std::make_shared<Station>(env_, options_, ids_, low_on_room_, [this] { Publish(); });
    base::SteadyTime began = env_.runtime.clock().Steady();
    served = co_await station_->Serve();
    closed_because_ = served ? "it is stopping" : served.error().message();
    // Calls under way still hold it; the store itself is closed.
    std::weak_ptr<Station> closed = std::exchange(station_, nullptr);
    Publish();
    while (!closed.expired()) co_await env_.runtime.SleepFor(10ms);
    if (served || served.error().code() != Code::kResourceExhausted) break;
    if (env_.runtime.clock().Steady() - began > kLongestRoomPause) pause = options_.room_check;
    co_await AwaitRoom(pause);
    pause = std::min(pause * 2, kLongestRoomPause);
  }
  ended_ = true;
  changed_.NotifyAll();
  co_await helpers.Join();
  if (draining()) co_return Result<>{};
  co_return served;
}

void Service::Impl::Drain(base::SteadyTime deadline) {
  drain_until_ = deadline;
  if (station_) station_->Drain(deadline);
  Publish();
  changed_.NotifyAll();
}

Awaitable<Result<bool>> Service::Impl::HasRoom() {
  if (!env_.free_bytes) co_return true;
  INFERQ_CO_ASSIGN(uint64_t free,
                   co_await env_.runtime.RunBlocking(runtime::kAnyLane, env_.free_bytes));
  co_return free >= options_.min_free_bytes;
}

// Stops taking work before the disk is quite full, so that what was taken can still be finished.
Awaitable<void> Service::Impl::WatchRoom() {
  while (!ended_ && !draining()) {
    auto room = co_await HasRoom();
    bool low = room && !*room;
    if (low_on_room_->exchange(low) != low) changed_.NotifyAll();
    Publish();
    base::SteadyTime next = env_.runtime.clock().Steady() + options_.room_check;
    while (!ended_ && !draining() && env_.runtime.clock().Steady() < next) {
      co_await changed_.WaitUntil(next);
    }
  }
}

// The disk was full: after a pause, and once there is as much room as it takes.
Awaitable<void> Service::Impl::AwaitRoom(base::Micros pause) {
  base::SteadyTime until = env_.runtime.clock().Steady() + pause;
  while (!draining() && (*low_on_room_ || env_.runtime.clock().Steady() < until)) {
    if (*low_on_room_) until = env_.runtime.clock().Steady() + pause;
    co_await changed_.WaitUntil(until);
  }
}

void Service::Impl::Publish() {
  Health now;
  if (draining()) now.reasons.push_back("stopping: running work is being finished");
  if (!draining() && (!station_ || !station_->serving())) now.reasons.push_back(closed_because_);
  if (*low_on_room_) {
    now.reasons.push_back(fmt::format("the disk has less than {} MiB left: nothing new is taken",
                                      options_.min_free_bytes >> 20));
  }
  now.ready = now.reasons.empty();
  if (station_) std::ranges::move(station_->troubles(), std::back_inserter(now.reasons));
  base::MutexLock lock(mu_);
  health_ = std::move(now);
}

Result<std::shared_ptr<Station>> Service::Impl::Open() const {
  if (!station_ || !station_->serving()) return std::unexpected(NotServing(closed_because_));
  return station_;
}

Result<std::shared_ptr<Station>> Service::Impl::OpenForMore() const {
  if (draining()) return std::unexpected(NotServing("it is stopping"));
  if (*low_on_room_) return std::unexpected(NotServing("the disk is full"));
  return Open();
}

template <class T>
Result<T> Service::Impl::Checked(Station& station, Result<T> result) {
  if (result) return result;
  station.Judge(result.error());
  // A full disk is no fault of the request: the same one will do later.
  if (station.serving() || result.error().code() != Code::kResourceExhausted) return result;
  return std::unexpected(NotServing(result.error().message()));
}

Service::Service(ServiceEnvironment environment, ServiceOptions options)
    : impl_(std::make_unique<Impl>(std::move(environment), std::move(options))) {}

Service::~Service() = default;

Awaitable<Result<>> Service::Run() { return impl_->Run(); }
void Service::Drain(base::SteadyTime deadline) { impl_->Drain(deadline); }
std::optional<StationStats> Service::stats() const {
  auto station = impl_->Open();
  return station ? std::optional((*station)->stats()) : std::nullopt;
}
Health Service::health() const { return impl_->health(); }
runtime::Runtime& Service::runtime() { return impl_->runtime(); }
const std::vector<ModelView>& Service::models() const { return impl_->models(); }

Awaitable<Result<std::shared_ptr<Upload>>> Service::BeginUpload(Caller) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->files().BeginUpload());
}

Awaitable<Result<FileRecord>> Service::FinishUpload(Caller caller, NewFile file,
                                                    std::shared_ptr<Upload> upload) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->files().FinishUpload(caller, file, upload));
}

Awaitable<Result<FileRecord>> Service::GetFile(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return station->files().Get(caller, id);
}

Awaitable<Result<catalog::Page<FileRecord>>> Service::ListFiles(Caller caller, FileList request) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return station->files().List(caller, request);
}

Awaitable<Result<>> Service::DeleteFile(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->files().Delete(caller, id));
}

Awaitable<Result<std::shared_ptr<Content>>> Service::OpenContent(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return station->files().Open(caller, id);
}

Awaitable<Result<UploadView>> Service::CreateUpload(Caller caller, NewUpload upload) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->uploads().Create(caller, upload));
}

Awaitable<Result<PartView>> Service::FinishPart(Caller caller, std::string id,
                                                std::shared_ptr<Upload> bytes) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->uploads().AddPart(caller, id, bytes));
}

Awaitable<Result<UploadView>> Service::CompleteUpload(Caller caller, std::string id,
                                                      UploadCompletion call) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->uploads().Complete(caller, id, call));
}

Awaitable<Result<UploadView>> Service::CancelUpload(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->uploads().Cancel(caller, id));
}

Awaitable<Result<FileRecord>> Service::PutBlob(Caller caller, std::string bytes) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->images().Put(caller, std::move(bytes)));
}

Awaitable<Result<FileRecord>> Service::GetBlob(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return station->images().Get(caller, id);
}

Awaitable<Result<catalog::Page<FileRecord>>> Service::ListBlobs(Caller caller, std::string after,
                                                                uint32_t limit) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return station->images().List(caller, after, limit);
}

Awaitable<Result<>> Service::DeleteBlob(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->images().Delete(caller, id));
}

Awaitable<Result<BatchView>> Service::CreateBatch(Caller caller, NewBatch batch) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->batches().Create(caller, batch));
}

Awaitable<Result<BatchView>> Service::GetBatch(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return station->batches().Get(caller, id);
}

Awaitable<Result<catalog::Page<BatchView>>> Service::ListBatches(Caller caller, std::string after,
                                                                 uint32_t limit) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return station->batches().List(caller, after, limit);
}

Awaitable<Result<BatchView>> Service::CancelBatch(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->batches().Cancel(caller, id));
}

Awaitable<Result<BatchView>> Service::PauseBatch(Caller caller, std::string id, bool paused) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->batches().SetPaused(caller, id, paused));
}

Awaitable<Result<BatchView>> Service::EditBatch(Caller caller, BatchEdit edit) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->batches().Edit(caller, edit));
}

Awaitable<Result<BatchView>> Service::RetryBatch(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->batches().Retry(caller, id));
}

Awaitable<Result<ResultsPage>> Service::ReadResults(Caller caller, ResultsRequest request) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->results().Read(caller, request));
}

Awaitable<Result<catalog::Page<wire::DeliveryObject>>> Service::ListDeliveries(Caller caller,
                                                                               std::string after,
                                                                               uint32_t limit) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return station->webhooks().List(caller, after, limit);
}

Awaitable<Result<std::shared_ptr<Answer>>> Service::Generate(Caller caller, OnlineRequest request) {
  bool offered = std::ranges::any_of(
      models(), [&](const ModelView& model) { return model.name == request.model; });
  if (!offered) {
    co_return std::unexpected(
        base::Error(Code::kNotFound,
                    fmt::format("The model '{}' does not exist or you do not have access to it.",
                                request.model))
            .WithParam("model"));
  }
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->online().Generate(caller, request));
}

Awaitable<Result<Submitted>> Service::SubmitTasks(Caller caller, wire::TaskCreate create) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station,
                           co_await station->tasks().Submit(std::move(caller), std::move(create)));
}

Awaitable<Result<TaskView>> Service::GetTask(Caller caller, std::string id,
                                             std::optional<model::Generation> generation) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->tasks().Get(caller, id, generation));
}

Awaitable<Result<TaskPage>> Service::ListTasks(Caller caller, TaskList request) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->tasks().List(caller, request));
}

Awaitable<Result<queue::Explanation>> Service::ExplainTask(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->tasks().Explain(caller, id));
}

Awaitable<Result<TaskView>> Service::EditTask(Caller caller, TaskEdit edit) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->tasks().Edit(caller, edit));
}

Awaitable<Result<TaskView>> Service::CancelTask(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->tasks().Cancel(caller, id));
}

Awaitable<Result<uint64_t>> Service::CancelTasks(Caller caller, wire::TaskSelection chosen) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station, co_await station->tasks().CancelWhere(caller, chosen));
}

Awaitable<Result<TaskView>> Service::RequeueTask(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(*station, co_await station->tasks().Requeue(caller, id));
}

Awaitable<Result<std::vector<ClaimedWork>>> Service::ClaimTasks(Caller caller,
                                                                wire::WorkerClaim call,
                                                                HungUp gone) {
  INFERQ_CO_ASSIGN(auto station, impl_->OpenForMore());
  co_return impl_->Checked(
      *station, co_await station->workers().Claim(std::move(caller), std::move(call), gone));
}

Awaitable<Result<std::vector<HeldReply>>> Service::RenewTasks(Caller caller, wire::RenewCall call) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return co_await station->workers().Renew(std::move(caller), std::move(call));
}

Awaitable<Result<std::vector<HeldReply>>> Service::Heartbeat(Caller caller,
                                                             wire::HeartbeatCall call) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return co_await station->workers().Heartbeat(std::move(caller), std::move(call));
}

Awaitable<Result<Completed>> Service::CompleteTasks(Caller caller, wire::CompleteCall call,
                                                    HungUp gone) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(
      *station, co_await station->workers().Complete(std::move(caller), std::move(call), gone));
}

Awaitable<Result<std::vector<Result<>>>> Service::FailTasks(Caller caller, wire::FailCall call) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return impl_->Checked(*station,
                           co_await station->workers().Fail(std::move(caller), std::move(call)));
}

Awaitable<Result<std::vector<Result<>>>> Service::ReleaseTasks(Caller caller,
                                                               wire::ReleaseCall call) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return co_await station->workers().Release(std::move(caller), std::move(call));
}

Awaitable<Result<std::vector<wire::WorkerObject>>> Service::ListWorkers(Caller caller) {
  INFERQ_CO_ASSIGN(auto station, impl_->Open());
  co_return station->workers().List(caller);
}

}  // namespace inferq::service
