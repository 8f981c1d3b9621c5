#include "telemetry/telemetry.h"

#include <utility>

namespace dbrx {
namespace json = boost::json;
namespace {

MetricsOptions with_roof_share(MetricsOptions options, const RecentMinute& minute) {
  options.roof_share = [&minute] { return minute.roof_share(); };
  return options;
}

json::object engine_json(const EngineSample& sample) {
  const EngineStats& stats = sample.stats;
  return {{"running", stats.running},
          {"waiting", stats.waiting},
          {"steps", stats.steps},
          {"failed_steps", stats.failed_steps},
          {"step_seconds", stats.step_seconds},
          {"preemptions", stats.preemptions},
          {"prompt_tokens", stats.prompt_tokens},
          {"generated_tokens", stats.generated_tokens},
          {"prefix_queries", stats.prefix_queries},
          {"prefix_hits", stats.prefix_hits},
          {"weight_bytes_read", stats.weight_bytes_read}};
}

json::object cache_json(const EngineSample& sample) {
  return {{"blocks", sample.stats.total_blocks},
          {"free_blocks", sample.stats.free_blocks},
          {"cached_blocks", sample.stats.cached_blocks},
          {"block_tokens", kKvBlockTokens},
          {"usage", sample.cache_usage()}};
}

json::value experts_json(const EngineSample& sample) {
  if (sample.n_experts == 0) return nullptr;
  json::array layers;
  const auto n = static_cast<size_t>(sample.n_experts);
  for (size_t i = 0; i < sample.expert_tokens.size(); ++i) {
    if (i % n == 0) layers.emplace_back(json::array());
    layers.back().as_array().push_back(sample.expert_tokens[i]);
  }
  return json::object{{"tokens", std::move(layers)},
                      {"balance", json::value_from(expert_balance(sample))}};
}

}  // namespace

Telemetry::Telemetry(TelemetryOptions options, SampleEngine engine)
    : engine_(std::move(engine)),
      model_(options.metrics.model_name),
      version_(options.resource.version),
      read_bytes_per_second_(options.metrics.read_bytes_per_second),
      minute_(read_bytes_per_second_),
      metrics_(with_roof_share(std::move(options.metrics), minute_), engine_),
      recent_(options.recent) {
  look();
  if (!options.traces) return;
  traces_ = std::make_unique<TraceExporter>(*options.traces, options.resource,
                                            [this](int64_t n) { metrics_.spans_dropped(n); });
}

void Telemetry::first_token(double seconds) {
  metrics_.first_token(seconds);
  minute_.first_token(Clock::now(), seconds);
}

void Telemetry::next_tokens(int64_t n, double seconds) {
  const Clock::time_point now = Clock::now();
  for (int64_t i = 0; i < n; ++i) {
    metrics_.next_token(seconds / static_cast<double>(n));
    minute_.next_token(now, seconds / static_cast<double>(n));
  }
}

void Telemetry::finished(RequestRecord record) {
  metrics_.finished(record);
  usage_.add(record);
  minute_.finished(Clock::now(), record);
  if (traces_) traces_->add(record);
  recent_.add(std::move(record));
}

void Telemetry::look() { minute_.look(Clock::now(), engine_().stats); }

json::object Telemetry::stats_json(const std::optional<std::string>& only_key) const {
  using std::chrono::duration;
  const EngineSample sample = engine_();
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  json::value roof = nullptr;
  if (read_bytes_per_second_ > 0) roof = read_bytes_per_second_;
  return {{"at", duration<double>(since_1970).count()},
          {"uptime_seconds", duration<double>(Clock::now() - started_).count()},
          {"model", json::string(model_)},
          {"version", json::string(version_)},
          {"memory_read_bytes_per_second", roof},
          {"engine", engine_json(sample)},
          {"cache", cache_json(sample)},
          {"last_minute", minute_.json(Clock::now(), sample.stats)},
          {"experts", experts_json(sample)},
          {"keys", usage_.json(only_key)}};
}

}  // namespace dbrx
