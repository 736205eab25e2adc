#include "api/request_ids.h"

#include <fmt/format.h>

#include <algorithm>

namespace inferq::api {

namespace {

constexpr size_t kMaxClientId = 128;

bool IsVisible(char c) { return c > ' ' && c < 0x7F; }

}  // namespace

std::string RequestIds::Make(std::string_view prefix) {
  base::MutexLock lock(mutex_);
  uint64_t high = rng_.Next();
  return fmt::format("{}{:016x}{:016x}", prefix, high, rng_.Next());
}

std::string RequestIds::Of(const http::Headers& headers) {
  auto given = http::FindHeader(headers, "x-request-id");
  bool usable = given && !given->empty() && given->size() <= kMaxClientId &&
                std::ranges::all_of(*given, IsVisible);
  return usable ? std::string(*given) : Make("req_");
}

}  // namespace inferq::api
