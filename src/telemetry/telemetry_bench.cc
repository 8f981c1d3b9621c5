// What telling of requests costs: per token and per request on the I/O thread, per scrape on a text
// worker.
#include <benchmark/benchmark.h>

#include "telemetry/telemetry.h"

namespace dbrx {
namespace {

EngineSample dbrx_sample() {
  EngineSample sample;
  sample.n_experts = 16;
  sample.expert_tokens.assign(16 * 40, 1000);
  return sample;
}

TelemetryOptions options() {
  TelemetryOptions options;
  options.metrics.model_name = "dbrx";
  options.metrics.max_context = 32768;
  return options;
}

void bm_token(benchmark::State& state) {
  Telemetry telemetry(options(), dbrx_sample);
  for (auto _ : state) telemetry.next_tokens(1, 0.05);
}
BENCHMARK(bm_token);

void bm_request(benchmark::State& state) {
  Telemetry telemetry(options(), dbrx_sample);
  RequestRecord record;
  record.id = "chatcmpl-0123456789abcdef0123456789abcdef";
  record.key = "alice";
  record.input = std::string(4000, 'x');
  record.choices.resize(1);
  record.choices[0].finish = FinishReason::stop;
  record.choices[0].answer = std::string(1000, 'x');
  for (auto _ : state) telemetry.finished(record);
}
BENCHMARK(bm_request);

void bm_scrape(benchmark::State& state) {
  Telemetry telemetry(options(), dbrx_sample);
  for (auto _ : state) benchmark::DoNotOptimize(telemetry.metrics().text());
}
BENCHMARK(bm_scrape)->Unit(benchmark::kMicrosecond);

void bm_stats(benchmark::State& state) {
  Telemetry telemetry(options(), dbrx_sample);
  for (auto _ : state) benchmark::DoNotOptimize(boost::json::serialize(telemetry.stats_json({})));
}
BENCHMARK(bm_stats)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace dbrx
