#include "service/result_offset.h"

#include <fmt/format.h>

#include <charconv>

namespace inferq::service {

using base::Result;

namespace {

std::unexpected<base::Error> BadOffset(std::string_view why) {
  return std::unexpected(
      base::Error(base::Code::kInvalidArgument,
                  fmt::format("Invalid 'after': {}. Give an offset as this call answered it, or "
                              "none to read from the beginning.",
                              why))
          .WithParam("after"));
}

// Takes "1f" and, but for the last one, the dot behind it.
bool TakeNumber(std::string_view& text, uint64_t& number, bool last) {
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, number, 16);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  if (last) return text.empty();
  if (!text.starts_with('.')) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string ToString(const ResultOffset& offset) {
  return fmt::format("{}{:x}.{:x}.{:x}.{:x}", static_cast<char>(offset.filter), offset.batch,
                     offset.finish_sequence, offset.output_bytes, offset.error_bytes);
}

Result<ResultOffset> ParseResultOffset(std::string_view text, const ResultOffset& begin) {
  if (text.empty()) return begin;
  ResultOffset offset{.filter = static_cast<ResultFilter>(text.front())};
  std::string_view rest = text.substr(1);
  bool whole =
      TakeNumber(rest, offset.batch, false) && TakeNumber(rest, offset.finish_sequence, false) &&
      TakeNumber(rest, offset.output_bytes, false) && TakeNumber(rest, offset.error_bytes, true);
  if (!whole || ToString(offset) != text) return BadOffset("it is not an offset");
  if (offset.batch != begin.batch) return BadOffset("it is an offset of another batch");
  if (offset.filter != begin.filter) return BadOffset("it was made with another 'status'");
  return offset;
}

}  // namespace inferq::service
