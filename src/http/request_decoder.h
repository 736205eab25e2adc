#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"

namespace inferq::http {

/// Takes one request apart whose head CheckRequestHead has passed. No I/O.
class RequestDecoder {
 public:
  /// Chunk sizes with their extensions, and trailers, beyond this are refused.
  static constexpr size_t kMaxChunkHead = 8u << 10;

  /// @param head  whole, with its empty line.
  static base::Result<std::unique_ptr<RequestDecoder>> Make(std::string_view head);
  ~RequestDecoder();
  RequestDecoder(const RequestDecoder&) = delete;
  RequestDecoder& operator=(const RequestDecoder&) = delete;

  const std::string& method() const;
  const std::string& target() const;
  int minor_version() const;
  /// Of the head; trailers are dropped.
  Headers& headers();
  /// What the client wants.
  bool keep_alive() const;
  /// nullopt: chunked.
  std::optional<uint64_t> content_length() const;

  /// Takes bytes of the body off the front of `bytes`. @return how many; what it left, it wants
  /// again with more behind it (or they are the next request's, once done). kInvalidArgument: bad
  /// chunks.
  base::Result<size_t> Feed(std::string_view bytes);
  bool done() const;
  /// Body bytes since the last call.
  std::string TakeBody();
  /// Bytes of the body that are still to come, as far as the head told; 0 for chunks.
  uint64_t remaining() const;

 private:
  class Parser;
  explicit RequestDecoder(std::unique_ptr<Parser> parser);
  std::unique_ptr<Parser> parser_;
};

}  // namespace inferq::http
