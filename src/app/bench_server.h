#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "app/bench_machine.h"
#include "runtime/child_process.h"
#include "runtime/net.h"
#include "runtime/runtime.h"

namespace inferq::app {

/// `inferq serve` of this binary as a child, on a free port of 127.0.0.1, with its store and its
/// log in one directory. It has a process group of its own: Ctrl-C does not reach it. The
/// destructor kills it. On the strand of `runtime`, which outlives it.
class BenchServer {
 public:
  /// Writes the configuration. @param directory  must exist.
  /// @param models  [[model]] tables.
  static base::Result<std::unique_ptr<BenchServer>> Make(runtime::Runtime& runtime,
                                                         std::string directory,
                                                         std::string_view models);

  /// Starts it and waits until it listens. kUnavailable: it does not; names its log.
  runtime::Awaitable<base::Result<>> Start();
  /// SIGTERM, and SIGKILL when that takes too long. No effect when it does not run.
  runtime::Awaitable<void> Stop();
  /// SIGKILL, between a Start and a Stop.
  runtime::Awaitable<void> Kill();

  /// "http://127.0.0.1:port/v1"
  const std::string& url() const { return url_; }
  /// 0: it does not run.
  pid_t pid() const { return process_ ? process_->pid() : 0; }
  /// When the last Start began it.
  base::SteadyTime started() const { return started_; }

 private:
  BenchServer(runtime::Runtime& runtime, std::string directory)
      : runtime_(runtime), directory_(std::move(directory)) {}
  base::Result<> Spawn();
  runtime::Awaitable<base::Result<>> ReadAnnouncement();

  runtime::Runtime& runtime_;
  const std::string directory_;
  std::unique_ptr<runtime::Stream> output_;
  std::unique_ptr<runtime::ChildProcess> process_;
  std::string url_;
  base::SteadyTime started_{};
};

/// A model that never answers, for benchmarks that want none.
extern const std::string_view kIdleModel;

/// The first address in what `inferq serve` says when it listens; "" while it is not there yet.
std::string UrlIn(std::string_view announcement);

}  // namespace inferq::app
