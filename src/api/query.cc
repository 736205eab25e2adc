#include "api/query.h"

#include <charconv>

namespace inferq::api {

namespace {

std::optional<char> HexByte(std::string_view digits) {
  uint8_t value = 0;
  auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != 2 || error != std::errc{} || stop != digits.data() + digits.size())
    return std::nullopt;
  return static_cast<char>(value);
}

std::optional<std::string> Decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i] == '+' ? ' ' : text[i]);
      continue;
    }
    auto byte = HexByte(text.substr(i + 1, 2));
    if (!byte) return std::nullopt;
    out.push_back(*byte);
    i += 2;
  }
  if (!wire::IsUtf8(out)) return std::nullopt;
  return out;
}

/// Cuts the text before the next `end` off, and that too.
std::string_view TakeUntil(std::string_view& text, char end) {
  std::string_view part = text.substr(0, text.find(end));
  text.remove_prefix(std::min(part.size() + 1, text.size()));
  return part;
}

}  // namespace

wire::ApiResult<std::optional<std::string>> FindParam(std::string_view query,
                                                      std::string_view name) {
  while (!query.empty()) {
    std::string_view value = TakeUntil(query, '&');
    if (Decode(TakeUntil(value, '=')) != name) continue;
    if (auto text = Decode(value)) return text;
    return std::unexpected(
        wire::BadRequest(fmt::format("Invalid '{}': not valid percent-encoded UTF-8.", name), name,
                         "invalid_value"));
  }
  return std::nullopt;
}

wire::ApiResult<uint32_t> IntegerParam(std::string_view query, std::string_view name, uint32_t min,
                                       uint32_t max, uint32_t otherwise) {
  INFERQ_ASSIGN(auto text, FindParam(query, name));
  if (!text) return otherwise;
  int64_t value = 0;
  auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc{} || stop != text->data() + text->size()) {
    return std::unexpected(wire::InvalidType(name, "an integer", wire::JsonType::kString));
  }
  if (value < min || value > max) return std::unexpected(wire::OutOfBounds(name, value, min, max));
  return static_cast<uint32_t>(value);
}

wire::ApiResult<PageQuery> ReadPageQuery(std::string_view query, uint32_t most, uint32_t usual) {
  INFERQ_ASSIGN(auto after, FindParam(query, "after"));
  INFERQ_ASSIGN(uint32_t limit, IntegerParam(query, "limit", 1, most, usual));
  return PageQuery{.after = std::move(after).value_or(""), .limit = limit};
}

}  // namespace inferq::api
