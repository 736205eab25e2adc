#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/bench_agent_profile.h"
#include "app/bench_connection.h"
#include "app/bench_report.h"
#include "app/bench_server.h"
#include "app/client_options.h"
#include "app/progress_display.h"
#include "client/client.h"
#include "runtime/asio_runtime.h"
#include "runtime/event.h"

namespace inferq::app {

/// What `bench agents` can be told.
struct AgentFlags {
  char profile = 'A';
  StepMix steps = StepMix::kOpen;
  double speed = 10;
  double fail_rate = 0.02;
  double cut_rate = 0.01;
  bool direct = true;        ///< Measure the clients at the backend itself.
  bool through = true;       ///< Measure them at a server in front of it.
  uint64_t batch_lines = 0;  ///< Of a batch that runs beside them, through the server.
  uint16_t backend_port = 0;
  std::vector<std::string> model_options{};  ///< Lines of the [[model]] table.
};

/// What the benchmarks can be told; each takes its part of it.
struct BenchFlags {
  ClientFlags client{};      ///< Of these the server and the key. No server: one of its own.
  bool starts_late = false;  ///< The benchmark starts its server itself, with Serve.
  bool queues_tasks = true;  ///< At the end what is left of them on a given server is cancelled.
  std::string data{};        ///< Where the store of the own server is made.
  double seconds = 10;
  uint32_t clients = 4;
  double rate = 0;  ///< Requests a second that are meant to be sent; 0: as fast as answers come.
  uint32_t chunk = 100;
  uint64_t tasks = 1'000'000;
  uint64_t lines = 1'000'000;
  std::string model = "bench";
  bool idempotency = false;
  AgentFlags agents{};
  bool json = false;
  bool markdown = false;
};

/// One benchmark: its server, its connections, the window in which it measures, its report and its
/// signals, on the calling thread until it ends. Ctrl-C ends the window; what was measured until
/// then is reported. A failed connection ends it as well; an answer that refuses is counted.
class BenchSession {
 public:
  /// What a benchmark does, between the start and the stop of its server.
  using Body = std::function<runtime::Awaitable<base::Result<>>(BenchSession&)>;
  using Client = std::function<runtime::Awaitable<void>(uint32_t number)>;

  /// @param name  "queue". @return an ExitCode.
  static int Run(const std::string& name, const BenchFlags& flags, Body body);

  const BenchFlags& flags() const { return flags_; }
  runtime::AsioRuntime& runtime() { return runtime_; }
  runtime::Dialer& dialer() { return *dialer_; }
  /// Ends calls that are still under way some time after Ctrl-C.
  const std::shared_ptr<runtime::Cancellation>& cancel() const { return cancel_; }
  base::SteadyTime Now() const { return runtime_.clock().Steady(); }
  Report& report() { return report_; }
  /// For files and batches.
  client::Client& client() { return *client_; }
  /// nullptr: the server is a given one.
  BenchServer* server() { return server_.get(); }
  /// For files of the benchmark; on the disk of the own server's store.
  const std::string& directory() const { return directory_; }
  /// The kind of this run's tasks: no other run's.
  const std::string& kind() const { return kind_; }

  /// Where the server is, and the key for it.
  const client::ClientOptions& target() const { return options_; }

  std::unique_ptr<BenchConnection> Connect();
  /// Starts the own server with these [[model]] tables; with starts_late, and no given server.
  runtime::Awaitable<base::Result<>> Serve(std::string models);
  /// After another start of the server, which has another port then. No call is under way.
  base::Result<> Retarget();
  /// Runs `clients` of them at once for `seconds`, or until all have ended, and reports who used
  /// how much of the processors meanwhile. They look at over().
  runtime::Awaitable<void> Drive(std::string what, uint32_t clients, Client client, double seconds);
  /// The window has ended, in whichever way.
  bool over() const { return stopping() || Now() >= end_; }
  /// No window begins any more.
  bool stopping() const { return interrupted_ || failure_.has_value(); }
  bool failed() const { return failure_.has_value(); }
  base::SteadyTime begin() const { return begin_; }
  base::SteadyTime end() const { return end_; }
  /// Of the last window.
  double window_seconds() const { return window_seconds_; }

  /// Something of what the window is about was done; for the progress.
  void Done(uint64_t n) { done_ += n; }
  /// Sends a call and times the answer. nullopt: it was refused, and counted; or the run has
  /// failed.
  runtime::Awaitable<std::optional<BenchAnswer>> Call(BenchConnection& connection,
                                                      std::string_view path, std::string_view body,
                                                      base::SteadyTime meant, Latencies& took);
  void Refused(std::string_view why);
  void Fail(base::Error error);

 private:
  BenchSession(const std::string& name, const BenchFlags& flags);
  int Execute(const Body& body);
  base::Result<> Prepare();
  runtime::Awaitable<void> ToEnd(const Body& body);
  runtime::Awaitable<base::Result<>> RunAll(const Body& body);
  runtime::Awaitable<base::Result<>> StartServer();
  runtime::Awaitable<void> Leave();
  runtime::Awaitable<void> MeasureDisk(std::string key);
  void ReportMachine();
  void OnSignal();
  int Finish();
  std::string CommandLine() const;

  const std::string name_;
  const BenchFlags& flags_;
  runtime::AsioRuntime runtime_;
  ProgressDisplay display_;
  Report report_;
  std::string directory_;
  std::string kind_;
  std::unique_ptr<runtime::Dialer> dialer_;
  std::shared_ptr<runtime::Cancellation> cancel_ = std::make_shared<runtime::Cancellation>();
  client::ClientOptions options_;
  BenchTarget target_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<BenchServer> server_;
  double load_before_ = 0;

  base::SteadyTime begin_{};
  base::SteadyTime end_ = base::SteadyTime::max();
  double window_seconds_ = 0;
  uint64_t done_ = 0;
  uint64_t refusals_ = 0;
  bool interrupted_ = false;
  std::optional<base::Error> failure_;
};

}  // namespace inferq::app
