// Sends spans to a collector: OTLP over HTTP, JSON, from a thread of its own. Nobody ever waits for
// it: what the collector does not take, and what a full queue has no place for, is dropped and
// counted.
#pragma once

#include <boost/json.hpp>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
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
  // on_drop: told, from this object's thread or add(), of spans that were lost.
  TraceExporter(TraceEndpoint endpoint, TraceResource resource,
                std::function<void(int64_t)> on_drop);
  ~TraceExporter();  // sends what is left, if the collector takes it at once

  void add(const RequestRecord& record);

 private:
  void run();
  std::vector<RequestRecord> wait_for_batch();
  void send(const std::vector<RequestRecord>& batch);

  TraceEndpoint endpoint_;
  TraceResource resource_;
  std::function<void(int64_t)> on_drop_;
  bool complained_ = false;  // since the last batch that was taken; the thread's

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<RequestRecord> queue_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace dbrx
