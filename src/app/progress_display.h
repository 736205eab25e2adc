#pragma once

#include <cstdio>
#include <string>

#include "app/progress.h"
#include "base/clock.h"

namespace inferq::app {

enum class ProgressStyle : uint8_t { kAuto, kQuiet, kJson };

/// Shows how far some work is on standard error: a bar that redraws itself on a terminal, a plain
/// line every few seconds elsewhere, JSON lines or nothing on request.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(ProgressStyle style);

  /// Call often (ten times a second is fine); decides itself when to print.
  void Update(const ProgressView& progress, base::SteadyTime now);
  /// Prints a message for a person without tearing the bar.
  void Say(const std::string& message);
  /// The summary, as text or JSON; in quiet mode only when not all is well.
  void Finish(const std::string& text, const std::string& json, bool all_well);

 private:
  enum class Mode : uint8_t { kBar, kLines, kJson, kQuiet };
  void ClearBar();
  void DrawBar(const ProgressView& progress);
  static int TerminalWidth();

  Mode mode_;
  base::SteadyTime next_{};
  bool bar_drawn_ = false;
};

}  // namespace inferq::app
