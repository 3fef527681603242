#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace eagle::observe {

/// Label names and values of one time series. Values come from closed sets only (a method, a code,
/// a source, a reason), never a digest, an image or a peer.
using Labels = std::map<std::string, std::string>;

/// A value that only grows. Thread-safe, lock-free.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void Add(double amount) = 0;
  void Increment() { Add(1); }
};

/// A value that goes up and down. Thread-safe.
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double value) = 0;
};

/// A distribution over fixed buckets. Thread-safe.
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

/// The metrics of one process in Prometheus' text format 0.0.4. Names are
/// `eagle_<part>_<what>_<unit>` in base units, `_total` for counters. Series are made once, at the
/// start, by the program's metrics class, and live as long as the registry.
///
/// Two implementations behind this header, chosen when a program is linked: prometheus-cpp, and for
/// the static plugin (prometheus-cpp comes as a shared library only) a small one of our own. One
/// test suite holds both to the same text.
class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  Counter& AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  /// `bounds`: upper bounds of the buckets, ascending; +Inf is added.
  Histogram& AddHistogram(const std::string& name, const std::string& help,
                          const std::vector<double>& bounds, const Labels& labels = {});

  /// The answer to GET /metrics. Thread-safe.
  [[nodiscard]] std::string Expose() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eagle::observe
