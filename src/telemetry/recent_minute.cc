#include "telemetry/recent_minute.h"

#include <algorithm>
#include <array>

namespace dbrx {
namespace json = boost::json;
namespace {

double share_of_roof(const EngineStats& from, const EngineStats& to, double roof) {
  const double seconds = to.step_seconds - from.step_seconds;
  if (roof <= 0 || seconds <= 0) return -1;
  return static_cast<double>(to.weight_bytes_read - from.weight_bytes_read) / seconds / roof;
}

json::object quantiles(const LatencyWindow& window, LatencyWindow::Time now) {
  constexpr std::array<double, 4> kShares = {0.5, 0.9, 0.95, 0.99};
  const std::vector<double> values = window.quantiles(now, kShares);
  return {{"count", window.count(now)},
          {"p50", values[0]},
          {"p90", values[1]},
          {"p95", values[2]},
          {"p99", values[3]}};
}

// Null where nothing was divided by.
json::value ratio(double part, double whole) {
  return whole > 0 ? json::value(part / whole) : json::value(nullptr);
}

}  // namespace

void RecentMinute::first_token(Time now, double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_.add(now, seconds);
}

void RecentMinute::next_token(Time now, double seconds) {
  const std::lock_guard lock(mutex_);
  next_token_.add(now, seconds);
}

void RecentMinute::finished(Time now, const RequestRecord& record) {
  const std::lock_guard lock(mutex_);
  if (record.error.empty()) {
    whole_request_.add(now, seconds_between(record.started, record.ended));
  }
}

void RecentMinute::look(Time now, const EngineStats& stats) {
  const std::lock_guard lock(mutex_);
  looks_.push_back({now, stats});
  // One that is older than a minute stays, so that the span is never shorter than that.
  while (looks_.size() > 2 && now - looks_[1].at >= LatencyWindow::kLength) looks_.pop_front();
}

double RecentMinute::roof_share() const {
  const std::lock_guard lock(mutex_);
  if (looks_.empty()) return -1;
  return share_of_roof(looks_.front().stats, looks_.back().stats, roof_);
}

json::object RecentMinute::json(Time now, const EngineStats& stats) const {
  const std::lock_guard lock(mutex_);
  const Look from = looks_.empty() ? Look{now, stats} : looks_.front();
  const EngineStats& before = from.stats;
  const double seconds = seconds_between(from.at, now);
  const auto n = [](int64_t after, int64_t earlier) {
    return static_cast<double>(after - earlier);
  };
  const double share = share_of_roof(before, stats, roof_);
  return {
      {"seconds", seconds},
      {"prompt_tokens_per_second", ratio(n(stats.prompt_tokens, before.prompt_tokens), seconds)},
      {"generated_tokens_per_second",
       ratio(n(stats.generated_tokens, before.generated_tokens), seconds)},
      {"prefix_hit_rate", ratio(n(stats.prefix_hits, before.prefix_hits),
                                n(stats.prefix_queries, before.prefix_queries))},
      {"rows_per_step", ratio(n(stats.step_rows, before.step_rows), n(stats.steps, before.steps))},
      {"busy", ratio(stats.step_seconds - before.step_seconds, seconds)},
      {"roof_share", share < 0 ? json::value(nullptr) : json::value(share)},
      {"time_to_first_token_seconds", quantiles(first_token_, now)},
      {"inter_token_seconds", quantiles(next_token_, now)},
      {"request_seconds", quantiles(whole_request_, now)}};
}

}  // namespace dbrx
