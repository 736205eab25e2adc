#include "obs/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace inferq::obs {
namespace {

constexpr size_t kLength = 55;  // of version 00
constexpr uint8_t kSampled = 1;
constexpr uint8_t kKnownFlags = kSampled;

bool IsLowerHex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f'); });
}

bool IsId(std::string_view text) {
  return IsLowerHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

// All zeros is no id.
uint64_t NotZero(base::Rng& rng) {
  uint64_t number = rng.Next();
  return number == 0 ? 1 : number;
}

std::string NewSpanId(base::Rng& rng) { return fmt::format("{:016x}", NotZero(rng)); }

}  // namespace

std::string TraceContext::ToString() const {
  return fmt::format("00-{}-{}-{:02x}", trace_id, span_id, flags);
}

std::optional<TraceContext> ParseTraceparent(std::string_view text) {
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
  std::string_view version = text.substr(0, 2), flags = text.substr(53, 2);
  if (!IsLowerHex(version) || version == "ff" || !IsLowerHex(flags)) return {};
  if (version == "00" ? text.size() != kLength : text.size() > kLength && text[kLength] != '-') {
    return {};
  }
  TraceContext context{.trace_id = std::string(text.substr(3, 32)),
                       .span_id = std::string(text.substr(36, 16))};
  if (!IsId(context.trace_id) || !IsId(context.span_id)) return {};
  std::from_chars(flags.data(), flags.data() + flags.size(), context.flags, 16);
  context.flags &= kKnownFlags;
  return context;
}

std::string NewTraceparent(base::Rng& rng) {
  uint64_t high = rng.Next(), low = NotZero(rng);
  return TraceContext{.trace_id = fmt::format("{:016x}{:016x}", high, low),
                      .span_id = NewSpanId(rng),
                      .flags = kSampled}
      .ToString();
}

std::string ChildOf(std::string_view traceparent, base::Rng& rng) {
  auto context = ParseTraceparent(traceparent);
  if (!context) return NewTraceparent(rng);
  context->span_id = NewSpanId(rng);
  return context->ToString();
}

std::string TraceIdOf(std::string_view traceparent) {
  auto context = ParseTraceparent(traceparent);
  return context ? context->trace_id : "";
}

}  // namespace inferq::obs
