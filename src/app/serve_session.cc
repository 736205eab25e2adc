#include "app/serve_session.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "app/exit_code.h"
#include "app/serve_models.h"
#include "app/version.h"
#include "base/rng.h"
#include "catalog/sqlite_catalog.h"
#include "obs/trace.h"
#include "queue/local/local_queue.h"
#include "queue/local/sqlite_journal.h"
#include "runtime/call_on.h"
#include "runtime/signals.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using runtime::Awaitable;

namespace {

constexpr base::Micros kSampleEvery = 200ms;
constexpr uint64_t kKeptForOnline = 20'000;  // places in the queue that batches cannot take
constexpr base::Micros kLastWords = 2s;      // for answers under way when the service has ended
constexpr std::string_view kNoModel =
    "  model   none: only tasks of external workers can run. Put a GGUF file into ./models "
    "(models.directory), or\n          name models in [[model]] tables of the configuration "
    "(docs/config.md)\n";

std::unique_ptr<obs::Logger> MakeLogger(const ServeOptions& options) {
  obs::LogOptions log;
  log.min = options.log_level;
  bool text = options.log_format == LogFormat::kText ||
              (options.log_format == LogFormat::kAuto && ::isatty(STDERR_FILENO) == 1);
  return text ? obs::MakeTextLogger(log) : obs::MakeJsonLogger(log);
}

uint32_t IoThreads(const ServeOptions& options) {
  if (options.io_threads != 0) return options.io_threads;
  return std::clamp(std::thread::hardware_concurrency() / 2, 1u, 8u);
}

std::string HostOf(const http::ListenOptions& options) {
  return options.host.contains(':') ? "[" + options.host + "]" : options.host;
}

int ExitCodeOf(const base::Error& error) {
  return error.code() == Code::kInvalidArgument ? kUsage : kStorageFailed;
}

}  // namespace

ServeSession::ServeSession(ServeOptions options)
    : options_(std::move(options)),
      log_(MakeLogger(options_)),
      observer_(base::SystemClock(), *log_, metrics_),
      admin_loop_(runtime_, "admin") {
  for (uint32_t i = 0; i < IoThreads(options_); ++i) {
    io_.push_back(std::make_unique<runtime::LoopThread>(runtime_, fmt::format("io-{}", i)));
  }
}

ServeSession::~ServeSession() = default;

int ServeSession::Run() {
  if (auto opened = Open(); !opened) {
    Complain(opened.error().message());
    return ExitCodeOf(opened.error());
  }
  runtime::SignalWatcher signals(runtime_, {SIGINT, SIGTERM}, [this](int) { OnSignal(); });
  runtime_.SpawnDetached(Serve());
  runtime_.Run();
  return exit_code_;
}

// What can be wrong before anything is served.
Result<> ServeSession::Open() {
  const std::string& directory = options_.data_directory;
  if (auto made = base::PosixFileSystem().CreateDirectory(directory); !made) {
    return base::Fail(Code::kUnavailable, "cannot make the store {}: {}", directory,
                      made.error().message());
  }
  auto lock = base::FileLock::Acquire(directory + "/lock");
  if (!lock) {
    return base::Fail(Code::kUnavailable,
                      "the store {} is in use: {}. Stop the other inferq, or name another store "
                      "with --data",
                      directory, lock.error().message());
  }
  lock_ = *std::move(lock);
  INFERQ_ASSIGN(service_, MakeService());
  use_cases_ = api::MakeUseCases(*service_);
  gateway_ = std::make_unique<api::Gateway>(*use_cases_, MakeGatewayOptions());
  std::vector<runtime::Runtime*> loops;
  for (auto& io : io_) loops.push_back(&io->runtime());
  server_ = std::make_unique<http::Server>(runtime_, loops, *gateway_, options_.limits);
  api::AdminSources sources{.health = [this] { return service_->health(); },
                            .metrics = [this] { return metrics_.Render(); }};
  admin_ = std::make_unique<api::Admin>(std::move(sources));
  std::vector<runtime::Runtime*> admin_loops{&admin_loop_.runtime()};
  admin_server_ = std::make_unique<http::Server>(admin_loop_.runtime(), admin_loops, *admin_,
                                                 http::ServerLimits{.max_connections = 100});
  observer_.WatchServer(server_->counters());
  return {};
}

