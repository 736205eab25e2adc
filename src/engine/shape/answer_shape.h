#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/shape/suffixes.h"
#include "wire/json.h"

namespace inferq::engine {

/// What a model's requests and answers are changed in, where its operator wants that.
struct AnswerShape {
  std::vector<std::string> stop;          ///< Added to `stop` of every request for text.
  std::vector<std::string> strip_suffix;  ///< Cut off the end of every text (suffixes.h).
  /// Streams get the whole answer at once, so that an attempt may fail up to its end unseen.
  bool buffer_stream = false;

  bool empty() const { return stop.empty() && strip_suffix.empty() && !buffer_stream; }
};

/// The body with more texts in its `stop`, those that it has first. A `stop` of a wrong type stays,
/// for the engine to refuse.
std::string WithStops(wire::JsonValue body, const std::vector<std::string>& added);

/// Cuts the suffixes off an answer's texts, in whatever form it comes: text, a whole body, or
/// chunks, of several choices too. Everything else of bodies and chunks stays as it is.
class AnswerTrimmer {
 public:
  /// @param suffixes  outlive it.
  AnswerTrimmer(Endpoint endpoint, const std::vector<std::string>& suffixes)
      : chat_(endpoint == Endpoint::kChatCompletions), suffixes_(suffixes) {}

  void Trim(Delta& delta);

 private:
  std::string TrimBody(const std::string& body) const;
  std::string TrimChunk(const std::string& chunk);
  SuffixCutter& CutterOf(int64_t choice) {
    return choices_.try_emplace(choice, suffixes_).first->second;
  }
  std::string EndOf(int64_t choice);

  bool chat_;
  bool in_chunks_ = false;
  const std::vector<std::string>& suffixes_;
  std::map<int64_t, SuffixCutter> choices_;  // that have not ended, by index
};

}  // namespace inferq::engine
