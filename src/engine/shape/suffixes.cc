#include "engine/shape/suffixes.h"

#include <utility>
#include <vector>

namespace inferq::engine {

namespace {

constexpr size_t kMostHeld = 4096;
constexpr std::string_view kSpace = " \t\r\n";

enum class LastMayBeCut : bool { kNo, kYes };

/// Where the endings begin, all of them; the text's size where there are none.
/// @param last  kYes: the last one may be the beginning of one.
size_t EndingsBegin(std::string_view text, std::span<const std::string> suffixes,
                    LastMayBeCut last) {
  // Whether from here on there are endings alone; from the back, as one is followed by others.
  std::vector<bool> endings(text.size() + 1);
  endings[text.size()] = true;
  size_t begin = text.size();
  for (size_t at = text.size(); at-- > 0;) {
    const std::string_view rest = text.substr(at);
    for (const std::string& suffix : suffixes) {
      bool found = last == LastMayBeCut::kYes && suffix.starts_with(rest);
      if (rest.starts_with(suffix)) {
        const size_t next = text.find_first_not_of(kSpace, at + suffix.size());
        found = next == text.npos || endings[next];
      }
      if (found) endings[begin = at] = true;
    }
  }
  return begin;
}

}  // namespace

std::string_view CutSuffixes(std::string_view text, std::span<const std::string> suffixes) {
  return text.substr(0, EndingsBegin(text, suffixes, LastMayBeCut::kNo));
}

std::string SuffixCutter::Feed(std::string_view piece) {
  held_ += piece;
  size_t stays = EndingsBegin(held_, suffixes_, LastMayBeCut::kYes);
  if (held_.size() - stays > kMostHeld) stays = held_.size();
  std::string out = held_.substr(0, stays);
  held_.erase(0, stays);
  return out;
}

std::string SuffixCutter::End() {
  const std::string rest = std::exchange(held_, {});
  return std::string(CutSuffixes(rest, suffixes_));
}

}  // namespace inferq::engine
