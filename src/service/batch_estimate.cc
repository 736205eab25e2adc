#include "service/batch_estimate.h"

#include <algorithm>
#include <cmath>

namespace inferq::service {

using namespace std::chrono_literals;
using base::Micros;

namespace {

constexpr Micros kNarrowest = 1s;
constexpr Micros kWidest = 32s;
constexpr size_t kIntervals = 64;
constexpr size_t kUsualWindow = 16;  // intervals, where enough lines ended in them
constexpr size_t kShortestWindow = 4;
constexpr uint64_t kEnoughLines = 24;
constexpr uint64_t kFewestLines = 3;
constexpr size_t kParts = 8;
// What no window shows: the rate of tomorrow is not quite that of today.
constexpr double kDrift = 0.05;
constexpr double kMostError = 1.5;
// Of Student's distribution for so many parts: nine in ten are below.
constexpr double kNineInTen = 1.42;

double Seconds(Micros time) { return std::chrono::duration<double>(time).count(); }
Micros FromSeconds(double seconds) {
  constexpr double kCentury = 3.2e9;
  return Micros(static_cast<int64_t>(std::clamp(seconds, 0.0, kCentury) * 1e6));
}

}  // namespace

BatchProgress::BatchProgress(uint64_t lines, uint64_t cost)
    : lines_(lines), cost_(static_cast<double>(std::max(cost, lines))) {}

void BatchProgress::Succeeded(uint64_t cost, Micros took) {
  cost_seen_ += static_cast<double>(cost);
  took_ += Seconds(took);
  took_squared_ += Seconds(took) * Seconds(took);
  ++lines_seen_;
}

// Of lines that were not seen to end (they failed, or did before a restart) the mean cost is taken.
BatchProgress::Count BatchProgress::Total() const {
  double mean = cost_ / static_cast<double>(std::max<uint64_t>(1, lines_));
  uint64_t unseen = ended_ - std::min(ended_, lines_seen_);
  return {.cost = cost_seen_ + mean * static_cast<double>(unseen), .lines = ended_};
}

void BatchProgress::Observe(base::SteadyTime now, uint64_t ended) {
  ended_ = ended;
  if (!base_) {
    begin_ = now;
    width_ = kNarrowest;
    base_ = Total();
    intervals_ = {*base_};
  }
  ExtendTo(now);
  intervals_.back() = Total();
}

void BatchProgress::Restart() {
  base_.reset();
  intervals_.clear();
}

void BatchProgress::ExtendTo(base::SteadyTime now) {
  while (now >= begin_ + width_ * static_cast<int64_t>(intervals_.size())) {
    if (intervals_.size() == kIntervals && width_ < kWidest) HalveResolution();
    if (intervals_.size() == kIntervals) {
      base_ = intervals_.front();
      intervals_.erase(intervals_.begin());
      begin_ += width_;
    }
    intervals_.push_back(intervals_.back());
  }
}

void BatchProgress::HalveResolution() {
  for (size_t i = 0; i < kIntervals / 2; ++i) intervals_[i] = intervals_[2 * i + 1];
  intervals_.resize(kIntervals / 2);
  width_ *= 2;
}

const BatchProgress::Count& BatchProgress::Before(size_t i) const {
  return i == 0 ? *base_ : intervals_[std::min(i, intervals_.size()) - 1];
}

// The shortest window up to there that says enough; else all there is.
size_t BatchProgress::WindowBegin(size_t end) const {
  size_t begin = end - std::min(end, kUsualWindow);
  while (begin > 0 && Before(end).lines - Before(begin).lines < kEnoughLines) --begin;
  return begin;
}

BatchProgress::Rates BatchProgress::RatesOf(size_t begin, size_t end) const {
  Rates rates;
  rates.parts = std::min(kParts, end - begin);
  size_t length = (end - begin) / rates.parts;
  begin = end - length * rates.parts;
  rates.part_seconds = Seconds(width_) * static_cast<double>(length);
  rates.lines = Before(end).lines - Before(begin).lines;
  double n = static_cast<double>(rates.parts);
  rates.mean = (Before(end).cost - Before(begin).cost) / (rates.part_seconds * n);
  if (rates.mean <= 0) return rates;
  double squares = 0;
  for (size_t i = begin; i < end; i += length) {
    double rate = (Before(i + length).cost - Before(i).cost) / rates.part_seconds;
    squares += (rate / rates.mean - 1) * (rate / rates.mean - 1);
  }
  rates.relative_error = std::sqrt(squares / (n - 1));
  return rates;
}

// By how much of itself the time left may be off, as a standard deviation.
double BatchProgress::RelativeError(const Rates& recent, size_t end, double seconds_left) const {
  double variance = recent.relative_error * recent.relative_error;
  // The mean is off by its share of the parts' variance, and the time to come varies as they did.
  double error = variance / static_cast<double>(recent.parts) +
                 variance * recent.part_seconds / std::max(seconds_left, recent.part_seconds);
  error = std::max(error, 1 / static_cast<double>(recent.lines));
  // What the rate did over all that is remembered, beyond such noise, it may do again.
  Rates all = RatesOf(0, end);
  double wandered = all.relative_error * all.relative_error -
                    variance * recent.part_seconds / std::max(all.part_seconds, 1e-9);
  double remembered = all.part_seconds * static_cast<double>(all.parts);
  error += std::max(wandered, 0.0) * std::min(1.0, seconds_left / remembered);
  return std::min(std::sqrt(error + kDrift * kDrift), kMostError);
}

// At the end fewer lines than slots are left, and the longest of the last ones decides: how much
// later than the mean one it ends.
double BatchProgress::Drain(const Rates& recent, double lines_left) const {
  if (lines_seen_ == 0 || lines_left < 1) return 0;
  auto seen = static_cast<double>(lines_seen_);
  double mean = took_ / seen;
  double deviation = std::sqrt(std::max(0.0, took_squared_ / seen - mean * mean));
  double seconds = recent.part_seconds * static_cast<double>(recent.parts);
  double at_once = mean * static_cast<double>(recent.lines) / seconds;  // Little's law
  return deviation * std::sqrt(2 * std::log(std::clamp(at_once, 1.0, lines_left)));
}

std::optional<TimeLeft> BatchProgress::Estimate(base::SteadyTime now) const {
  if (!base_ || now < begin_) return std::nullopt;
  auto end = static_cast<size_t>((now - begin_) / width_);  // intervals that are over
  if (end < kShortestWindow) return std::nullopt;
  Rates recent = RatesOf(WindowBegin(end), end);
  if (recent.lines < kFewestLines || recent.mean <= 0) return std::nullopt;
  auto lines_left = static_cast<double>(lines_ - std::min(lines_, ended_));
  double line = took_ / static_cast<double>(std::max<uint64_t>(1, lines_seen_));
  double left = std::max(cost_ - Total().cost, lines_left) / recent.mean;
  if (lines_left > 0)
    left = std::max(left, line / 2);  // those that run have half of it behind them
  double drain = Drain(recent, lines_left);
  double factor = std::exp(kNineInTen * RelativeError(recent, end, left));
  double late = lines_left > 0 ? drain / 2 + line / 2 : 0;
  return TimeLeft{.p50 = FromSeconds(left + drain),
                  .p90 = FromSeconds(left * factor + drain + late),
                  .lines = recent.lines,
                  .window = FromSeconds(recent.part_seconds * static_cast<double>(recent.parts)),
                  .tokens_per_second = recent.mean};
}

}  // namespace inferq::service
