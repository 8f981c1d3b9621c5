#include "telemetry/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "telemetry/metric_families.h"
#include "telemetry/process_families.h"
#include "telemetry/server_families.h"

namespace dbrx {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

// vLLM's, all of them: a dashboard may ask for one by its bound.
const Buckets kFirstTokenSeconds = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                    0.25,  0.5,   0.75, 1,    2.5,  5,    7.5,  10,
                                    20,    40,    80,   160,  640,  2560};
const Buckets kTokenSeconds = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                               0.75, 1,     2.5,  5,     7.5, 10,   20,  40,  80};
const Buckets kRequestSeconds = {0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                 30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};
const Buckets kChoices = {1, 2, 5, 10, 20};
const Buckets kWaitSeconds = {0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60};
const Buckets kHttpSeconds = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300};

// 1, 2, 5, 10, 20, 50, ... up to the context.
Buckets token_buckets(int64_t max_context) {
  Buckets buckets;
  for (int64_t power = 1;; power *= 10) {
    for (const int64_t digit : {1, 2, 5}) {
      if (digit * power > max_context) return buckets;
      buckets.push_back(static_cast<double>(digit * power));
    }
  }
}

const char* reason_name(std::optional<FinishReason> reason) {
  if (!reason) return "abort";
  switch (*reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "abort";
    case FinishReason::error:
      return "error";
  }
  return "error";
}

std::string key_label(std::string_view name) { return name.empty() ? "none" : std::string(name); }

prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& registry, const char* name,
                                                  const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

}  // namespace

prometheus::Histogram& Metrics::histogram(const char* name, const char* help,
                                          const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(labels_,
                                                                                    buckets);
}

Metrics::Metrics(MetricsOptions options, SampleEngine engine)
    : options_(std::move(options)),
      engine_(std::move(engine)),
      labels_({{"model_name", options_.model_name}, {"engine", "0"}}),
      time_to_first_token_(histogram("vllm:time_to_first_token_seconds",
                                     "From a request's arrival to the first token of a choice.",
                                     kFirstTokenSeconds)),
      inter_token_latency_(histogram("vllm:inter_token_latency_seconds",
                                     "From one token of a choice to the next.", kTokenSeconds)),
      time_per_output_token_(histogram("vllm:request_time_per_output_token_seconds",
                                       "Mean time between the tokens of a choice.", kTokenSeconds)),
      e2e_latency_(histogram("vllm:e2e_request_latency_seconds",
                             "From a request's arrival to the end of a choice.", kRequestSeconds)),
      queue_time_(histogram("vllm:request_queue_time_seconds",
                            "From submission to a choice's first step.", kRequestSeconds)),
      prefill_time_(histogram("vllm:request_prefill_time_seconds",
                              "From a choice's first step to its first token.", kRequestSeconds)),
      decode_time_(histogram("vllm:request_decode_time_seconds",
                             "From a choice's first token to its last.", kRequestSeconds)),
      inference_time_(histogram("vllm:request_inference_time_seconds",
                                "From a choice's first step to its last.", kRequestSeconds)),
      prompt_tokens_(histogram("vllm:request_prompt_tokens", "Tokens of a choice's prompt.",
                               token_buckets(options_.max_context))),
      generation_tokens_(histogram("vllm:request_generation_tokens", "Tokens of a choice.",
                                   token_buckets(options_.max_context))),
      max_generation_tokens_(histogram("vllm:request_max_num_generation_tokens",
                                       "Tokens of the longest choice of a request.",
                                       token_buckets(options_.max_context))),
      params_n_(histogram("vllm:request_params_n", "Parameter n of requests.", kChoices)),
      params_max_tokens_(histogram("vllm:request_params_max_tokens",
                                   "Parameter max_tokens of requests that had it.",
                                   token_buckets(options_.max_context))),
      request_success_(
          counters(registry_, "vllm:request_success_total", "Choices by how they ended.")),
      http_requests_(counters(registry_, "http_requests_total",
                              "Requests by route, method and class of status.")),
      http_answers_(counters(registry_, "dbrx:http_answers_total",
                             "Requests by method and status; 499: the client left.")),
      http_duration_(prometheus::BuildHistogram()
                         .Name("http_request_duration_seconds")
                         .Help("From the first byte of a request to the last of its answer.")
                         .Register(registry_)),
      grammar_wait_(prometheus::BuildHistogram()
                        .Name("dbrx:grammar_wait_seconds")
                        .Help("From a request for a new grammar to its turn to be compiled.")
                        .Register(registry_)
                        .Add({}, kWaitSeconds)),
      errors_(counters(registry_, "dbrx:request_errors_total",
                       "Requests to the model that got an error, by status and code.")),
      throttled_(counters(registry_, "dbrx:throttled_total",
                          "Requests that got 429, by the name of the key.")),
      blocked_(counters(registry_, "dbrx:safety_blocked_total",
                        "Requests that the safety filters ended, by what they looked at.")),
      key_requests_(counters(registry_, "dbrx:key_requests_total",
                             "Requests to the model by the name of their key.")),
      key_tokens_(
          counters(registry_, "dbrx:key_tokens_total", "Tokens by the name of the key and kind.")),
      spans_dropped_(counters(registry_, "dbrx:trace_spans_dropped_total",
                              "Spans that the collector did not take.")
                         .Add({})) {
  for (const char* reason : {"stop", "length", "abort", "error"}) {
    prometheus::Labels labels = labels_;
    labels["finished_reason"] = reason;
    request_success_.Add(labels);  // so that a rate is known from the first one on
  }
  for (const char* where : {"input", "output"}) blocked_.Add({{"where", where}});
}