Result<std::unique_ptr<service::Service>> ServeSession::MakeService() {
  auto egress = options_.webhooks_allow_private ? http::Egress::kAny : http::Egress::kPublic;
  INFERQ_ASSIGN(webhooks_, WebhookPoster::Make(runtime_, egress));
  service::ServiceEnvironment environment{
      .runtime = runtime_,
      .files = base::PosixFileSystem(),
      .make_queue =
          [this](const std::string& path, queue::ReadLines read_lines) {
            queue::LocalQueueOptions queue;
            queue.order = options_.order;
            queue.room = options_.room;
            queue.room.kept_for_ephemeral = kKeptForOnline;
            queue.retention = options_.retention;
            queue.read_lines = std::move(read_lines);
            return queue::MakeLocalQueue(
                runtime_, queue::MakeSqliteJournal({.path = path, .vfs = {}}), std::move(queue));
          },
      .make_catalog =
          [this](const std::string& path) {
            return catalog::MakeSqliteCatalog(runtime_, {.path = path, .vfs = {}});
          },
      .free_bytes = [directory = options_.data_directory]() -> Result<uint64_t> {
        std::error_code error;
        auto space = std::filesystem::space(directory, error);
        if (error) return base::Fail(Code::kUnavailable, "{}: {}", directory, error.message());
        return space.available;
      },
      .post_webhook =
          [this](service::WebhookCall call) { return webhooks_->Post(std::move(call)); },
      .seed = base::RandomSeed(),
      .observer = &observer_};
  service::ServiceOptions service{.directory = options_.data_directory,
                                  .models = {},
                                  .tenants = options_.tenants,
                                  .max_lines = options_.max_lines,
                                  .windows = options_.windows,
                                  .max_attempts = options_.max_attempts,
                                  .batches = options_.batches,
                                  .file_lifetime = options_.file_lifetime,
                                  .idle_unload = options_.idle_unload,
                                  .min_free_bytes = options_.min_free_bytes,
                                  .webhooks = options_.webhooks,
                                  .blobs = options_.blobs};
  for (const ModelOptions& model : options_.models) {
    service.models.push_back(MakeModelSpec(runtime_, model));
  }
  return std::make_unique<service::Service>(std::move(environment), std::move(service));
}

api::GatewayOptions ServeSession::MakeGatewayOptions() {
  api::GatewayOptions gateway;
  gateway.keys.required = !options_.keys.empty();
  gateway.keys.tenant_of = [this](std::string_view key) -> std::optional<std::string> {
    const std::string* tenant = options_.keys.Find(key);
    return tenant == nullptr ? std::nullopt : std::optional(*tenant);
  };
  gateway.limits.upload = options_.upload_limit;
  gateway.limits.batch_file = options_.batch_file_limit;
  gateway.limits.parts = options_.parts_limit;
  gateway.limits.online = options_.body_limit;
  gateway.hold = options_.hold;
  gateway.keep_alive = options_.keep_alive;
  gateway.limits.batch = options_.body_limit;
  gateway.observe = [this](const api::AccessRecord& record) { observer_.RequestEnded(record); };
  gateway.trace = [](std::optional<std::string> given) {
    thread_local base::Rng rng(base::RandomSeed());
    return given ? obs::ChildOf(*given, rng) : obs::NewTraceparent(rng);
  };
  gateway.seed = base::RandomSeed();
  return gateway;
}

Awaitable<Result<>> ServeSession::Listen() {
  INFERQ_CO_TRY(server_->Listen(options_.listen));
  if (!options_.admin_listen) co_return Result<>{};
  auto listen = [this] { return ListenAdmin(); };
  co_return co_await runtime::CallOn(runtime_, admin_loop_.runtime(), listen);
}

Awaitable<Result<>> ServeSession::ListenAdmin() {
  co_return admin_server_->Listen(*options_.admin_listen);
}

// On standard output; logs go to standard error.
void ServeSession::Announce() const {
  std::string text = fmt::format("inferq {} serves http://{}:{}/v1\n", kVersion,
                                 HostOf(options_.listen), server_->port());
  if (options_.admin_listen) {
    text += fmt::format("  admin   http://{}:{}/metrics\n", HostOf(*options_.admin_listen),
                        admin_server_->port());
  }
  text += fmt::format("  store   {}\n", options_.data_directory);
  for (const ModelOptions& model : options_.models) {
    text += fmt::format("  model   {} ({})\n", model.name, DescribeModel(model));
  }
  if (options_.models.empty()) text += kNoModel;
  if (options_.keys.empty()) text += "  keys    none: everybody on this machine may use it\n";
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

Awaitable<void> ServeSession::Serve() {
  Result<> served = co_await Listen();
  bool listening = served.has_value();
  runtime::Scope helpers(runtime_);
  if (listening) {
    Announce();
    helpers.Spawn(Sample());
    served = co_await service_->Run();
  }
  base::SteadyTime deadline = runtime_.clock().Steady() + kLastWords;
  co_await server_->Stop(deadline);
  auto stop_admin = [this, deadline] { return StopAdmin(deadline); };
  co_await runtime::CallOn(runtime_, admin_loop_.runtime(), stop_admin);
  ended_ = true;
  co_await helpers.Join();
  if (!served) {
    Complain(served.error().message());
    exit_code_ = listening ? kStorageFailed : kUsage;
  }
  runtime_.Stop();
}

Awaitable<bool> ServeSession::StopAdmin(base::SteadyTime deadline) {
  co_await admin_server_->Stop(deadline);
  co_return true;
}

Awaitable<void> ServeSession::Sample() {
  while (!ended_) {
    observer_.Sample(service_->stats(), service_->health());
    co_await runtime_.SleepFor(kSampleEvery);
  }
}

void ServeSession::OnSignal() {
  if (draining_) std::_Exit(kInterrupted);  // the second one: at once; what is done is durable
  draining_ = true;
  log_->Write(obs::Level::kInfo, "drain.begun",
              {{"grace_seconds", std::chrono::duration<double>(options_.drain_grace).count()}});
  service_->Drain(runtime_.clock().Steady() + options_.drain_grace);
}

void ServeSession::Complain(const std::string& message) const {
  std::fprintf(stderr, "inferq serve: %s\n", message.c_str());
}

}  // namespace inferq::app
