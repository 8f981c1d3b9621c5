// Quantiles of the durations of the last minute, from counts in buckets that grow by a factor: an
// answer is off by at most 5 %, and adding one costs some nanoseconds.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

namespace dbrx {

class LatencyWindow {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kLength{60};

  // now: never earlier than in a call before.
  void add(Time now, double seconds);

  int64_t count(Time now) const;
  // For each of `shares`, ascending in (0, 1], the duration that this share of all is not above.
  // Zeros when there were none.
  std::vector<double> quantiles(Time now, std::span<const double> shares) const;

 private:
  static constexpr size_t kBuckets = 240;
  struct Second {
    int64_t number = -1;  // since the clock's epoch
    std::array<uint32_t, kBuckets> counts = {};
  };
  static size_t bucket_of(double seconds);
  static double middle_of(size_t bucket);
  std::array<int64_t, kBuckets> sum(Time now) const;

  std::array<Second, kLength.count()> seconds_ = {};
};

}  // namespace dbrx
