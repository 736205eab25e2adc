#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <ctime>
#include <expected>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "http/request_head.h"
#include "http/server.h"
#include "runtime/event.h"

namespace inferq::http {

class Connection;
class ServerExchange;

/// The connections of one loop. On its strand; `limits`, `handler` and `counters` outlive it.
class ConnectionSet {
 public:
  ConnectionSet(runtime::Runtime& runtime, Handler& handler, const ServerLimits& limits,
                ServerCounters& counters);

  /// Serves the connection until it ends.
  void Start(std::unique_ptr<runtime::Stream> stream, std::string peer);
  /// Answers 503, because there are too many, and closes.
  void Refuse(std::unique_ptr<runtime::Stream> stream);
  /// Lets exchanges under way end until `deadline`, cuts the rest and returns when all are gone.
  runtime::Awaitable<bool> Drain(base::SteadyTime deadline);

  runtime::Runtime& runtime() { return runtime_; }
  Handler& handler() { return handler_; }
  const ServerLimits& limits() const { return limits_; }
  ServerCounters& counters() { return counters_; }
  bool draining() const { return draining_; }
  runtime::Scope& scope() { return scope_; }
  /// Of an answer that is sent now: "Tue, 06 Jan 2026 10:00:00 GMT".
  std::string_view Date();

 private:
  enum class What : uint8_t { kServe, kRefuse };
  runtime::Awaitable<void> Run(std::unique_ptr<Connection> connection, What what);

  runtime::Runtime& runtime_;
  Handler& handler_;
  const ServerLimits& limits_;
  ServerCounters& counters_;
  bool draining_ = false;
  std::list<Connection*> connections_;
  runtime::Event ended_;
  runtime::Scope scope_;
  std::time_t date_second_ = -1;
  std::string date_;
};

/// One connection of a client: its bytes, its time limits and its end. Requests are served one
/// after the other.
///
/// While a handler runs, a watch may read ahead to see a hang-up. It has a small buffer of its own,
/// so that ours can be used meanwhile; whoever wants to read waits for it first.
class Connection {
 public:
  Connection(ConnectionSet& set, std::unique_ptr<runtime::Stream> stream, std::string peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  runtime::Awaitable<void> Serve();
  runtime::Awaitable<void> RefuseForNumber();
  /// No further request: ends a wait for one.
  void Drain();
  /// Ends everything now.
  void Cut();

  // For its exchange.
  ConnectionSet& set() { return set_; }
  std::string_view buffered() const;
  void Consume(size_t size) { buffer_.consume(size); }
  /// Reads up to `room` more bytes, at most until `deadline`; 0: the client sends no more.
  /// kDeadlineExceeded, kUnavailable.
  runtime::Awaitable<base::Result<size_t>> Fill(size_t room, base::SteadyTime deadline);
  /// Writes all; kUnavailable, and the connection is over, when the client does not take it.
  runtime::Awaitable<base::Result<>> Write(std::string_view first, std::string_view second);
  /// Looks for a hang-up from now on, until the next Fill.
  void StartWatch();
  /// Ends it so that the client cannot take what it has for a whole answer.
  void Reset();

 private:
  enum class Next : uint8_t {
    kRequest,
    kLinger,  ///< Close so that the client sees all that was sent.
    kClose,
  };
  enum class Timed : uint8_t { kRead, kWrite };

  runtime::Awaitable<void> ServeOne();
  runtime::Awaitable<std::expected<size_t, Refusal>> ReadHead();
  runtime::Awaitable<std::expected<size_t, Refusal>> ReadMoreOfHead(base::SteadyTime& deadline);
  runtime::Awaitable<void> Handle(ServerExchange& exchange);
  runtime::Awaitable<void> Answer(Refusal refusal, std::string_view more_headers);
  runtime::Awaitable<void> Linger();
  runtime::Awaitable<void> Close();
  runtime::Awaitable<base::Result<size_t>> ReadOrJoinWatch(size_t room);
  runtime::Awaitable<void> Watch();
  void OnHangup();
  base::SteadyTime After(base::Micros duration) const;
  void Arm(base::SteadyTime when, Timed timed);
  void OnTimer();

  ConnectionSet& set_;
  std::unique_ptr<runtime::Stream> stream_;
  const std::string peer_;
  boost::beast::flat_buffer buffer_;  // what has come and was not used yet
  Next next_ = Next::kRequest;
  bool hung_up_ = false;
  ServerExchange* exchange_ = nullptr;  // under way

  bool watching_ = false;
  bool watch_wanted_ = false;
  runtime::Event watch_ended_;

  // One timer for all phases, re-armed only when it fires.
  base::SteadyTime deadline_ = base::SteadyTime::max();
  Timed timed_ = Timed::kRead;
  bool expired_ = false;
  runtime::Runtime::TimerId timer_ = 0;
  base::SteadyTime timer_at_ = base::SteadyTime::max();
};

}  // namespace inferq::http
