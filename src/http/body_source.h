#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "runtime/awaitable.h"

namespace inferq::http {

/// A request's body that is read while it is sent, so that it need not fit into memory.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// Bytes of the whole body; does not change.
  virtual uint64_t size() const = 0;
  /// The next piece, not empty. Asked for no more than size() bytes; an end before that is an
  /// error of the source, and ends the request with it.
  virtual runtime::Awaitable<base::Result<std::string>> Next() = 0;
  /// Goes back to the first byte. False: it cannot, so the request is not sent a second time.
  virtual bool Restart() = 0;
};

}  // namespace inferq::http
