#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <deque>
#include <limits>

#include "absl/synchronization/mutex.h"
#include "lib/observe/metrics.h"

namespace eagle::observe {
namespace {

struct Value {
  std::atomic<double> value{0};
  void Add(double amount) {
    double old = value.load(std::memory_order_relaxed);
    while (!value.compare_exchange_weak(old, old + amount, std::memory_order_relaxed)) {
    }
  }
};

struct TextCounter final : Counter {
  void Add(double amount) override { value.Add(amount); }
  Value value;
};

struct TextGauge final : Gauge {
  void Set(double v) override { value.value.store(v, std::memory_order_relaxed); }
  Value value;
};

struct TextHistogram final : Histogram {
  explicit TextHistogram(std::vector<double> upper)
      : bounds(std::move(upper)), counts(bounds.size() + 1) {}
  void Observe(double v) override {
    std::size_t i = 0;
    while (i < bounds.size() && v > bounds[i]) ++i;
    counts[i].fetch_add(1, std::memory_order_relaxed);
    sum.Add(v);
  }
  std::vector<double> bounds;
  std::vector<std::atomic<std::uint64_t>> counts;
  Value sum;
};

std::string Escape(const std::string& text, bool quotes) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Number(double value) {
  if (std::isnan(value)) return "Nan";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  return fmt::format("{:.{}g}", value, std::numeric_limits<double>::max_digits10 - 1);
}

std::string LabelText(const Labels& labels, const std::string& extra = "") {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", name, Escape(value, true));
  }
  if (!extra.empty()) out += (out.empty() ? "" : ",") + extra;
  return out.empty() ? "" : "{" + out + "}";
}

template <typename Metric>
struct Series {
  template <typename... Args>
  explicit Series(Labels l, Args&&... args) : labels(std::move(l)), metric(args...) {}
  Labels labels;
  Metric metric;
};

struct Family {
  std::string help;
  std::string type;
  std::deque<Series<TextCounter>> counters;
  std::deque<Series<TextGauge>> gauges;
  std::deque<Series<TextHistogram>> histograms;
};

// The series with these labels; one is made when there is none.
template <typename Metric, typename... Args>
Metric& FindOrAdd(std::deque<Series<Metric>>& all, const Labels& labels, const Args&... args) {
  for (auto& series : all) {
    if (series.labels == labels) return series.metric;
  }
  return all.emplace_back(labels, args...).metric;
}

}  // namespace

struct MetricsRegistry::Impl {
  absl::Mutex mutex;
  std::map<std::string, Family> families ABSL_GUARDED_BY(mutex);

  Family& Get(const std::string& name, const std::string& help, const std::string& type)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Family& family = families[name];
    family.help = help;
    family.type = type;
    return family;
  }
};

MetricsRegistry::MetricsRegistry() : impl_(std::make_unique<Impl>()) {}
MetricsRegistry::~MetricsRegistry() = default;

Counter& MetricsRegistry::AddCounter(const std::string& name, const std::string& help,
                                     const Labels& labels) {
  absl::MutexLock lock(&impl_->mutex);
  return FindOrAdd(impl_->Get(name, help, "counter").counters, labels);
}

Gauge& MetricsRegistry::AddGauge(const std::string& name, const std::string& help,
                                 const Labels& labels) {
  absl::MutexLock lock(&impl_->mutex);
  return FindOrAdd(impl_->Get(name, help, "gauge").gauges, labels);
}

Histogram& MetricsRegistry::AddHistogram(const std::string& name, const std::string& help,
                                         const std::vector<double>& bounds, const Labels& labels) {
  absl::MutexLock lock(&impl_->mutex);
  return FindOrAdd(impl_->Get(name, help, "histogram").histograms, labels, bounds);
}

std::string MetricsRegistry::Expose() const {
  absl::MutexLock lock(&impl_->mutex);
  std::string out;
  for (const auto& [name, family] : impl_->families) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, Escape(family.help, false), name,
                       family.type);
    for (const auto& series : family.counters) {
      out += fmt::format("{}{} {}\n", name, LabelText(series.labels),
                         Number(series.metric.value.value.load()));
    }
    for (const auto& series : family.gauges) {
      out += fmt::format("{}{} {}\n", name, LabelText(series.labels),
                         Number(series.metric.value.value.load()));
    }
    for (const auto& series : family.histograms) {
      std::uint64_t cumulative = 0;
      std::string buckets;
      for (std::size_t i = 0; i < series.metric.counts.size(); ++i) {
        cumulative += series.metric.counts[i].load(std::memory_order_relaxed);
        const bool last = i == series.metric.bounds.size();
        const std::string bound = last ? "+Inf" : Number(series.metric.bounds[i]);
        buckets +=
            fmt::format("{}_bucket{} {}\n", name,
                        LabelText(series.labels, fmt::format("le=\"{}\"", bound)), cumulative);
      }
      out += fmt::format("{}_count{} {}\n{}_sum{} {}\n", name, LabelText(series.labels), cumulative,
                         name, LabelText(series.labels), Number(series.metric.sum.value.load()));
      out += buckets;
    }
  }
  return out;
}

}  // namespace eagle::observe
