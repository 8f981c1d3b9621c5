// Series that are read at each scrape instead of counted as things happen.
#pragma once

#include <prometheus/labels.h>
#include <prometheus/metric_family.h>

#include <utility>
#include <vector>

namespace dbrx {

// Begins a family with each name; ..._of() adds a series with labels of its own to the last one.
class FamilyList {
 public:
  // labels: of every series.
  explicit FamilyList(prometheus::Labels labels = {}) : labels_(std::move(labels)) {}

  void counter(const char* name, const char* help, double value) {
    counter(name, help);
    counter_of({}, value);
  }
  void counter(const char* name, const char* help) {
    begin(name, help, prometheus::MetricType::Counter);
  }
  void counter_of(const prometheus::Labels& more, double value) { add(more).counter.value = value; }

  void gauge(const char* name, const char* help, double value) {
    gauge(name, help);
    gauge_of({}, value);
  }
  void gauge(const char* name, const char* help) {
    begin(name, help, prometheus::MetricType::Gauge);
  }
  void gauge_of(const prometheus::Labels& more, double value) { add(more).gauge.value = value; }

  void histogram(const char* name, const char* help, prometheus::ClientMetric::Histogram value) {
    begin(name, help, prometheus::MetricType::Histogram);
    add({}).histogram = std::move(value);
  }

  std::vector<prometheus::MetricFamily> take() { return std::move(families_); }

 private:
  void begin(const char* name, const char* help, prometheus::MetricType type) {
    families_.push_back({.name = name, .help = help, .type = type, .metric = {}});
  }
  prometheus::ClientMetric& add(const prometheus::Labels& more) {
    prometheus::Labels labels = labels_;
    labels.insert(more.begin(), more.end());
    prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
    for (const auto& [name, value] : labels) metric.label.push_back({name, value});
    return metric;
  }

  prometheus::Labels labels_;
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace dbrx
