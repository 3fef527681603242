#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <deque>

#include "absl/synchronization/mutex.h"
#include "lib/observe/metrics.h"

namespace eagle::observe {
namespace {

struct PrometheusCounter final : Counter {
  explicit PrometheusCounter(prometheus::Counter* c) : counter(c) {}
  void Add(double amount) override { counter->Increment(amount); }
  prometheus::Counter* counter;
};

struct PrometheusGauge final : Gauge {
  explicit PrometheusGauge(prometheus::Gauge* g) : gauge(g) {}
  void Set(double value) override { gauge->Set(value); }
  prometheus::Gauge* gauge;
};

struct PrometheusHistogram final : Histogram {
  explicit PrometheusHistogram(prometheus::Histogram* h) : histogram(h) {}
  void Observe(double value) override { histogram->Observe(value); }
  prometheus::Histogram* histogram;
};

}  // namespace

struct MetricsRegistry::Impl {
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
  absl::Mutex mutex;
  std::deque<PrometheusCounter> counters ABSL_GUARDED_BY(mutex);
  std::deque<PrometheusGauge> gauges ABSL_GUARDED_BY(mutex);
  std::deque<PrometheusHistogram> histograms ABSL_GUARDED_BY(mutex);
};

MetricsRegistry::MetricsRegistry() : impl_(std::make_unique<Impl>()) {}
MetricsRegistry::~MetricsRegistry() = default;

Counter& MetricsRegistry::AddCounter(const std::string& name, const std::string& help,
                                     const Labels& labels) {
  auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry);
  absl::MutexLock lock(&impl_->mutex);
  return impl_->counters.emplace_back(&family.Add(labels));
}

Gauge& MetricsRegistry::AddGauge(const std::string& name, const std::string& help,
                                 const Labels& labels) {
  auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry);
  absl::MutexLock lock(&impl_->mutex);
  return impl_->gauges.emplace_back(&family.Add(labels));
}

Histogram& MetricsRegistry::AddHistogram(const std::string& name, const std::string& help,
                                         const std::vector<double>& bounds, const Labels& labels) {
  auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry);
  absl::MutexLock lock(&impl_->mutex);
  return impl_->histograms.emplace_back(&family.Add(labels, bounds));
}

std::string MetricsRegistry::Expose() const {
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace eagle::observe
