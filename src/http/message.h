#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/body_source.h"
#include "runtime/cancellation.h"

namespace inferq::http {

struct Header {
  std::string name;
  std::string value;
};
using Headers = std::vector<Header>;

/// The value of the first header of that name, whatever its case; nullopt when there is none.
std::optional<std::string_view> FindHeader(const Headers& headers, std::string_view name);

/// How long the phases of a request may take; each ends in kUnavailable.
struct Timeouts {
  base::Micros connect{10'000'000};  ///< Name look-up, connection and TLS together.
  base::Micros first_byte{
      600'000'000};  ///< From the request's last byte to the answer's first: the model works.
  base::Micros idle{60'000'000};  ///< Between two pieces of the answer, and of the request.
};

struct Request {
  std::string method = "GET";
  std::string url;
  Headers headers;  ///< Host, Content-Length, Connection and Accept are added.
  std::string body;
  std::shared_ptr<BodySource> body_source;  ///< Sent instead of `body` when there is one.
  base::SteadyTime deadline = base::SteadyTime::max();  ///< For all of it, then kDeadlineExceeded.
  Timeouts timeouts;
  uint64_t max_body =
      64u << 20;  ///< Bytes of the answer's body, decoded; more is kResourceExhausted.
  std::shared_ptr<runtime::Cancellation> cancel;  ///< Closes the connection: kCancelled.
  /// Set to true once there is a connection, so that a caller can tell a server that is not there
  /// from one that fails. May be null; must outlive the call.
  bool* connected = nullptr;
};

struct ResponseHead {
  int status = 0;
  Headers headers;
};

struct Response {
  ResponseHead head;
  std::string body;
};

}  // namespace inferq::http
