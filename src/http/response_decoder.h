#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"

namespace inferq::http {

/// Takes an HTTP/1.1 answer apart as its bytes arrive, strictly: whatever leaves open where the
/// body ends, or whether all of it came, is an error. Interim answers (1xx) are skipped. No I/O.
/// One answer per decoder.
class ResponseDecoder {
 public:
  explicit ResponseDecoder(uint64_t max_body);
  ~ResponseDecoder();
  ResponseDecoder(const ResponseDecoder&) = delete;
  ResponseDecoder& operator=(const ResponseDecoder&) = delete;

  /// Takes the next bytes. kUnavailable: this is not proper HTTP. kResourceExhausted: over
  /// max_body, or the head is longer than 64 KiB. After a failure call nothing more.
  base::Result<> Feed(std::string_view bytes);
  /// The peer ended the connection. OK where that is how the body ends, else kUnavailable.
  base::Result<> FeedEnd();

  bool got_any() const { return got_any_; }
  bool head_done() const;
  bool done() const;
  /// Valid from head_done() on.
  const ResponseHead& head() const;
  /// Body bytes since the last call.
  std::string TakeBody();
  /// Body bytes so far.
  uint64_t body_size() const;
  /// Whether the connection can carry another request. Valid from done() on.
  bool keep_alive() const;

 private:
  class Parser;
  base::Result<> ParsePending();
  base::Result<> CheckHead();

  uint64_t max_body_;
  std::unique_ptr<Parser> parser_;
  std::string pending_;  // not parsed yet
  bool got_any_ = false;
  bool head_checked_ = false;
};

}  // namespace inferq::http
