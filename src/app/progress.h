#pragma once

#include <string>

#include "service/run_job.h"

namespace inferq::app {

/// "1,234,567"
std::string WithCommas(uint64_t n);
/// "7.3 s", "12:05", "3:04:05", "2d 03:04"
std::string Duration(double seconds);

/// "12.3 MB"
std::string Bytes(uint64_t n);

/// How far some work is, in the forms that a ProgressDisplay shows.
class ProgressView {
 public:
  virtual ~ProgressView() = default;
  /// One line of at most `width` columns for a terminal.
  virtual std::string Bar(int width) const = 0;
  /// One line for a log.
  virtual std::string Line() const = 0;
  /// One JSON object for a program.
  virtual std::string Json() const = 0;
};

/// "[#####-----]  tail" in at most `width` columns; the tail alone where there is no room.
std::string BarWithTail(uint64_t done, uint64_t total, const std::string& tail, int width);

/// One line of at most `width` columns for a terminal:
/// "[#####-----]  512/1,000  3 failed  812 tok/s  0:42 left"
std::string ProgressBar(const service::RunProgress& progress, int width);
/// One line for a log: "512 of 1,000 lines done (3 failed), 812 tok/s, about 0:42 left"
std::string ProgressLine(const service::RunProgress& progress);
/// One JSON object for a program; keys and units are documented in docs/run.md.
std::string ProgressJson(const service::RunProgress& progress);
/// These three as a view.
class RunProgressView final : public ProgressView {
 public:
  explicit RunProgressView(service::RunProgress progress) : progress_(progress) {}
  std::string Bar(int width) const override { return ProgressBar(progress_, width); }
  std::string Line() const override { return ProgressLine(progress_); }
  std::string Json() const override { return ProgressJson(progress_); }

 private:
  service::RunProgress progress_;
};

/// The last words of a run, several lines for a person.
std::string SummaryText(const service::RunSummary& summary, const std::string& output,
                        const std::string& errors);
/// The same as one JSON object.
std::string SummaryJson(const service::RunSummary& summary, const std::string& output,
                        const std::string& errors);

}  // namespace inferq::app
