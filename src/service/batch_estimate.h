#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace inferq::service {

/// How long a running batch will still take.
struct TimeLeft {
  base::Micros p50{0};  ///< As likely longer as shorter.
  base::Micros p90{0};  ///< Nine times in ten it is done by then, if what runs beside it stays.
  // What that was made of: the lines that ended within the last so long, and how fast.
  uint64_t lines = 0;
  base::Micros window{0};
  double tokens_per_second = 0;  ///< Of the estimated cost of lines, prompt and answer.
};

/// Watches the lines of one batch end, and says from their rate when the rest will have. Rates are
/// in cost, since lines differ, over a recent window, since what runs beside them changes; how much
/// the rate varied within the window is how far the estimate may be off. Pure: time comes in.
///
/// Memory: some 1 KiB, whatever the batch's length. A restart of the process forgets it.
class BatchProgress {
 public:
  /// @param cost  of all `lines` together, as estimated before they ran.
  BatchProgress(uint64_t lines, uint64_t cost);

  /// A line has got its answer, in so long.
  void Succeeded(uint64_t cost, base::Micros took);
  /// So many lines have ended so far, however. Call after each ending; the first call is where
  /// watching begins. `now` does not fall.
  void Observe(base::SteadyTime now, uint64_t ended);
  /// Forgets the rate: time has passed in which none were to run.
  void Restart();
  /// nullopt while too little is known.
  std::optional<TimeLeft> Estimate(base::SteadyTime now) const;

 private:
  /// Ended so far.
  struct Count {
    double cost = 0;
    uint64_t lines = 0;
  };
  /// Rates of equal parts of the window.
  struct Rates {
    double mean = 0;
    double relative_error = 0;  ///< Standard deviation of one part, by the mean.
    size_t parts = 0;
    double part_seconds = 0;
    uint64_t lines = 0;
  };

  Count Total() const;
  void ExtendTo(base::SteadyTime now);
  void HalveResolution();
  /// At the begin of interval `i`.
  const Count& Before(size_t i) const;
  size_t WindowBegin(size_t end) const;
  Rates RatesOf(size_t begin, size_t end) const;
  double RelativeError(const Rates& recent, size_t end, double seconds_left) const;
  double Drain(const Rates& recent, double lines_left) const;

  const uint64_t lines_;
  const double cost_;
  double cost_seen_ = 0;     // of the lines that got their answer
  uint64_t lines_seen_ = 0;  // these
  double took_ = 0;          // seconds, of all of these
  double took_squared_ = 0;
  uint64_t ended_ = 0;

  base::SteadyTime begin_{};
  base::Micros width_{0};           // of an interval
  std::optional<Count> base_;       // at begin_; nullopt: not watching yet
  std::vector<Count> intervals_{};  // at the end of each; the last one is under way
};

}  // namespace inferq::service
