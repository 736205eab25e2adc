#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "api/admin.h"
#include "api/gateway.h"
#include "api/use_cases.h"
#include "app/serve_observer.h"
#include "app/serve_options.h"
#include "app/webhook_poster.h"
#include "base/file_lock.h"
#include "http/server.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "runtime/asio_runtime.h"
#include "runtime/loop_thread.h"
#include "service/service.h"

namespace inferq::app {

/// One server from start to end. Threads: the caller's is the strand of the service; `io-N` have
/// the connections; `admin` answers /readyz and /metrics when all else is busy.
class ServeSession {
 public:
  explicit ServeSession(ServeOptions options);
  ~ServeSession();

  /// Until SIGTERM, SIGINT or a failure. @return an ExitCode.
  int Run();

 private:
  base::Result<> Open();
  runtime::Awaitable<base::Result<>> Listen();
  runtime::Awaitable<base::Result<>> ListenAdmin();
  runtime::Awaitable<bool> StopAdmin(base::SteadyTime deadline);
  void Announce() const;
  base::Result<std::unique_ptr<service::Service>> MakeService();
  api::GatewayOptions MakeGatewayOptions();
  runtime::Awaitable<void> Serve();
  runtime::Awaitable<void> Sample();
  void OnSignal();
  void Complain(const std::string& message) const;

  const ServeOptions options_;
  std::unique_ptr<obs::Logger> log_;
  obs::Registry metrics_;
  ServeObserver observer_;
  runtime::AsioRuntime runtime_;
  std::vector<std::unique_ptr<runtime::LoopThread>> io_;
  runtime::LoopThread admin_loop_;
  std::unique_ptr<base::FileLock> lock_;
  std::unique_ptr<WebhookPoster> webhooks_;
  std::unique_ptr<service::Service> service_;
  std::unique_ptr<api::UseCases> use_cases_;
  std::unique_ptr<api::Gateway> gateway_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<api::Admin> admin_;
  std::unique_ptr<http::Server> admin_server_;
  bool draining_ = false;
  bool ended_ = false;
  int exit_code_ = 0;
};

}  // namespace inferq::app
