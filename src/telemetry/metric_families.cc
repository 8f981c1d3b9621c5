#include "telemetry/metric_families.h"

#include <string>
#include <utility>

#include "telemetry/family_list.h"

namespace dbrx {
namespace {

using prometheus::ClientMetric;
using prometheus::Labels;
using prometheus::MetricFamily;

// Of rows per step: the engine's buckets are powers of two.
ClientMetric::Histogram step_rows(const EngineStats& stats) {
  ClientMetric::Histogram histogram;
  histogram.sample_sum = static_cast<double>(stats.step_rows);
  double bound = 1;
  for (const int64_t n : stats.step_row_counts) {
    histogram.sample_count += static_cast<uint64_t>(n);
    histogram.bucket.push_back({histogram.sample_count, bound});
    bound *= 2;
  }
  // The last of them has no bound; the serializer adds the one of infinity.
  histogram.bucket.pop_back();
  return histogram;
}

void add_vllm(const EngineSample& sample, const MetricsOptions& options, FamilyList& out) {
  const EngineStats& stats = sample.stats;
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  out.gauge("vllm:num_requests_running", "Sequences in the engine's steps.", number(stats.running));
  out.gauge("vllm:num_requests_waiting", "Sequences that wait for their turn.",
            number(stats.waiting));
  out.gauge("vllm:kv_cache_usage_perc", "Share of the cache's blocks that sequences hold, 0 to 1.",
            sample.cache_usage());
  out.gauge("vllm:cache_config_info", "How the cache is laid out.");
  out.gauge_of({{"block_size", std::to_string(kKvBlockTokens)},
                {"num_gpu_blocks", std::to_string(stats.total_blocks)},
                {"cache_dtype", options.kv_format},
                {"enable_prefix_caching", options.prefix_cache ? "True" : "False"}},
               1);
  out.counter("vllm:prompt_tokens_total", "Tokens of prompts.", number(stats.prompt_tokens));
  out.counter("vllm:generation_tokens_total", "Tokens generated.", number(stats.generated_tokens));
  out.counter("vllm:prefix_cache_queries_total",
              "Tokens of prompts that were looked for in the prefix cache.",
              number(stats.prefix_queries));
  out.counter("vllm:prefix_cache_hits_total", "Of these, those that were found.",
              number(stats.prefix_hits));
  out.counter("vllm:num_preemptions_total", "Sequences that lost their cache to others.",
              number(stats.preemptions));
}

void add_experts(const EngineSample& sample, FamilyList& out) {
  if (sample.n_experts == 0) return;
  out.counter("dbrx:expert_tokens_total", "Tokens that the router sent to an expert.");
  for (size_t i = 0; i < sample.expert_tokens.size(); ++i) {
    const auto n = static_cast<size_t>(sample.n_experts);
    out.counter_of({{"layer", std::to_string(i / n)}, {"expert", std::to_string(i % n)}},
                   static_cast<double>(sample.expert_tokens[i]));
  }
  out.gauge("dbrx:expert_balance",
            "Entropy of the experts' shares of a layer's tokens over that of equal shares: 1 is "
            "even, 0 all to one.");
  const std::vector<double> balance = expert_balance(sample);
  for (size_t layer = 0; layer < balance.size(); ++layer) {
    out.gauge_of({{"layer", std::to_string(layer)}}, balance[layer]);
  }
}

void add_http(const HttpSample& sample, FamilyList& out) {
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  out.gauge("dbrx:connections", "Open connections: idle ones wait for a request.");
  out.gauge_of({{"state", "idle"}}, number(sample.idle_connections));
  out.gauge_of({{"state", "active"}}, number(sample.active_connections));
  out.counter("dbrx:connections_accepted_total", "Connections, refused ones too.",
              number(sample.accepted));
  out.counter("dbrx:connections_refused_total",
              "Connections that found no place (of probes, which are answered even so, those that "
              "were not), and failed handshakes of TLS.");
  out.counter_of({{"reason", "max_connections"}}, number(sample.refused_full));
  out.counter_of({{"reason", "max_connections_per_peer"}}, number(sample.refused_of_peer));
  out.counter_of({{"reason", "tls_handshake"}}, number(sample.failed_handshakes));
  out.counter("dbrx:connections_closed_for_room_total",
              "Connections that waited for a request and were closed for new ones.",
              number(sample.closed_for_room));
  out.gauge("dbrx:request_body_bytes",
            "Bytes of request bodies that arrive, or wait to be read by their handlers.",
            number(sample.body_bytes));
  out.counter("dbrx:request_bodies_refused_total", "Request bodies for which memory was lacking.",
              number(sample.bodies_refused));
}

}  // namespace

std::vector<MetricFamily> engine_families(const EngineSample& sample, const MetricsOptions& options,
                                          const Labels& labels) {
  const EngineStats& stats = sample.stats;
  FamilyList out(labels);
  add_vllm(sample, options, out);
  out.gauge("dbrx:kv_cached_blocks", "Free blocks that the prefix cache can still find.",
            static_cast<double>(stats.cached_blocks));
  out.counter("dbrx:steps_total", "Steps of the engine.", static_cast<double>(stats.steps));
  out.counter("dbrx:failed_steps_total", "Steps that failed.",
              static_cast<double>(stats.failed_steps));
  out.counter("dbrx:step_seconds_total", "Time that the engine was busy.", stats.step_seconds);
  out.histogram("dbrx:step_rows", "Tokens that one step computed.", step_rows(stats));
  out.counter("dbrx:weight_bytes_read_total", "Bytes of weights that the steps had to read.",
              static_cast<double>(stats.weight_bytes_read));
  if (options.read_bytes_per_second > 0) {
    out.gauge("dbrx:memory_read_bytes_per_second",
              "What all threads together read from memory, measured at the start.",
              options.read_bytes_per_second);
    const double share = options.roof_share ? options.roof_share() : -1;
    if (share >= 0) {
      out.gauge("dbrx:roof_share",
                "Weights read per busy second of the last minute, over what the memory gives.",
                share);
    }
  }
  if (options.http) add_http(options.http(), out);
  add_experts(sample, out);
  return out.take();
}

}  // namespace dbrx
