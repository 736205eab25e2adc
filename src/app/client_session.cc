#include "app/client_session.h"

#include <signal.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "app/batch_view.h"
#include "http/asio_dialer.h"
#include "runtime/signals.h"

namespace inferq::app {

using base::Code;
using base::Result;

int ClientSession::Run(const std::string& command, const ClientFlags& flags, Body body) {
  ClientSession session(command, flags);
  return session.Execute(body);
}

ClientSession::ClientSession(const std::string& command, const ClientFlags& flags)
    : command_(command), flags_(flags), display_(flags.style()) {}

int ClientSession::Execute(const Body& body) {
  auto options = MakeClientOptions(flags_);
  if (!options) {
    StorageFailed(options.error());
    return kUsage;
  }
  auto dialer = http::MakeAsioDialer(runtime_, {});
  if (!dialer) return StorageFailed(dialer.error());
  dialer_ = *std::move(dialer);
  cancel_ = options->cancel;
  client_ = std::make_unique<client::Client>(runtime_, *dialer_, *std::move(options));
  auto on_signal = [this](int) {
    if (cancel_->cancelled()) std::_Exit(kInterrupted);
    cancel_->Cancel();
  };
  runtime::SignalWatcher signals(runtime_, {SIGINT, SIGTERM}, on_signal);
  runtime_.SpawnDetached(ToEnd(body(*this)));
  runtime_.Run();
  return exit_code_;
}

runtime::Awaitable<void> ClientSession::ToEnd(runtime::Awaitable<int> body) {
  exit_code_ = co_await std::move(body);
  client_->CloseIdle();
  runtime_.Stop();
}

client::OnBytes ClientSession::ShowBytes(std::string what) {
  return [this, what](uint64_t done, uint64_t total) { Show(TransferView(what, done, total)); };
}

int ClientSession::Refused(const base::Error& error) {
  if (error.code() == Code::kCancelled) return kInterrupted;
  display_.Say("inferq " + command_ + ": " + error.message());
  return kServerRefused;
}

int ClientSession::StorageFailed(const base::Error& error) {
  display_.Say("inferq " + command_ + ": " + error.message());
  return kStorageFailed;
}

Result<> Print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return {};
  }
  return std::unexpected(base::ErrnoError(errno, "write standard output"));
}

}  // namespace inferq::app
