#include "telemetry/latency_window.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace dbrx {
namespace {

// From a microsecond, each bucket a tenth wider than the one before: to more than two hours.
constexpr double kLeast = 1e-6;
constexpr double kGrowth = 1.1;

int64_t second_of(LatencyWindow::Time time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

size_t LatencyWindow::bucket_of(double seconds) {
  if (!(seconds > kLeast)) return 0;
  const double bucket = std::log(seconds / kLeast) / std::log(kGrowth);
  return static_cast<size_t>(std::min(bucket, static_cast<double>(kBuckets - 1)));
}

// The geometric one: as far from the one bound as from the other.
double LatencyWindow::middle_of(size_t bucket) {
  return kLeast * std::pow(kGrowth, static_cast<double>(bucket) + 0.5);
}

void LatencyWindow::add(Time now, double seconds) {
  const int64_t number = second_of(now);
  Second& second = seconds_[static_cast<size_t>(number) % seconds_.size()];
  if (second.number != number) second = {.number = number, .counts = {}};
  ++second.counts[bucket_of(seconds)];
}

std::array<int64_t, LatencyWindow::kBuckets> LatencyWindow::sum(Time now) const {
  std::array<int64_t, kBuckets> counts = {};
  const int64_t first = second_of(now) - kLength.count() + 1;
  for (const Second& second : seconds_) {
    if (second.number < first) continue;
    for (size_t i = 0; i < kBuckets; ++i) counts[i] += second.counts[i];
  }
  return counts;
}

int64_t LatencyWindow::count(Time now) const {
  const auto counts = sum(now);
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

std::vector<double> LatencyWindow::quantiles(Time now, std::span<const double> shares) const {
  const auto counts = sum(now);
  const auto all = static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  std::vector<double> values;
  size_t bucket = 0;
  auto below = static_cast<double>(counts[0]);
  for (const double share : shares) {
    while (below < share * all && bucket + 1 < kBuckets) {
      below += static_cast<double>(counts[++bucket]);
    }
    values.push_back(all == 0 ? 0 : middle_of(bucket));
  }
  return values;
}

}  // namespace dbrx
