#pragma once

#include <cstdio>
#include <string>

#include "base/clock.h"
#include "service/run_job.h"

namespace inferq::app {

enum class ProgressStyle : uint8_t { kAuto, kQuiet, kJson };

/// Shows how far a run is on standard error: a bar that redraws itself on a terminal, a plain line
/// every few seconds elsewhere, JSON lines or nothing on request.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(ProgressStyle style);

  /// Call often (ten times a second is fine); decides itself when to print.
  void Update(const service::RunProgress& progress, base::SteadyTime now);
  /// Prints a message for a person without tearing the bar.
  void Say(const std::string& message);
  /// The summary; in quiet mode only when lines failed or are left.
  void Finish(const service::RunSummary& summary, const std::string& output,
              const std::string& errors);

 private:
  enum class Mode : uint8_t { kBar, kLines, kJson, kQuiet };
  void ClearBar();
  void DrawBar(const service::RunProgress& progress);
  static int TerminalWidth();

  Mode mode_;
  base::SteadyTime next_{};
  bool bar_drawn_ = false;
};

}  // namespace inferq::app
