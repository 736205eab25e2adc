#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/rng.h"
#include "http/message.h"

namespace inferq::api {

/// Makes ids that do not repeat in practice: a prefix and 128 random bits. Any thread.
class RequestIds {
 public:
  explicit RequestIds(uint64_t seed) : rng_(seed) {}

  /// "req_" gives "req_0123…", 32 hexadecimal digits.
  std::string Make(std::string_view prefix);
  /// The client's X-Request-Id when it is 1..128 visible ASCII characters, else a new one.
  std::string Of(const http::Headers& headers);

 private:
  base::Mutex mutex_;
  base::Rng rng_ GUARDED_BY(mutex_);
};

}  // namespace inferq::api
