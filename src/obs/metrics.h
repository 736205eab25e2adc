#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace prometheus {  // NOLINT(readability-identifier-naming): the library's own
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace inferq::obs {

/// Names and values of labels. Few values each (tenant, model, outcome), never ids: every
/// combination is a series that stays.
using Labels = std::map<std::string, std::string>;

/// A count that only rises. Copies are the same series; they must not outlive the registry. Any
/// thread may call; so for the others.
class Counter {
 public:
  /// `by` >= 0; what is less is ignored.
  void Add(double by = 1);
  /// For counts that are kept elsewhere: raises it to `total`. From Registry::OnRender only.
  void RaiseTo(double total);

 private:
  friend class Registry;
  explicit Counter(prometheus::Counter& counter) : counter_(&counter) {}
  prometheus::Counter* counter_;
};

/// A number that rises and falls.
class Gauge {
 public:
  void Set(double value);
  void Add(double by);

 private:
  friend class Registry;
  explicit Gauge(prometheus::Gauge& gauge) : gauge_(&gauge) {}
  prometheus::Gauge* gauge_;
};

/// How often which values occurred.
class Histogram {
 public:
  void Observe(double value);

 private:
  friend class Registry;
  explicit Histogram(prometheus::Histogram& histogram) : histogram_(&histogram) {}
  prometheus::Histogram* histogram_;
};

/// Upper bounds for times in seconds: 0.5 ms to 600 s.
const std::vector<double>& LatencyBuckets();

/// All metrics of a process. Any thread may call. Names and labels are ours: one that Prometheus
/// does not allow, or a name used for two kinds, stops the process.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// The series of these labels; the same again for the same name and labels. Takes a lock: keep
  /// what it returns. Names end in their base unit, counters in _total.
  Counter MakeCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge MakeGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  /// @param buckets  upper bounds, rising; the same for all series of a name.
  Histogram MakeHistogram(const std::string& name, const std::string& help,
                          const Labels& labels = {},
                          const std::vector<double>& buckets = LatencyBuckets());

  /// Called by each Render before it looks, on its thread, one at a time: sets what is counted
  /// elsewhere. Must not call Render or OnRender.
  void OnRender(std::function<void()> update);

  /// Prometheus' text format 0.0.4, sorted by name and labels.
  std::string Render();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace inferq::obs
