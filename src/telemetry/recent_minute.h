// How the server did in the last minute: rates and latencies for people and pages. Any thread.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>

#include "telemetry/engine_sample.h"
#include "telemetry/latency_window.h"
#include "telemetry/request_record.h"

namespace dbrx {

class RecentMinute {
 public:
  using Time = LatencyWindow::Time;

  // read_bytes_per_second: what the machine's memory gives; 0: unknown.
  explicit RecentMinute(double read_bytes_per_second) : roof_(read_bytes_per_second) {}

  void first_token(Time now, double seconds);
  void next_token(Time now, double seconds);
  void finished(Time now, const RequestRecord& record);
  // To be called about once a second: what rates are made of.
  void look(Time now, const EngineStats& stats);

  // Weights read per busy second over what the memory gives; negative when there was no step or the
  // memory's rate is unknown.
  double roof_share() const;

  // docs/api.md has the fields. stats: the engine's now.
  boost::json::object json(Time now, const EngineStats& stats) const;

 private:
  struct Look {
    Time at;
    EngineStats stats;
  };

  double roof_;
  mutable std::mutex mutex_;
  LatencyWindow first_token_;
  LatencyWindow next_token_;
  LatencyWindow whole_request_;
  std::deque<Look> looks_;  // of the last minute, oldest first
};

}  // namespace dbrx
