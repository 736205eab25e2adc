#include "engine/llama/seen_prefixes.h"

namespace inferq::engine::llama {
namespace {

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): each input bit changes half of the output.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

SeenPrefixes::SeenPrefixes(unsigned slots_log2)
    : shift_(64 - slots_log2), slots_(size_t{1} << slots_log2) {}

size_t SeenPrefixes::Add(std::span<const int32_t> prompt) {
  size_t seen = 0;
  uint64_t chain = 0;  // of all tokens up to here
  for (size_t i = 0; i < prompt.size(); ++i) {
    chain = Mix(chain ^ static_cast<uint32_t>(prompt[i]));
    const uint32_t mark = static_cast<uint32_t>(chain) | 1;
    uint32_t& slot = slots_[chain >> shift_];
    if (slot == mark) seen = i + 1;  // shorter ones may have been displaced
    slot = mark;
  }
  return seen;
}

}  // namespace inferq::engine::llama
