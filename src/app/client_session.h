#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app/client_options.h"
#include "app/exit_code.h"
#include "app/progress_display.h"
#include "base/file_system.h"
#include "client/client.h"
#include "runtime/asio_runtime.h"

namespace inferq::app {

/// One command that speaks to a server: its client, its display and its signals, on the calling
/// thread until it ends. Ctrl-C ends the call under way with kCancelled; a second one the process.
class ClientSession {
 public:
  /// What a command does; returns an ExitCode.
  using Body = std::function<runtime::Awaitable<int>(ClientSession&)>;

  /// Runs `body` to its end. @param command  for messages: "batch wait". @return an ExitCode.
  static int Run(const std::string& command, const ClientFlags& flags, Body body);

  client::Client& client() { return *client_; }
  ProgressDisplay& display() { return display_; }
  runtime::Runtime& runtime() { return runtime_; }
  const ClientFlags& flags() const { return flags_; }

  void Show(const ProgressView& view) { display_.Update(view, runtime_.clock().Steady()); }
  /// Shows the progress of a transfer. The session outlives the function.
  client::OnBytes ShowBytes(std::string what);
  /// Prints what is wrong. @return the code for a failure of the server or of the way to it.
  int Refused(const base::Error& error);
  /// The same for files of this machine.
  int StorageFailed(const base::Error& error);

 private:
  ClientSession(const std::string& command, const ClientFlags& flags);
  int Execute(const Body& body);
  runtime::Awaitable<void> ToEnd(runtime::Awaitable<int> body);

  const std::string command_;
  const ClientFlags& flags_;
  runtime::AsioRuntime runtime_;
  ProgressDisplay display_;
  std::unique_ptr<runtime::Dialer> dialer_;
  std::shared_ptr<runtime::Cancellation> cancel_;
  std::unique_ptr<client::Client> client_;
  int exit_code_ = kServerRefused;
};

/// Writes to standard output. Fails when that is closed or full.
base::Result<> Print(std::string_view text);

}  // namespace inferq::app
