// Sends spans to a collector: OTLP over HTTP, JSON, from a thread of its own. Nobody ever waits for
// it: what the collector does not take, and what a full queue has no place for, is dropped and
// counted.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "telemetry/otlp_json.h"
#include "telemetry/request_record.h"

namespace dbrx {

// Where spans are sent: "http://host:port/path".
struct TraceEndpoint {
  std::string host;  // without brackets
  std::string port;
  std::string path;  // "/v1/traces" unless the URL has one
};

// Throws Error(invalid_argument) for what is no such URL.
TraceEndpoint parse_trace_endpoint(const std::string& url);

class TraceExporter {
 public:
  // on_drop: told, from this object's thread or add(), how many spans were lost.
  TraceExporter(TraceEndpoint endpoint, TraceResource resource,
                std::function<void(int64_t)> on_drop);
  // Sends what is left, within a few seconds, unless the collector did not take the last batch.
  ~TraceExporter();

  void add(const RequestRecord& record);

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  std::vector<RequestRecord> wait_for_batch();
  void send(const std::vector<RequestRecord>& batch);
  std::chrono::milliseconds post_time();

  TraceEndpoint endpoint_;
  TraceResource resource_;
  std::function<void(int64_t)> on_drop_;
  bool complained_ = false;  // since the last batch that was taken; the thread's

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<RequestRecord> queue_;
  std::optional<Clock::time_point> end_;  // when stopping: nothing is sent any more
  std::thread thread_;                    // last: it uses all of the above
};

}  // namespace dbrx
