// What the server tells of itself: one object takes note of requests, and others ask it. Any
// thread, unless said otherwise.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "telemetry/engine_sample.h"
#include "telemetry/key_usage.h"
#include "telemetry/metrics.h"
#include "telemetry/recent_minute.h"
#include "telemetry/recent_requests.h"
#include "telemetry/request_record.h"
#include "telemetry/trace_exporter.h"

namespace dbrx {

struct TelemetryOptions {
  MetricsOptions metrics;
  RecentLimits recent;
  std::optional<TraceEndpoint> traces;
  TraceResource resource;
};

class Telemetry {
 public:
  Telemetry(TelemetryOptions options, SampleEngine engine);

  // A choice's first token came, so long after its request. One thread: the I/O thread's.
  void first_token(double seconds);
  // Further tokens of a choice came, so long after those before. The same thread.
  void next_tokens(int64_t n, double seconds);
  // A request is over.
  void finished(RequestRecord record);
  // To be called about once a second.
  void look();

  Metrics& metrics() { return metrics_; }
  const RecentRequests& recent() const { return recent_; }
  bool keeps_texts() const { return recent_.limits().max_requests > 0 && recent_.limits().texts; }

  // docs/api.md has the fields. only_key: tells of this key's usage alone.
  boost::json::object stats_json(const std::optional<std::string>& only_key) const;

 private:
  using Clock = std::chrono::steady_clock;

  SampleEngine engine_;
  std::string model_;
  std::string version_;
  double read_bytes_per_second_;
  Clock::time_point started_ = Clock::now();
  RecentMinute minute_;
  Metrics metrics_;
  KeyUsage usage_;
  RecentRequests recent_;
  std::unique_ptr<TraceExporter> traces_;  // null: off. Last: it reports to metrics_
};

}  // namespace dbrx
