#include "lib/observe/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eagle::observe {
namespace {

using ::testing::HasSubstr;

// Built once for each implementation of MetricsRegistry: both must print the same.
TEST(MetricsRegistry, PrintsCountersGaugesAndHistograms) {
  MetricsRegistry registry;
  Counter& a = registry.AddCounter("eagle_test_calls_total", "Calls.", {{"code", "ok"}});
  registry.AddCounter("eagle_test_calls_total", "Calls.", {{"code", "er\"r\n"}});
  registry.AddGauge("eagle_test_bytes", "Bytes held.").Set(12345678901.0);
  Histogram& h = registry.AddHistogram("eagle_test_wait_seconds", "Waits.", {0.5, 2});
  a.Add(2);
  a.Increment();
  h.Observe(0.1);
  h.Observe(1);
  h.Observe(10);
  const std::string text = registry.Expose();
  EXPECT_THAT(text, HasSubstr("# HELP eagle_test_calls_total Calls.\n"
                              "# TYPE eagle_test_calls_total counter\n"));
  EXPECT_THAT(text, HasSubstr("eagle_test_calls_total{code=\"ok\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("eagle_test_calls_total{code=\"er\\\"r\\n\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("eagle_test_bytes 12345678901\n"));
  EXPECT_THAT(text, HasSubstr("eagle_test_wait_seconds_bucket{le=\"0.5\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("eagle_test_wait_seconds_bucket{le=\"2\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("eagle_test_wait_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("eagle_test_wait_seconds_count 3\n"));
}

TEST(MetricsRegistry, TheSameSeriesTwiceIsOne) {
  MetricsRegistry registry;
  registry.AddCounter("eagle_test_total", "T.").Add(1);
  registry.AddCounter("eagle_test_total", "T.").Add(1);
  EXPECT_THAT(registry.Expose(), HasSubstr("eagle_test_total 2\n"));
}

}  // namespace
}  // namespace eagle::observe
