#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "runtime/event.h"
#include "runtime/net.h"

namespace inferq::http {

struct PoolOptions {
  /// Connections per origin, busy and idle. At the limit a request waits for one to come free.
  uint32_t max_per_origin = 256;
  /// An idle connection older than this is not used again. Servers close theirs after 5 s (uvicorn)
  /// to 75 s.
  base::Micros max_idle{30'000'000};
};

/// Connections that can carry another request. On one strand; a connection may outlive the pool.
class Pool {
 public:
  class Origin;

  /// A connection on loan. Closed on destruction unless it was given back.
  class Connection {
   public:
    Connection(std::shared_ptr<Origin> origin, std::unique_ptr<runtime::Stream> stream,
               bool reused);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    runtime::Stream& stream() { return *stream_; }
    /// Carried a request before, so the peer may have closed it in the meantime.
    bool reused() const { return reused_; }
    /// Makes it idle, for the next request.
    void GiveBack();

   private:
    std::shared_ptr<Origin> origin_;
    std::unique_ptr<runtime::Stream> stream_;
    bool reused_;
  };

  struct Want {
    runtime::Address address;
    base::Micros connect_timeout{10'000'000};
    base::SteadyTime deadline = base::SteadyTime::max();
    std::shared_ptr<runtime::Cancellation> cancel;
    bool fresh = false;  ///< Not an idle one.
  };

  Pool(runtime::Runtime& runtime, runtime::Dialer& dialer, PoolOptions options);

  /// An idle connection, a new one, or, at the limit, the next that comes free. Errors of
  /// Dialer::Dial; kDeadlineExceeded only for `deadline`, while a connect that takes too long is
  /// kUnavailable.
  runtime::Awaitable<base::Result<std::unique_ptr<Connection>>> Get(Want want);
  /// Closes the idle ones.
  void CloseIdle();

 private:
  std::shared_ptr<Origin> OriginOf(const runtime::Address& address);

  runtime::Runtime& runtime_;
  runtime::Dialer& dialer_;
  PoolOptions options_;
  std::map<runtime::Address, std::shared_ptr<Origin>> origins_;
};

}  // namespace inferq::http
