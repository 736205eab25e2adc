#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "http/message.h"

namespace inferq::api {

struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// The part of `size` bytes that a Range header asks for (RFC 9110): "bytes=a-b", "bytes=a-",
/// "bytes=-n". nullopt: all of it, which is also the answer to several ranges, other units,
/// malformed ones, and to If-Range, since nothing here has a validator. kOutOfRange: begins behind
/// the end (416).
base::Result<std::optional<ByteRange>> RequestedRange(const http::Headers& headers, uint64_t size);

}  // namespace inferq::api
