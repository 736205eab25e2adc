#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace inferq::engine::llama {

/// How much of a prompt an earlier one began with, over all prompts of an engine's life, in fixed
/// memory: 32 bits for each beginning, in a table in which newer ones displace older ones. So the
/// sum of what Add does not find is the number of tokens that a perfect prefix cache would compute:
/// exact until the table fills up, then an upper bound (but for one in two billion). Pure.
class SeenPrefixes {
 public:
  /// @param slots_log2  2^slots_log2 positions are remembered, in 4 bytes each.
  explicit SeenPrefixes(unsigned slots_log2 = 22);

  /// @return how many of the first tokens have begun an earlier prompt.
  size_t Add(std::span<const int32_t> prompt);

 private:
  unsigned shift_;
  std::vector<uint32_t> slots_;  // 0: empty
};

}  // namespace inferq::engine::llama
