#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "runtime/net.h"
#include "runtime/runtime.h"

namespace inferq::http {

/// What a server grants its clients. Each limit has an answer, named beside it.
struct ServerLimits {
  size_t max_connections = 10'000;        ///< One more is told 503 and closed.
  size_t max_head_bytes = 32u << 10;      ///< Request line and headers: 431.
  size_t max_headers = 100;               ///< 431.
  base::Micros head_timeout{10'000'000};  ///< From a request's first byte to its head's end: 408.
  base::Micros idle_timeout{75'000'000};  ///< Between requests: the connection is closed.
  base::Micros body_stall{30'000'000};    ///< Without a byte of a body that is read: 408.
  /// Bytes a second that a body must bring on average, counted from body_stall after its begin:
  /// 408. 0: any pace.
  uint64_t body_rate_min = 1024;
  /// For the client to take the next 64 KiB of an answer, or its end: it is cut off.
  base::Micros write_stall{30'000'000};
  uint64_t body_memory = 1u << 30;  ///< Bytes of ReadBody over all connections: 503.
  /// Bytes that a byte of a compressed body may become, beyond the first MiB: 413.
  uint64_t body_ratio_max = 1000;
};

/// A request without its body, checked strictly (RFC 9112): one Host, one way to tell the body's
/// length, no line folding, no control characters.
struct RequestHead {
  std::string method;
  std::string target;  ///< As sent, origin form: "/v1/files?limit=2".
  std::string path;    ///< Percent-decoded, "/v1/files". Valid UTF-8 without NUL.
  std::string query;   ///< As sent, behind the '?': "limit=2".
  int minor_version = 1;
  Headers headers;
  std::string peer;  ///< "127.0.0.1:54321", for logs.
};

/// One request and its answer. On the loop of its connection; gone when Handle returns.
///
/// Order: read the body (all, a part, or nothing) -> Send, or Begin -> Write ... -> End. What is
/// left of the body is dropped by the server. A compressed body (Content-Encoding: gzip or zstd) is
/// read decompressed, and limits count that. One call at a time. Failures of reading and writing
/// mean that the connection is gone or bad: return from Handle; an answer that was not begun can
/// still be tried.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const RequestHead& request() const = 0;
  /// The loop it lives on.
  virtual runtime::Runtime& runtime() = 0;
  /// Fires when the client has hung up, or the server cuts what runs. At once for what comes later.
  /// Asking for it makes the server look, once the body has been read; nobody looks otherwise.
  virtual const std::shared_ptr<runtime::Cancellation>& gone() const = 0;

  /// nullopt: not told (chunked, compressed). 0: no body.
  virtual std::optional<uint64_t> content_length() const = 0;
  /// The whole body. kOutOfRange: longer than `limit`, or compressed beyond body_ratio_max with
  /// param "content-encoding" (413). kResourceExhausted: the server's memory for bodies is taken
  /// (503). kInvalidArgument: bad chunks, bad compression (400). kUnimplemented: compressed in
  /// another way (415). kDeadlineExceeded: too slow (408). kUnavailable: cut off.
  virtual runtime::Awaitable<base::Result<std::string>> ReadBody(uint64_t limit) = 0;
  /// The next piece of it, at most 256 KiB; "" at its proper end. For bodies that go to disk:
  /// nothing is read ahead, so a slow disk slows the client. Errors as ReadBody.
  virtual runtime::Awaitable<base::Result<std::string>> NextPiece() = 0;

  /// A header of whatever answer is sent, for example x-request-id. Content-Length,
  /// Transfer-Encoding, Connection and Date are the server's.
  virtual void AddHeader(std::string name, std::string value) = 0;
  /// The whole answer. Content-Length is added. kInvalidArgument: a header is not proper, nothing
  /// is sent.
  virtual runtime::Awaitable<base::Result<>> Send(int status, Headers headers,
                                                  std::string body) = 0;
  /// The head of an answer whose body follows; without `length` it is sent in chunks (to HTTP/1.0
  /// until the connection closes).
  virtual runtime::Awaitable<base::Result<>> Begin(int status, Headers headers,
                                                   std::optional<uint64_t> length) = 0;
  virtual runtime::Awaitable<base::Result<>> Write(std::string_view piece) = 0;
  virtual runtime::Awaitable<base::Result<>> End() = 0;
  /// Whether the status line has been sent.
  virtual bool began() const = 0;
  /// Closes the connection so that the client sees a broken answer, never a clean end.
  virtual void Abort() = 0;
};

/// What a server serves.
class Handler {
 public:
  virtual ~Handler() = default;
  /// Called on the loop of the connection, for many at once. Without an answer when it returns, the
  /// server says what was wrong with the body, or 500; one that is begun and not ended becomes a
  /// broken connection.
  virtual runtime::Awaitable<void> Handle(Exchange& exchange) = 0;
  /// JSON for an answer that the server gives by itself, such as 400, 408, 431, 503.
  virtual std::string ErrorBody(int status, std::string_view message) = 0;
};

/// Counts since the start; any thread.
struct ServerCounters {
  std::atomic<uint64_t> connections{0};  ///< Accepted.
  std::atomic<uint64_t> open{0};         ///< Now.
  std::atomic<uint64_t> requests{0};     ///< Heads that were well-formed.
  std::atomic<uint64_t> refused{0};      ///< Answered by the server itself: malformed, slow, full.
  std::atomic<uint64_t> cut{0};          ///< Slow readers, and what ran at Stop's deadline.
  std::atomic<uint64_t> body_memory{0};  ///< Bytes held now.
};

/// Where to listen.
struct ListenOptions {
  std::string host = "127.0.0.1";  ///< IP address; IPv6 without brackets.
  uint16_t port = 0;               ///< 0: a free one.
  int backlog = 1024;
};

/// An HTTP/1.1 server over several event loops; a connection stays on its loop.
///
/// Order: construct -> Listen -> Stop -> destroy. Listen and Stop on the strand of `home`. `home`,
/// `loops` and `handler` outlive it.
class Server {
 public:
  /// @param home   accepts, and is where Stop is called.
  /// @param loops  where connections live, in turn; may be {&home}.
  Server(runtime::Runtime& home, std::vector<runtime::Runtime*> loops, Handler& handler,
         ServerLimits limits);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// kFailedPrecondition: the address is taken; kPermissionDenied; kInvalidArgument: no such
  /// address here. A sentence for a person.
  base::Result<> Listen(const ListenOptions& options);
  /// The same with a listener that is there already; simulation brings its own.
  void ListenOn(std::unique_ptr<runtime::Listener> listener);
  /// Of the listening socket.
  uint16_t port() const;
  /// No new connections and no new requests on the old ones from now on (they are answered
  /// `Connection: close`). Returns when all have ended; those still running at `deadline` are cut.
  runtime::Awaitable<void> Stop(base::SteadyTime deadline);
  const ServerCounters& counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace inferq::http
