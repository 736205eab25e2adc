#include "app/progress_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

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

void ProgressDisplay::Update(const ProgressView& progress, base::SteadyTime now) {
  if (mode_ == Mode::kQuiet || now < next_) return;
  bool first = next_ == base::SteadyTime{};
  next_ = now + (mode_ == Mode::kBar    ? kBarInterval
                 : mode_ == Mode::kJson ? kJsonInterval
                                        : kLineInterval);
  if (mode_ == Mode::kBar) return DrawBar(progress);
  if (mode_ == Mode::kLines && first) return;  // nothing to tell yet
  std::string line = mode_ == Mode::kJson ? progress.Json() : progress.Line();
  std::fprintf(stderr, "%s\n", line.c_str());
}

void ProgressDisplay::Say(const std::string& message) {
  ClearBar();
  std::fprintf(stderr, "%s\n", message.c_str());
}

void ProgressDisplay::Finish(const std::string& text, const std::string& json, bool all_well) {
  ClearBar();
  if (mode_ == Mode::kQuiet && all_well) return;
  std::fprintf(stderr, "%s\n", mode_ == Mode::kJson ? json.c_str() : text.c_str());
}

void ProgressDisplay::DrawBar(const ProgressView& progress) {
  std::string bar = progress.Bar(TerminalWidth());
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
