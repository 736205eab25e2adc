#pragma once

#include <span>
#include <string>
#include <string_view>

namespace inferq::engine {

/// What is left of a text when these endings are cut off, as often as they stand there, each with
/// the white space behind it. Suffixes are valid UTF-8, not empty, and neither begin nor end with
/// white space. Pure.
std::string_view CutSuffixes(std::string_view text, std::span<const std::string> suffixes);

/// The same for a text that comes in pieces: what may belong to such an ending is held back until
/// that is decided, at most 4 KiB of it; a longer run of endings stays.
class SuffixCutter {
 public:
  /// @param suffixes  outlive it.
  explicit SuffixCutter(std::span<const std::string> suffixes) : suffixes_(suffixes) {}

  /// @return what certainly stays, of this piece and those before.
  std::string Feed(std::string_view piece);
  /// There is no more. @return the rest that stays.
  std::string End();

 private:
  std::span<const std::string> suffixes_;
  std::string held_;
};

}  // namespace inferq::engine
