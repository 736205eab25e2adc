#include "api/byte_range.h"

#include <algorithm>
#include <charconv>

namespace inferq::api {

namespace {

std::optional<uint64_t> ParseNumber(std::string_view digits) {
  uint64_t value = 0;
  auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || stop != digits.data() + digits.size()) return std::nullopt;
  return value;
}

base::Result<std::optional<ByteRange>> Suffix(std::string_view digits, uint64_t size) {
  auto length = ParseNumber(digits);
  if (!length) return std::nullopt;
  if (*length == 0 || size == 0) {
    return base::Fail(base::Code::kOutOfRange, "The range -{} has no byte of {}.", *length, size);
  }
  uint64_t most = std::min(*length, size);
  return ByteRange{.offset = size - most, .length = most};
}

}  // namespace

base::Result<std::optional<ByteRange>> RequestedRange(const http::Headers& headers, uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  auto header = http::FindHeader(headers, "range");
  if (!header || !header->starts_with(kUnit)) return std::nullopt;
  if (http::FindHeader(headers, "if-range")) return std::nullopt;
  std::string_view spec = header->substr(kUnit.size());
  size_t dash = spec.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  if (dash == 0) return Suffix(spec.substr(1), size);
  auto first = ParseNumber(spec.substr(0, dash));
  std::string_view end = spec.substr(dash + 1);
  auto last = end.empty() ? UINT64_MAX : ParseNumber(end);
  if (!first || !last || *last < *first) return std::nullopt;
  if (*first >= size) {
    return base::Fail(base::Code::kOutOfRange,
                      "The range begins at byte {}, but the file has {} bytes.", *first, size);
  }
  return ByteRange{.offset = *first, .length = std::min(*last, size - 1) - *first + 1};
}

}  // namespace inferq::api
