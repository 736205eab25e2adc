#include "http/server.h"

#include "base/check.h"
#include "http/asio_listener.h"
#include "http/connection.h"
#include "runtime/call_on.h"
#include "runtime/event.h"

namespace inferq::http {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using base::SteadyTime;
using runtime::Awaitable;
using runtime::Stream;

constexpr base::Micros kAcceptPause = 100ms;  // when there are no descriptors left
constexpr size_t kMaxRefusing = 256;  // connections that are being told 503; more are closed

}  // namespace

/// On the strand of `home`; each ConnectionSet is on its own loop.
class Server::Impl {
 public:
  Impl(runtime::Runtime& home, std::vector<runtime::Runtime*> loops, Handler& handler,
       ServerLimits limits);

  void ListenOn(std::unique_ptr<runtime::Listener> listener);
  Awaitable<void> Stop(SteadyTime deadline);
  runtime::Runtime& home() { return home_; }
  uint16_t port() const { return listener_ ? listener_->port() : 0; }
  const ServerCounters& counters() const { return counters_; }

 private:
  Awaitable<void> AcceptAll();
  void Place(ConnectionSet& set, std::unique_ptr<Stream> stream);
  Awaitable<void> Drain(ConnectionSet& set, SteadyTime deadline);

  runtime::Runtime& home_;
  const ServerLimits limits_;
  ServerCounters counters_;
  std::vector<std::unique_ptr<ConnectionSet>> sets_;
  std::unique_ptr<runtime::Listener> listener_;
  bool stopping_ = false;
  runtime::Event stop_;
  runtime::Scope scope_;
};

Server::Impl::Impl(runtime::Runtime& home, std::vector<runtime::Runtime*> loops, Handler& handler,
                   ServerLimits limits)
    : home_(home), limits_(limits), stop_(home), scope_(home) {
  INFERQ_CHECK(!loops.empty());
  for (runtime::Runtime* loop : loops)
    sets_.push_back(std::make_unique<ConnectionSet>(*loop, handler, limits_, counters_));
}

void Server::Impl::ListenOn(std::unique_ptr<runtime::Listener> listener) {
  INFERQ_CHECK(!listener_);
  listener_ = std::move(listener);
  scope_.Spawn(AcceptAll());
}

Awaitable<void> Server::Impl::AcceptAll() {
  for (size_t turn = 0; !stopping_; ++turn) {
    ConnectionSet& set = *sets_[turn % sets_.size()];
    auto stream = co_await listener_->Accept(set.runtime());
    if (stream) {
      Place(set, *std::move(stream));
    } else if (stream.error().code() != Code::kCancelled) {
      co_await stop_.WaitUntil(home_.clock().Steady() + kAcceptPause);
    }
  }
}

void Server::Impl::Place(ConnectionSet& set, std::unique_ptr<Stream> stream) {
  ++counters_.connections;
  if (stopping_ || counters_.open >= limits_.max_connections + kMaxRefusing) return;
  const bool full = ++counters_.open > limits_.max_connections;
  std::string peer = listener_->PeerOf(*stream);
  auto start = [&set, full, stream = std::move(stream), peer = std::move(peer)]() mutable {
    if (full) {
      set.Refuse(std::move(stream));
    } else {
      set.Start(std::move(stream), std::move(peer));
    }
  };
  if (&set.runtime() == &home_) {
    start();
  } else {
    set.runtime().Post(std::move(start));
  }
}

Awaitable<void> Server::Impl::Drain(ConnectionSet& set, SteadyTime deadline) {
  auto drain = [&set, deadline] { return set.Drain(deadline); };
  co_await runtime::CallOn(home_, set.runtime(), std::move(drain));
}

Awaitable<void> Server::Impl::Stop(SteadyTime deadline) {
  stopping_ = true;
  if (listener_) listener_->Close();
  stop_.NotifyAll();
  co_await scope_.Join();  // nothing is placed from here on
  for (auto& set : sets_) scope_.Spawn(Drain(*set, deadline));
  co_await scope_.Join();
}

Server::Server(runtime::Runtime& home, std::vector<runtime::Runtime*> loops, Handler& handler,
               ServerLimits limits)
    : impl_(std::make_unique<Impl>(home, std::move(loops), handler, limits)) {}
Server::~Server() = default;

Result<> Server::Listen(const ListenOptions& options) {
  INFERQ_ASSIGN(auto listener, ListenTcp(impl_->home(), options));
  impl_->ListenOn(std::move(listener));
  return {};
}

void Server::ListenOn(std::unique_ptr<runtime::Listener> listener) {
  impl_->ListenOn(std::move(listener));
}

uint16_t Server::port() const { return impl_->port(); }
Awaitable<void> Server::Stop(SteadyTime deadline) { co_await impl_->Stop(deadline); }
const ServerCounters& Server::counters() const { return impl_->counters(); }

}  // namespace inferq::http
