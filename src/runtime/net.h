#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "runtime/awaitable.h"
#include "runtime/cancellation.h"
#include "runtime/runtime.h"

namespace inferq::runtime {

/// A connection: bytes both ways, in order. The seam between protocols and sockets; simulation puts
/// a network behind it that delays and cuts. One Read and one Write at a time, on one strand. Not
/// destroyed while a call is under way: Close() ends those first. The destructor closes.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Waits for at least one byte. @return how many; 0: the peer ended its side properly (over TLS:
  /// with a close notice). kUnavailable: reset or cut. kCancelled: Close() was called.
  virtual Awaitable<base::Result<size_t>> Read(std::span<char> out) = 0;
  /// Writes all of `first`, then all of `second`; both must stay until it returns. Errors as Read.
  virtual Awaitable<base::Result<>> Write(std::string_view first, std::string_view second) = 0;
  /// Ends a Read under way with kCancelled. The connection stays as it is (not over TLS, where it
  /// can only be closed then).
  virtual void CancelRead() = 0;
  /// Tells the peer that nothing follows; its own bytes still come. Not during a Write.
  virtual void ShutdownSend() = 0;
  /// False when the peer has closed, or sent bytes that nobody asked for: do not use an idle
  /// connection again.
  virtual bool Reusable() = 0;
  /// Ends calls under way with kCancelled, and the connection. Idempotent.
  virtual void Close() = 0;
  /// The same, but the peer sees a reset, which cannot be taken for a proper end.
  virtual void Reset() = 0;
};

/// Where to connect to.
struct Address {
  std::string host;  ///< Name or IP address, IPv6 without brackets.
  uint16_t port = 0;
  bool tls = false;

  /// "host:port", for people.
  std::string ToString() const;
  friend bool operator==(const Address&, const Address&) = default;
  friend auto operator<=>(const Address&, const Address&) = default;
};

/// Takes connections on an address. On the strand of the runtime that made it.
class Listener {
 public:
  virtual ~Listener() = default;
  /// The next connection, as a stream on the strand of `home`. kResourceExhausted: no descriptors
  /// left, try again later. kCancelled: Close() was called.
  virtual Awaitable<base::Result<std::unique_ptr<Stream>>> Accept(Runtime& home) = 0;
  virtual uint16_t port() const = 0;
  /// "host:port" of the other end of a stream that it gave.
  virtual std::string PeerOf(const Stream& stream) const = 0;
  virtual void Close() = 0;
};

/// Makes connections. Outlives them.
class Dialer {
 public:
  virtual ~Dialer() = default;
  /// Looks the name up, connects and, for TLS, checks the certificate. Never later than `deadline`.
  /// kUnavailable with a sentence that says what to check; kDeadlineExceeded; kCancelled.
  virtual Awaitable<base::Result<std::unique_ptr<Stream>>> Dial(
      Address address, base::SteadyTime deadline, std::shared_ptr<Cancellation> cancel) = 0;
};

}  // namespace inferq::runtime
