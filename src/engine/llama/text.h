#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace inferq::engine::llama {

/// Turns the bytes of tokens, which may cut characters, into valid UTF-8: an incomplete character
/// waits for its rest, invalid bytes become U+FFFD (one for each maximal part, as Unicode
/// recommends).
class Utf8Assembler {
 public:
  /// @return what is complete by now.
  std::string Feed(std::string_view bytes);
  /// What was still incomplete, as U+FFFD; "" otherwise.
  std::string Finish();

 private:
  std::string pending_;  // a prefix of a character, at most 3 bytes
};

/// Cuts the text before the first stop string, also one that spans several pieces: what may be the
/// beginning of one is held back until it is clear. Among several, the one that is complete first
/// counts.
class StopMatcher {
 public:
  /// Empty strings are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  /// @return what is certainly before any stop string. Nothing more once stopped().
  std::string Feed(std::string_view text);
  /// What was held back; to be called when the text has ended without a stop string.
  std::string Finish();
  bool stopped() const { return stopped_; }

 private:
  std::optional<size_t> FirstStop() const;

  std::vector<std::string> stops_;
  size_t longest_ = 0;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace inferq::engine::llama
