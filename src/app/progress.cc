#include "app/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "wire/json.h"

namespace inferq::app {
namespace {

using service::RunProgress;

double Seconds(base::Micros duration) { return std::chrono::duration<double>(duration).count(); }

double PerSecond(uint64_t n, base::Micros elapsed) {
  double seconds = Seconds(elapsed);
  return seconds > 0 ? static_cast<double>(n) / seconds : 0;
}

double TokensPerSecond(const RunProgress& progress) {
  return PerSecond(progress.new_completion_tokens, progress.elapsed);
}

// From the mean pace of this process; nothing before the first line has ended.
std::optional<double> SecondsLeft(const RunProgress& progress) {
  uint64_t ended_here = progress.done() - std::min(progress.resumed, progress.done());
  if (ended_here == 0 || progress.total < progress.done()) return std::nullopt;
  return static_cast<double>(progress.total - progress.done()) * Seconds(progress.elapsed) /
         static_cast<double>(ended_here);
}

std::string Counts(const RunProgress& progress) {
  return fmt::format("{}/{}", WithCommas(progress.done()), WithCommas(progress.total));
}

std::string Failures(const RunProgress& progress, const char* format) {
  if (progress.failed == 0) return "";
  return fmt::format(fmt::runtime(format), WithCommas(progress.failed));
}

std::string JsonCounts(const RunProgress& progress) {
  return fmt::format(
      R"("total":{},"succeeded":{},"failed":{},"resumed":{},"running":{},"retries":{},)"
      R"("new_prompt_tokens":{},"new_completion_tokens":{},"elapsed_s":{:.3f},"tokens_per_s":{:.2f})",
      progress.total, progress.succeeded, progress.failed, progress.resumed, progress.running,
      progress.retries, progress.new_prompt_tokens, progress.new_completion_tokens,
      Seconds(progress.elapsed), TokensPerSecond(progress));
}

}  // namespace

std::string WithCommas(uint64_t n) {
  std::string digits = std::to_string(n);
  for (size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string Duration(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  auto s = static_cast<uint64_t>(std::llround(seconds));
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}d {:02}:{:02}", s / 86400, s / 3600 % 24, s / 60 % 60);
}

std::string Bytes(uint64_t n) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  if (n < 1000) return fmt::format("{} B", n);
  size_t unit = 0;
  double value = static_cast<double>(n);
  for (; value >= 999.95 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string BarWithTail(uint64_t done, uint64_t total, const std::string& tail, int width) {
  int room = width - static_cast<int>(tail.size()) - 5;
  if (room < 8) return tail.substr(0, static_cast<size_t>(std::max(width - 1, 0)));
  auto cells = static_cast<uint64_t>(std::min(room, 40));
  uint64_t full = total == 0 ? cells : cells * std::min(done, total) / total;
  return "[" + std::string(full, '#') + std::string(cells - full, '-') + "]  " + tail;
}

std::string ProgressBar(const RunProgress& progress, int width) {
  if (progress.phase == RunProgress::Phase::kPreparing) return "preparing";
  if (progress.phase == RunProgress::Phase::kReading) {
    return fmt::format("reading {} lines", WithCommas(progress.read));
  }
  std::string tail = Counts(progress) + Failures(progress, "  {} failed");
  tail += fmt::format("  {:.0f} tok/s", TokensPerSecond(progress));
  if (auto left = SecondsLeft(progress)) tail += fmt::format("  {} left", Duration(*left));
  return BarWithTail(progress.done(), progress.total, tail, width);
}

std::string ProgressLine(const RunProgress& progress) {
  if (progress.phase == RunProgress::Phase::kPreparing) return "preparing the engine";
  if (progress.phase == RunProgress::Phase::kReading) {
    return fmt::format("read {} lines so far", WithCommas(progress.read));
  }
  std::string line = fmt::format("{} of {} lines done{}, {:.0f} tok/s", WithCommas(progress.done()),
                                 WithCommas(progress.total), Failures(progress, " ({} failed)"),
                                 TokensPerSecond(progress));
  if (auto left = SecondsLeft(progress)) line += fmt::format(", about {} left", Duration(*left));
  return line;
}

std::string ProgressJson(const RunProgress& progress) {
  constexpr const char* kPhases[] = {"preparing", "reading", "running", "done"};
  return fmt::format(R"({{"event":"progress","phase":"{}",{}}})",
                     kPhases[static_cast<size_t>(progress.phase)], JsonCounts(progress));
}

std::string SummaryText(const service::RunSummary& summary, const std::string& output,
                        const std::string& errors) {
  const RunProgress& progress = summary.progress;
  const service::OutputTotals& totals = summary.totals;
  std::string text = fmt::format(
      "{}: {} of {} lines succeeded, {} failed", summary.interrupted ? "interrupted" : "done",
      WithCommas(totals.succeeded), WithCommas(progress.total), WithCommas(totals.failed));
  if (progress.resumed > 0) text += fmt::format(" ({} from before)", WithCommas(progress.resumed));
  text += fmt::format("\ntokens: {} in, {} out", WithCommas(totals.prompt_tokens),
                      WithCommas(totals.completion_tokens));
  if (totals.cached_tokens > 0) {
    text += fmt::format(" ({} of the prompts computed, {} at best)",
                        WithCommas(totals.prompt_tokens - totals.cached_tokens),
                        WithCommas(totals.distinct_tokens));
  }
  text += fmt::format("; this time {} out in {}, {:.1f} tok/s",
                      WithCommas(progress.new_completion_tokens),
                      Duration(Seconds(progress.elapsed)), TokensPerSecond(progress));
  if (totals.succeeded > 0) text += "\nresults: " + output;
  if (totals.failed > 0) text += "\nerrors:  " + errors;
  if (summary.interrupted) text += "\nThe same command goes on where this one stopped.";
  return text;
}

std::string SummaryJson(const service::RunSummary& summary, const std::string& output,
                        const std::string& errors) {
  return fmt::format(
      R"({{"event":"summary","interrupted":{},{},"prompt_tokens":{},"cached_tokens":{},"distinct_tokens":{},"completion_tokens":{},)"
      R"("output":{},"errors":{}}})",
      summary.interrupted, JsonCounts(summary.progress), summary.totals.prompt_tokens,
      summary.totals.cached_tokens, summary.totals.distinct_tokens,
      summary.totals.completion_tokens, wire::JsonString(output),
      summary.totals.failed > 0 ? wire::JsonString(errors) : "null");
}

}  // namespace inferq::app
