#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace inferq::http {

/// Why a server does not take a request, and with which status it says so.
struct Refusal {
  int status = 400;
  std::string message;
};

/// Where a request's head ends.
enum class HeadEnd : uint8_t {
  kOpen,       ///< Not in these bytes.
  kFound,      ///< At `size`, behind the empty line.
  kMalformed,  ///< A bare LF, a bare CR or a control character: no head any more.
};
struct HeadScan {
  HeadEnd end = HeadEnd::kOpen;
  size_t size = 0;  ///< Where to go on with the next bytes, or the head's size.
};

/// Looks for the end of the head that `bytes` begin with, from `at` on, which is 0 or what the last
/// call for a beginning of the same bytes returned.
HeadScan ScanHead(std::string_view bytes, size_t at);

/// Checks a whole head, strictly (RFC 9112): what programs read in different ways is refused, so
/// that nobody in front of us sees other requests than we do. Stricter than the parser behind it.
std::expected<void, Refusal> CheckRequestHead(std::string_view head, size_t max_headers);

/// "/a%20b" as "/a b"; nullopt for a bad escape, a NUL or what is not UTF-8.
std::optional<std::string> DecodePath(std::string_view path);

}  // namespace inferq::http
