#include "obs/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <exception>

#include "base/check.h"
#include "base/mutex.h"

namespace inferq::obs {
namespace {

// The library throws on names it does not allow.
template <class Builder>
auto& AddSeries(Builder builder, prometheus::Registry& registry, const std::string& name,
                const std::string& help, const Labels& labels, const auto&... more) {
  try {
    return builder.Name(name).Help(help).Register(registry).Add(labels, more...);
  } catch (const std::exception& error) {
    base::CheckFailed(__FILE__, __LINE__, "metric " + name + ": " + error.what());
  }
}

void Sort(std::vector<prometheus::MetricFamily>& families) {
  std::ranges::sort(families, {}, &prometheus::MetricFamily::name);
  for (auto& family : families) {
    std::ranges::sort(family.metric,
                      [](const auto& a, const auto& b) { return a.label < b.label; });
  }
}

}  // namespace

struct Registry::Impl {
  prometheus::Registry registry;
  base::Mutex mu;
  std::vector<std::function<void()>> updates GUARDED_BY(mu);
};

void Counter::Add(double by) { counter_->Increment(by); }
void Counter::RaiseTo(double total) { counter_->Increment(total - counter_->Value()); }
void Gauge::Set(double value) { gauge_->Set(value); }
void Gauge::Add(double by) { gauge_->Increment(by); }
void Histogram::Observe(double value) { histogram_->Observe(value); }

const std::vector<double>& LatencyBuckets() {
  static const std::vector<double> buckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                              0.1,    0.25,  0.5,    1,     2.5,  5,     10,
                                              30,     60,    120,    300,   600};
  return buckets;
}

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter Registry::MakeCounter(const std::string& name, const std::string& help,
                              const Labels& labels) {
  return Counter(AddSeries(prometheus::BuildCounter(), impl_->registry, name, help, labels));
}

Gauge Registry::MakeGauge(const std::string& name, const std::string& help, const Labels& labels) {
  return Gauge(AddSeries(prometheus::BuildGauge(), impl_->registry, name, help, labels));
}

Histogram Registry::MakeHistogram(const std::string& name, const std::string& help,
                                  const Labels& labels, const std::vector<double>& buckets) {
  return Histogram(
      AddSeries(prometheus::BuildHistogram(), impl_->registry, name, help, labels, buckets));
}

void Registry::OnRender(std::function<void()> update) {
  base::MutexLock lock(impl_->mu);
  impl_->updates.push_back(std::move(update));
}

std::string Registry::Render() {
  {
    base::MutexLock lock(impl_->mu);
    for (const auto& update : impl_->updates) update();
  }
  auto families = impl_->registry.Collect();
  Sort(families);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace inferq::obs
