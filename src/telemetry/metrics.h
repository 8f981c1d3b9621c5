// What Prometheus scrapes: vLLM's series under vLLM's names, labels and buckets, so that dashboards
// and autoscalers made for it work; those of the HTTP layer; and our own, `dbrx:`. Metrics of
// requests are counted here as they come, those of the engine are read at each scrape. Any thread.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "telemetry/engine_sample.h"
#include "telemetry/http_sample.h"
#include "telemetry/request_record.h"
#include "telemetry/server_sample.h"

namespace dbrx {

struct MetricsOptions {
  std::string model_name;  // of the label on every series of vLLM's
  int64_t max_context = 0;
  std::string kv_format;  // "bf16"
  bool prefix_cache = true;
  double read_bytes_per_second = 0;         // of this machine's memory; 0: unknown
  std::function<double()> roof_share = {};  // of the last minute; negative: no step was made
  std::function<int64_t()> log_lines_dropped = {};  // since the start; may be empty
  SampleHttp http = {};                             // may be empty
  std::string version = {};                         // of the program
  std::string fingerprint = {};                     // what decides the bits of answers
  int64_t memory_limit = 0;                         // bytes for this process; 0: unknown
  int64_t queue_limit = 0;                          // requests that may wait; 0: unknown
  std::function<ServerSample()> server = {};        // may be empty
};

class Metrics {
 public:
  Metrics(MetricsOptions options, SampleEngine engine);

  // As tokens come: the first one of a choice, this long after its request; n further ones, this
  // long after the one before.
  void first_token(double seconds) { time_to_first_token_.Observe(seconds); }
  void next_token(double seconds) { inter_token_latency_.Observe(seconds); }

  // A new grammar waited so long for its turn to be compiled.
  void grammar_waited(double seconds) { grammar_wait_.Observe(seconds); }

  void finished(const RequestRecord& record);

  // route: its pattern, or "none". method: one that routes have, or "other". key: its name, or
  // empty.
  void answered(std::string_view route, std::string_view method, std::string_view key, int status,
                double seconds);

  // Spans that were lost since the last call.
  void spans_dropped(int64_t n) { spans_dropped_.Increment(static_cast<double>(n)); }

  // All series in the text format 0.0.4.
  std::string text() const;

 private:
  prometheus::Histogram& histogram(const char* name, const char* help,
                                   const prometheus::Histogram::BucketBoundaries& buckets);
  void finished_choice(const RequestRecord& record, const ChoiceRecord& choice);

  MetricsOptions options_;
  SampleEngine engine_;
  prometheus::Registry registry_;
  prometheus::Labels labels_;

  prometheus::Histogram& time_to_first_token_;
  prometheus::Histogram& inter_token_latency_;
  prometheus::Histogram& time_per_output_token_;
  prometheus::Histogram& e2e_latency_;
  prometheus::Histogram& queue_time_;
  prometheus::Histogram& prefill_time_;
  prometheus::Histogram& decode_time_;
  prometheus::Histogram& inference_time_;
  prometheus::Histogram& prompt_tokens_;
  prometheus::Histogram& generation_tokens_;
  prometheus::Histogram& max_generation_tokens_;
  prometheus::Histogram& params_n_;
  prometheus::Histogram& params_max_tokens_;
  prometheus::Family<prometheus::Counter>& request_success_;
  prometheus::Family<prometheus::Counter>& http_requests_;
  prometheus::Family<prometheus::Counter>& http_answers_;
  prometheus::Family<prometheus::Histogram>& http_duration_;
  prometheus::Histogram& grammar_wait_;
  prometheus::Family<prometheus::Counter>& errors_;
  prometheus::Family<prometheus::Counter>& throttled_;
  prometheus::Family<prometheus::Counter>& blocked_;
  prometheus::Family<prometheus::Counter>& key_requests_;
  prometheus::Family<prometheus::Counter>& key_tokens_;
  prometheus::Counter& spans_dropped_;
};

}  // namespace dbrx
