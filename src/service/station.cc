#include "service/station.h"

#include "blob/dir_blob_store.h"
#include "service/answer_line.h"
#include "service/line_index.h"
#include "wire/batch_line.h"
#include "wire/image_blobs.h"

namespace inferq::service {

using namespace std::chrono_literals;
using base::Code;
using base::Result;

namespace {

constexpr base::Micros kHousekeeping = 30s;
constexpr base::Micros kHealthLook = 250ms;

}  // namespace

Station::Station(const ServiceEnvironment& environment, const ServiceOptions& options, IdMaker& ids,
                 LowOnRoom low_on_room, std::function<void()> on_change)
    : env_(environment),
      options_(options),
      ids_(ids),
      low_on_room_(std::move(low_on_room)),
      on_change_(std::move(on_change)),
      changed_(environment.runtime),
      scope_(environment.runtime) {}

Station::~Station() = default;

Awaitable<Result<>> Station::Serve() {
  Result<> opened = co_await Open();
  if (opened) {
    serving_ = true;
    env_.observer->StoreOpened();
    on_change_();
    StartHosts();
    webhooks_->Resume();
    batches_->Resume();
    scope_.Spawn(Housekeep());
    while (!drain_until_ && !failure_) {
      co_await changed_.WaitUntil(env_.runtime.clock().Steady() + kHealthLook);
      if (!queue_->healthy() || !catalog_->healthy()) Fail(co_await WhyBroken());
    }
    serving_ = false;
    on_change_();
  }
  co_await Close();
  if (opened) env_.observer->StoreClosed(failure_ ? failure_->message() : "");
  if (!opened) co_return opened;
  if (failure_) co_return std::unexpected(*failure_);
  co_return Result<>{};
}

// The failure that those get who ask: it tells a full disk from a broken one.
Awaitable<base::Error> Station::WhyBroken() {
  auto asked = co_await queue_->Query({.limit = 1});
  if (!asked) co_return asked.error();
  auto updated = co_await catalog_->Update([](catalog::Transaction&) { return Result<>(); });
  if (!updated) co_return updated.error();
  co_return base::Error(Code::kUnavailable, "the store does not take writes any more");
}

Awaitable<Result<>> Station::Open() {
  runtime::Runtime& runtime = env_.runtime;
  const std::string& directory = options_.directory;
  auto open_blobs = [fs = &env_.files, directory]() -> Result<std::shared_ptr<blob::BlobStore>> {
    INFERQ_TRY(fs->CreateDirectory(directory));
    INFERQ_TRY(fs->SyncDirectory(base::DirectoryOf(directory)));
    INFERQ_ASSIGN(auto store, blob::DirBlobStore::Open(*fs, directory + "/blobs"));
    return std::shared_ptr<blob::BlobStore>(std::move(store));
  };
  INFERQ_CO_ASSIGN(blobs_, co_await runtime.RunBlocking(runtime::kAnyLane, open_blobs));
  queue_ = env_.make_queue(directory + "/journal.db", ReadLinesFrom(blobs_));
  INFERQ_CO_TRY(co_await queue_->Open());
  catalog_ = env_.make_catalog(directory + "/catalog.db");
  INFERQ_CO_TRY(co_await catalog_->Open());
  INFERQ_CO_ASSIGN(results_, co_await ResultLog::Open(runtime, *blobs_, {}));
  refs_ = std::make_shared<BlobRefs>(runtime, blobs_);
  auto wake = [this](const std::string& model) { WakeModel(model); };
  auto offers = [models = &options_.models](const std::string& model) {
    return std::ranges::find(*models, model, &ModelSpec::name) != models->end();
  };
  files_ = std::make_unique<Files>(runtime, *catalog_, blobs_, refs_, ids_, low_on_room_,
                                   *env_.observer, options_.file_lifetime);
  uploads_ = std::make_unique<Uploads>(UploadEnvironment{.runtime = runtime,
                                                         .catalog = *catalog_,
                                                         .blobs = blobs_,
                                                         .refs = *refs_,
                                                         .ids = ids_,
                                                         .files = *files_,
                                                         .limits = options_.uploads,
                                                         .low_on_room = low_on_room_,
                                                         .observer = *env_.observer});
  images_ =
      std::make_unique<ImageBlobs>(runtime, *catalog_, blobs_, refs_, low_on_room_, options_.blobs);
  online_ = std::make_unique<Online>(runtime, *queue_,
                                     Online::Options{.max_attempts = options_.max_attempts}, wake);
  webhooks_ = std::make_unique<Webhooks>(runtime, *catalog_, options_.webhooks, env_.post_webhook,
                                         *env_.observer, env_.seed);
  batches_ = std::make_unique<Batches>(
      BatchEnvironment{.runtime = runtime,
                       .catalog = *catalog_,
                       .queue = *queue_,
                       .blobs = blobs_,
                       .refs = *refs_,
                       .ids = ids_,
                       .webhooks = *webhooks_,
                       .images = images_->index(),
                       .options = options_,
                       .observer = *env_.observer,
                       .offers_model = offers,
                       .wake = wake,
                       .store_failed = [this](base::Error error) { Fail(std::move(error)); }});
  batch_results_ = std::make_unique<BatchResults>(runtime, *catalog_, *queue_, blobs_, *refs_);
  INFERQ_CO_TRY(co_await OpenTasks());
  for (const auto& [tenant, policy] : options_.tenants) queue_->SetTenant(tenant, policy);
  files_->Adopt();
  uploads_->Adopt();
  images_->Adopt();
  batches_->Adopt();
  INFERQ_CO_TRY(co_await batches_->Readjust());
  INFERQ_CO_TRY(co_await refs_->Sweep());
  co_return Result<>{};
}

Awaitable<Result<>> Station::OpenTasks() {
  INFERQ_CO_ASSIGN(requests_,
                   co_await ResultLog::Open(env_.runtime, *blobs_,
                                            {.name = "requests", .lane = runtime::kRequestLane}));
  auto offers = [models = &options_.models](const std::string& model) {
    return std::ranges::find(*models, model, &ModelSpec::name) != models->end();
  };
  tasks_ = std::make_unique<Tasks>(
      TaskEnvironment{.runtime = env_.runtime,
                      .queue = *queue_,
                      .blobs = blobs_,
                      .requests = *requests_,
                      .observer = *env_.observer,
                      .offers_model = offers,
                      .wake = [this](const std::string& model) { WakeModel(model); }});
  workers_ = std::make_unique<Workers>(env_.runtime, *queue_, blobs_, *results_, *env_.observer,
                                       options_.workers);
  co_return Result<>{};
}

void Station::StartHosts() {
  for (const ModelSpec& spec : options_.models) {
    auto on_trouble = [this, name = spec.name] {
      if (const auto& trouble = hosts_[name]->trouble())
        online_->FailWaiting(name, base::Error(Code::kUnavailable, trouble->message()));
      on_change_();
    };
    TaskHandler& handler = *this;
    ModelHost::Options host{.idle_unload = options_.idle_unload};
    hosts_[spec.name] = std::make_unique<ModelHost>(env_.runtime, *queue_, handler, spec, host,
                                                    *env_.observer, on_trouble);
    scope_.Spawn(RunHost(hosts_[spec.name].get()));
  }
}

Awaitable<void> Station::RunHost(ModelHost* host) {
  auto ran = co_await host->Run();
  if (!ran) Fail(std::move(ran).error());
}

void Station::WakeModel(const std::string& model) {
  if (auto found = hosts_.find(model); found != hosts_.end()) found->second->Wake();
}

void Station::Drain(base::SteadyTime deadline) {
  drain_until_ = deadline;
  if (workers_) workers_->Drain();
  if (uploads_) uploads_->Stop();
  base::Error stopping(Code::kUnavailable, "The server is stopping; try again soon.");
  for (auto& [name, host] : hosts_) {
    host->Drain(deadline);
    online_->FailWaiting(name, stopping);  // nothing is begun any more
  }
  changed_.NotifyAll();
}

void Station::Fail(base::Error error) {
  if (!failure_) failure_ = std::move(error);
  changed_.NotifyAll();
}

void Station::Judge(const base::Error& error) {
  if (serving_ && (!queue_->healthy() || !catalog_->healthy())) Fail(error);
}

// Work first, then the answers that wait for it, then what is durable.
Awaitable<void> Station::Close() {
  base::SteadyTime now = env_.runtime.clock().Steady();
  for (auto& [name, host] : hosts_) host->Drain(failure_ ? now : drain_until_.value_or(now));
  if (uploads_) uploads_->Stop();
  if (batches_) co_await batches_->Stop();
  if (webhooks_) co_await webhooks_->Stop();
  if (failure_ && online_) co_await online_->Stop(*failure_);
  co_await scope_.Join();
  base::Error stopping(Code::kUnavailable, "The server is stopping; try again soon.");
  if (online_) co_await online_->Stop(std::move(stopping));
  if (queue_) (void)co_await queue_->Close();
  if (catalog_) (void)co_await catalog_->Close();
}

Awaitable<void> Station::Housekeep() {
  base::SteadyTime next = env_.runtime.clock().Steady();
  while (!drain_until_ && !failure_) {
    base::SteadyTime now = env_.runtime.clock().Steady();
    if (now >= next) {
      next = now + kHousekeeping;
      co_await ForgetOldRecords();
      co_await workers_->Sweep();
      co_await ReclaimLogs();
    }
    co_await changed_.WaitUntil(next);
  }
}

Awaitable<void> Station::ForgetOldRecords() {
  auto judge = [this](const Result<>& done) {
    if (!done) Judge(done.error());
  };
  judge(co_await files_->DeleteExpired());
  judge(co_await uploads_->Sweep());
  judge(co_await batches_->ForgetOldKeys());
  judge(co_await batches_->ReleaseRetries());
}

// Segments of the logs that no record points into any more.
Awaitable<void> Station::ReclaimLogs() {
  for (ResultLog* log : {results_.get(), requests_.get()}) {
    auto in_use = [this](blob::BlobId segment) { return queue_->UsesBlob(segment); };
    auto reclaimed = co_await log->Reclaim(in_use);
    if (!reclaimed) Judge(reclaimed.error());
  }
}

StationStats Station::stats() const {
  StationStats stats;
  stats.queue = queue_->Stats({});
  stats.online = online_->size();
  for (const auto& [name, host] : hosts_) {
    const DispatchCounters counters = host->counters();
    const engine::Capacity engine = host->engine_capacity();
    stats.models.push_back({.name = name,
                            .local = host->spec().local,
                            .loaded = host->loaded(),
                            .running = host->running(),
                            .waiting = queue_->Waiting(name),
                            .slots = host->spec().slots,
                            .micro_batches = counters.micro_batches,
                            .micro_batched = counters.micro_batched,
                            .pauses = counters.pauses,
                            .kv_tokens = engine.kv_tokens,
                            .kv_used = engine.kv_used});
  }
  return stats;
}

std::vector<std::string> Station::troubles() const {
  std::vector<std::string> all;
  for (const auto& [name, host] : hosts_) {
    if (host->trouble())
      all.push_back(fmt::format("model {}: {}", name, host->trouble()->message()));
  }
  return all;
}

// Images that a request names come in here, for the time that it runs.
Awaitable<Result<Work>> Station::Load(queue::ClaimedTask task) {
  std::string tenant = task.spec.tenant;
  INFERQ_CO_ASSIGN(Work work, co_await LoadRequest(std::move(task)));
  if (!wire::MayNameBlobs(work.request.body)) co_return work;
  auto show = [index = images_->index(), blobs = blobs_, tenant = std::move(tenant),
               body = std::move(work.request.body)]() mutable {
    return WithImages(*index, *blobs, tenant, std::move(body));
  };
  INFERQ_CO_ASSIGN(work.request.body,
                   co_await env_.runtime.RunBlocking(runtime::kAnyLane, std::move(show)));
  co_return work;
}

Awaitable<Result<Work>> Station::LoadRequest(queue::ClaimedTask task) {
  if (task.spec.ephemeral) co_return co_await online_->Load(std::move(task));
  if (Tasks::Owns(task.spec)) co_return co_await tasks_->Load(std::move(task));
  auto read = [blobs = blobs_, payload = task.spec.payload] { return blobs->Read(payload); };
  INFERQ_CO_ASSIGN(std::string text, co_await env_.runtime.RunBlocking(runtime::kAnyLane, read));
  auto line = wire::ParseBatchLine(text, {});
  if (!line) co_return base::Fail(Code::kDataLoss, "{}", line.error().message);
  Work work;
  work.custom_id = std::move(line->custom_id);
  work.request.id = AttemptId(task);
  work.request.endpoint = line->endpoint;
  work.request.body = line->body.text();
  work.request.model = task.spec.lane;
  work.request.traceparent = task.spec.traceparent;
  co_return work;
}

Awaitable<Result<engine::Delta>> Station::Collect(queue::ClaimedTask task,
                                                  engine::Generation& generation) {
  if (task.spec.ephemeral) return online_->Collect(std::move(task), generation);
  return engine::Collect(generation);
}

Awaitable<Result<model::Extent>> Station::StoreAnswer(queue::ClaimedTask task, Work work,
                                                      engine::Delta answer) {
  if (task.spec.ephemeral) {
    co_return co_await online_->StoreAnswer(std::move(task), std::move(work), std::move(answer));
  }
  if (Tasks::Owns(task.spec)) {
    co_return co_await AppendResult(task,
                                    tasks_->AnswerText(task, std::move(work), std::move(answer)));
  }
  std::string line = AnswerLine(task, work, std::move(answer), env_.runtime.clock().Wall());
  co_return co_await AppendResult(std::move(task), std::move(line));
}

Awaitable<Result<model::Extent>> Station::StoreError(queue::ClaimedTask task, base::Error error) {
  if (task.spec.ephemeral) {
    co_return co_await online_->StoreError(std::move(task), std::move(error));
  }
  if (Tasks::Owns(task.spec)) {
    co_return co_await AppendResult(task, Tasks::ErrorText(error));
  }
  auto read = [blobs = blobs_, payload = task.spec.payload] { return CustomIdOf(*blobs, payload); };
  INFERQ_CO_ASSIGN(std::string custom_id,
                   co_await env_.runtime.RunBlocking(runtime::kAnyLane, read));
  std::string line = ErrorLine(task, custom_id, error);
  co_return co_await AppendResult(std::move(task), std::move(line));
}

// The segment of the log stays until Settled: the record does not point to it before.
Awaitable<Result<model::Extent>> Station::AppendResult(queue::ClaimedTask task, std::string line) {
  INFERQ_CO_ASSIGN(model::Extent extent, co_await results_->Append(std::move(line)));
  unrecorded_[{task.id, task.fence}] = extent;
  co_return extent;
}

Awaitable<void> Station::Settled(queue::ClaimedTask task, Attempt attempt) {
  env_.observer->AttemptEnded(task, attempt);
  if (task.spec.ephemeral) co_return co_await online_->Settled(std::move(task), attempt);
  auto appended = unrecorded_.extract({task.id, task.fence});
  if (appended) results_->Recorded(appended.mapped());
  if (attempt.result == Attempt::Result::kSucceeded)
    batches_->LineSucceeded(task.spec.batch, task.spec.cost, attempt.took);
  batches_->TaskSettled(task.spec.batch);
}

}  // namespace inferq::service
