#include "app/progress_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "app/progress.h"

namespace inferq::app {
namespace {

using namespace std::chrono_literals;

constexpr base::Micros kBarInterval = 200ms;
constexpr base::Micros kLineInterval = 5s;
constexpr base::Micros kJsonInterval = 1s;

}  // namespace

ProgressDisplay::ProgressDisplay(ProgressStyle style) {
  if (style == ProgressStyle::kQuiet) {
    mode_ = Mode::kQuiet;
  } else if (style == ProgressStyle::kJson) {
    mode_ = Mode::kJson;
  } else {
    mode_ = ::isatty(STDERR_FILENO) ? Mode::kBar : Mode::kLines;
  }
}

void ProgressDisplay::Update(const service::RunProgress& progress, base::SteadyTime now) {
  if (mode_ == Mode::kQuiet || now < next_) return;
  bool first = next_ == base::SteadyTime{};
  next_ = now + (mode_ == Mode::kBar    ? kBarInterval
                 : mode_ == Mode::kJson ? kJsonInterval
                                        : kLineInterval);
  if (mode_ == Mode::kBar) return DrawBar(progress);
  if (mode_ == Mode::kLines && first) return;  // nothing to tell yet
  std::string line = mode_ == Mode::kJson ? ProgressJson(progress) : ProgressLine(progress);
  std::fprintf(stderr, "%s\n", line.c_str());
}

void ProgressDisplay::Say(const std::string& message) {
  ClearBar();
  std::fprintf(stderr, "%s\n", message.c_str());
}

void ProgressDisplay::Finish(const service::RunSummary& summary, const std::string& output,
                             const std::string& errors) {
  ClearBar();
  bool all_well = summary.totals.failed == 0 && !summary.interrupted;
  if (mode_ == Mode::kQuiet && all_well) return;
  std::string text = mode_ == Mode::kJson ? SummaryJson(summary, output, errors)
                                          : SummaryText(summary, output, errors);
  std::fprintf(stderr, "%s\n", text.c_str());
}

void ProgressDisplay::DrawBar(const service::RunProgress& progress) {
  std::string bar = ProgressBar(progress, TerminalWidth());
  std::fprintf(stderr, "\r\x1b[K%s", bar.c_str());
  std::fflush(stderr);
  bar_drawn_ = true;
}

void ProgressDisplay::ClearBar() {
  if (bar_drawn_) std::fputs("\r\x1b[K", stderr);
  bar_drawn_ = false;
}

int ProgressDisplay::TerminalWidth() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace inferq::app
