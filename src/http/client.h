#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/message.h"
#include "http/pool.h"
#include "http/url.h"
#include "runtime/net.h"
#include "runtime/runtime.h"

namespace inferq::http {

/// An answer whose body is still coming. Not destroyed while Next is under way (cancel first);
/// destroying it before the end closes the connection. May outlive the client.
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;
  virtual const ResponseHead& head() const = 0;
  /// The next piece of the body, not empty; nullopt at its proper end. kUnavailable: cut off, or
  /// not proper HTTP; never an early end. Others as Client::Send.
  virtual runtime::Awaitable<base::Result<std::optional<std::string>>> Next() = 0;
};

/// Sends HTTP/1.1 requests over connections that it keeps. Redirects are not followed, nothing is
/// decompressed and no cookies are kept. All calls on one strand; `runtime` and `dialer` outlive
/// it.
///
/// A request that meets a kept connection which the server closed before answering is sent once
/// more, over a fresh connection, unless its body comes from a source that cannot restart. Nothing
/// else is repeated.
class Client {
 public:
  Client(runtime::Runtime& runtime, runtime::Dialer& dialer, PoolOptions options = {});

  /// Sends and reads all of the answer, whatever its status.
  /// @return kInvalidArgument: bad address or header. kUnavailable: no proper answer came; the
  /// sentence names
  ///         host and port and what to check. kDeadlineExceeded, kCancelled, kResourceExhausted
  ///         (max_body);
  ///         or what the body's source failed with.
  runtime::Awaitable<base::Result<Response>> Send(Request request);
  /// Sends and returns when the answer's head is there.
  runtime::Awaitable<base::Result<std::unique_ptr<ResponseStream>>> Open(Request request);
  /// Closes connections that are not in use.
  void CloseIdle() { pool_.CloseIdle(); }

 private:
  runtime::Runtime& runtime_;
  Pool pool_;
};

}  // namespace inferq::http
