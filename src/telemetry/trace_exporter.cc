#include "telemetry/trace_exporter.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <regex>
#include <utility>

#include "base/error.h"
#include "telemetry/http_post.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr size_t kMaxQueued = 2048;  // requests
constexpr size_t kMaxBatch = 256;
constexpr std::chrono::seconds kInterval{1};  // at most so long a span waits to be sent
constexpr std::chrono::seconds kPostTime{3};

}  // namespace

TraceEndpoint parse_trace_endpoint(const std::string& url) {
  static const std::regex kForm(R"(http://(\[[0-9a-fA-F:.]+\]|[^/:?#@\[\]\s]+)(:\d{1,5})?(/\S*)?)");
  std::smatch part;
  if (!std::regex_match(url, part, kForm)) {
    throw Error(Code::invalid_argument,
                "the endpoint of traces must be like http://localhost:4318/v1/traces, not " + url +
                    " (a collector beside the server can pass them on by https)");
  }
  std::string host = part[1];
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  const std::string port = part[2], path = part[3];
  return {.host = host,
          .port = port.empty() ? "4318" : port.substr(1),
          .path = path.empty() || path == "/" ? "/v1/traces" : path};
}

TraceExporter::TraceExporter(TraceEndpoint endpoint, TraceResource resource,
                             std::function<void(int64_t)> on_drop)
    : endpoint_(std::move(endpoint)),
      resource_(std::move(resource)),
      on_drop_(std::move(on_drop)),
      thread_([this] { run(); }) {}

TraceExporter::~TraceExporter() {
  {
    const std::lock_guard lock(mutex_);
    end_ = Clock::now() + kPostTime;
  }
  wake_.notify_one();
  thread_.join();
}

void TraceExporter::add(const RequestRecord& record) {
  if (!record.parent.sampled) return;
  RequestRecord copy = record;
  copy.input.clear();  // spans have no texts
  for (ChoiceRecord& choice : copy.choices) {
    choice.answer.clear();
    choice.calls.clear();
  }
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() < kMaxQueued) {
      queue_.push_back(std::move(copy));
      if (queue_.size() >= kMaxBatch) wake_.notify_one();
      return;
    }
  }
  on_drop_(count_spans(record));
}

void TraceExporter::run() {
  while (true) {
    const std::vector<RequestRecord> batch = wait_for_batch();
    if (batch.empty()) return;
    send(batch);
  }
}

// Empty only at the end.
std::vector<RequestRecord> TraceExporter::wait_for_batch() {
  std::unique_lock lock(mutex_);
  do {
    wake_.wait_for(lock, kInterval, [&] { return end_ || queue_.size() >= kMaxBatch; });
  } while (queue_.empty() && !end_);
  const auto n = static_cast<std::ptrdiff_t>(std::min(queue_.size(), kMaxBatch));
  std::vector<RequestRecord> batch(std::make_move_iterator(queue_.begin()),
                                   std::make_move_iterator(queue_.begin() + n));
  queue_.erase(queue_.begin(), queue_.begin() + n);
  return batch;
}

// How long a post may take now; 0: there will be none.
std::chrono::milliseconds TraceExporter::post_time() {
  const std::lock_guard lock(mutex_);
  if (!end_) return kPostTime;
  if (complained_) return std::chrono::milliseconds(0);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*end_ - Clock::now());
  return std::max(left, std::chrono::milliseconds(0));
}

void TraceExporter::send(const std::vector<RequestRecord>& batch) {
  int64_t n_spans = 0;
  for (const RequestRecord& record : batch) n_spans += count_spans(record);
  try {
    const std::chrono::milliseconds time = post_time();
    if (time.count() == 0) throw Error(Code::unavailable, "the server has ended");
    json::array spans;
    for (const RequestRecord& record : batch) {
      for (json::value& span : request_spans(record)) spans.push_back(std::move(span));
    }
    const int status = http_post(endpoint_.host, endpoint_.port, endpoint_.path,
                                 traces_body(resource_, std::move(spans)), time);
    if (status / 100 != 2) {
      throw Error(Code::unavailable, "it answered " + std::to_string(status));
    }
    if (std::exchange(complained_, false)) spdlog::info("traces: the collector takes spans again");
  } catch (const std::exception& error) {
    on_drop_(n_spans);
    if (std::exchange(complained_, true)) return;
    spdlog::warn("traces: the collector at {}:{} does not take spans, they are dropped: {}",
                 endpoint_.host, endpoint_.port, error.what());
  }
}

}  // namespace dbrx