void Metrics::finished(const RequestRecord& record) {
  const std::string key = key_label(record.key);
  key_requests_.Add({{"key", key}}).Increment();
  const auto add_tokens = [&](const char* kind, int64_t n) {
    key_tokens_.Add({{"key", key}, {"kind", kind}}).Increment(static_cast<double>(n));
  };
  add_tokens("prompt", record.usage.prompt_tokens);
  add_tokens("cached", record.usage.cached_tokens);
  add_tokens("completion", record.usage.completion_tokens);
  if (!record.error.empty()) {
    errors_.Add({{"status", std::to_string(record.status)}, {"code", record.error_code}})
        .Increment();
  }
  if (record.blocked_input) blocked_.Add({{"where", "input"}}).Increment();
  if (record.blocked_output) blocked_.Add({{"where", "output"}}).Increment();
  if (record.choices.empty()) return;
  params_n_.Observe(record.params.n);
  if (record.params.max_tokens) {
    params_max_tokens_.Observe(static_cast<double>(*record.params.max_tokens));
  }
  int64_t longest = 0;
  for (const ChoiceRecord& choice : record.choices) {
    longest = std::max(longest, choice.generated_tokens);
    finished_choice(record, choice);
  }
  max_generation_tokens_.Observe(static_cast<double>(longest));
}

void Metrics::finished_choice(const RequestRecord& record, const ChoiceRecord& choice) {
  prometheus::Labels labels = labels_;
  labels["finished_reason"] = reason_name(choice.finish);
  request_success_.Add(labels).Increment();
  const bool complete =
      choice.finish == FinishReason::stop || choice.finish == FinishReason::length;
  if (!complete) return;
  const EventTimes& times = choice.times;
  prompt_tokens_.Observe(static_cast<double>(choice.prompt_tokens));
  generation_tokens_.Observe(static_cast<double>(choice.generated_tokens));
  e2e_latency_.Observe(seconds_between(record.started, times.now));
  queue_time_.Observe(seconds_between(times.submitted, times.scheduled));
  prefill_time_.Observe(seconds_between(times.scheduled, times.first_token));
  decode_time_.Observe(seconds_between(times.first_token, times.now));
  inference_time_.Observe(seconds_between(times.scheduled, times.now));
  if (choice.generated_tokens > 1) {
    time_per_output_token_.Observe(seconds_between(times.first_token, times.now) /
                                   static_cast<double>(choice.generated_tokens - 1));
  }
}

void Metrics::answered(std::string_view route, std::string_view method, std::string_view key,
                       int status, double seconds) {
  const prometheus::Labels labels = {{"handler", std::string(route)},
                                     {"method", std::string(method)}};
  prometheus::Labels with_status = labels;
  with_status["status"] = std::to_string(status / 100) + "xx";
  http_requests_.Add(with_status).Increment();
  http_answers_.Add({{"method", std::string(method)}, {"status", std::to_string(status)}})
      .Increment();
  http_duration_.Add(labels, kHttpSeconds).Observe(seconds);
  if (status == 429) throttled_.Add({{"key", key_label(key)}}).Increment();
}

std::string Metrics::text() const {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  for (std::vector<prometheus::MetricFamily> more :
       {engine_families(engine_(), options_, labels_), server_families(options_),
        process_families()}) {
    families.insert(families.end(), std::make_move_iterator(more.begin()),
                    std::make_move_iterator(more.end()));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace dbrx
