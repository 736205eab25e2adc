#include "engine/llama/text.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace inferq::engine::llama {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

struct Scan {
  size_t length;  // bytes looked at, >= 1
  enum { kValid, kInvalid, kIncomplete } state;
};

struct Lead {
  size_t length = 0;   // of the character; 0: not a first byte
  uint8_t low = 0x80;  // bounds of the second byte
  uint8_t high = 0xbf;
};

// Table 3-7 of the Unicode standard.
Lead LeadOf(uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xc2) return {0};
  if (byte < 0xe0) return {2};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte < 0xf0) return {3};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte < 0xf4) return {4};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0};
}

// Looks at the character at the beginning of `text`, which is not empty.
Scan ScanCharacter(std::string_view text) {
  const Lead lead = LeadOf(static_cast<uint8_t>(text[0]));
  if (lead.length == 0) return {1, Scan::kInvalid};
  for (size_t i = 1; i < lead.length; ++i) {
    if (i == text.size()) return {i, Scan::kIncomplete};
    const auto byte = static_cast<uint8_t>(text[i]);
    const uint8_t low = i == 1 ? lead.low : uint8_t{0x80};
    const uint8_t high = i == 1 ? lead.high : uint8_t{0xbf};
    if (byte < low || byte > high) return {i, Scan::kInvalid};
  }
  return {lead.length, Scan::kValid};
}

}  // namespace

std::string Utf8Assembler::Feed(std::string_view bytes) {
  std::string joined = std::exchange(pending_, {});
  joined.append(bytes);
  std::string out;
  for (std::string_view rest = joined; !rest.empty();) {
    const Scan scan = ScanCharacter(rest);
    if (scan.state == Scan::kIncomplete) {
      pending_ = rest;
      break;
    }
    out.append(scan.state == Scan::kValid ? rest.substr(0, scan.length) : kReplacement);
    rest.remove_prefix(scan.length);
  }
  return out;
}

std::string Utf8Assembler::Finish() {
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacement);
}

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, "");
  for (const std::string& stop : stops_) longest_ = std::max(longest_, stop.size());
}

std::string StopMatcher::Feed(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(text);
  held_.append(text);
  if (const auto cut = FirstStop()) {
    stopped_ = true;
    held_.resize(*cut);
    return std::exchange(held_, {});
  }
  // Keep the longest ending that some stop string begins with.
  size_t keep = std::min(held_.size(), longest_ - 1);
  const auto begins_a_stop = [this](std::string_view tail) {
    return std::ranges::any_of(stops_, [&](const std::string& s) { return s.starts_with(tail); });
  };
  while (keep > 0 && !begins_a_stop(std::string_view(held_).substr(held_.size() - keep))) --keep;
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

// Where the stop string begins that is complete first, so that the answer does not depend on how
// the text was cut into pieces.
std::optional<size_t> StopMatcher::FirstStop() const {
  std::optional<size_t> begin;
  size_t first_end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos || at + stop.size() > first_end) continue;
    if (at + stop.size() == first_end && at > *begin) continue;
    begin = at;
    first_end = at + stop.size();
  }
  return begin;
}

std::string StopMatcher::Finish() { return std::exchange(held_, {}); }

}  // namespace inferq::engine::llama
