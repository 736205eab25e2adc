#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/auth.h"
#include "base/clock.h"

namespace inferq::api {

/// The longest bodies that are taken, in bytes; more is 413.
struct BodyLimits {
  uint64_t upload = 8ull << 30;      ///< Of one file, without the form around it.
  uint64_t batch_file = UINT64_MAX;  ///< Of one for batches, if less.
  uint64_t part = 64u << 20;         ///< Of a part of an upload.
  uint64_t parts = 8ull << 30;       ///< Of all parts of an upload together.
  uint64_t online = 32u << 20;       ///< Screenshots come inline.
  uint64_t batch = 32u << 20;        ///< Its requests may stand in it.
  uint64_t tasks = 64u << 20;        ///< Of one submission.
  uint64_t workers = 64u << 20;      ///< Results, checkpoints and errors of one call.
  uint64_t small = 1u << 20;         ///< Calls that carry no payload.
};

/// One request, when it is over.
struct AccessRecord {
  std::string method;
  std::string_view route;  ///< The pattern, for example "/files/{id}"; "" when none matched.
  int status = 0;          ///< 0: the client was gone before the answer.
  std::string tenant;      ///< "" when it is not known.
  std::string request_id;
  std::string trace_id;  ///< 32 hexadecimal digits; "" is none.
  std::string peer;
  uint64_t bytes_received = 0;  ///< Of the bodies.
  uint64_t bytes_sent = 0;
  base::Micros duration{0};
};

struct GatewayOptions {
  KeyRing keys;
  BodyLimits limits;
  /// A stream's status waits so long for its first text; then it goes out with a comment, and a
  /// failure is no plain error any more.
  base::Micros hold{50'000'000};
  base::Micros keep_alive{15'000'000};  ///< Later silence before a comment is sent.
  /// Gets every request when it is over, for logs and metrics; on the loop of its connection, so
  /// possibly on several at once. May be null.
  std::function<void(const AccessRecord&)> observe;
  /// The traceparent to work under, given the client's. Any thread. Null: the client's.
  std::function<std::string(std::optional<std::string> given)> trace;
  uint64_t seed = 1;  ///< Of the ids of requests and answers.
};

}  // namespace inferq::api
