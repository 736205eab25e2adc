#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/rng.h"

namespace inferq::obs {

/// W3C Trace Context, the header `traceparent` (https://www.w3.org/TR/trace-context/): which trace
/// a request belongs to, and which span of it sent the request.
struct TraceContext {
  std::string trace_id;  ///< 32 lower-case hexadecimal digits, not all 0.
  std::string span_id;   ///< 16, not all 0.
  uint8_t flags = 0;     ///< Bit 0: sampled.

  /// "00-TRACE-SPAN-FLAGS"
  std::string ToString() const;
};

/// nullopt: not well-formed; the standard says to begin a new trace then. Later versions are read
/// as far as they are like version 00.
std::optional<TraceContext> ParseTraceparent(std::string_view text);
/// A new trace.
std::string NewTraceparent(base::Rng& rng);
/// A new span of the same trace; a new trace when `traceparent` is not well-formed.
std::string ChildOf(std::string_view traceparent, base::Rng& rng);
/// "" when it is not well-formed.
std::string TraceIdOf(std::string_view traceparent);

}  // namespace inferq::obs
