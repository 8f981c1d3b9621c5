#include "telemetry/latency_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

namespace dbrx {
namespace {

using Time = LatencyWindow::Time;

Time at(double seconds) {
  return Time(std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(seconds)));
}

TEST(LatencyWindow, QuantilesAreThoseOfSortedValuesWithinFivePercent) {
  std::mt19937 random(7);
  std::lognormal_distribution<double> draw(-3, 2);
  LatencyWindow window;
  std::vector<double> values;
  for (int i = 0; i < 10'000; ++i) {
    values.push_back(draw(random));
    window.add(at(1000 + i * 0.004), values.back());
  }
  std::sort(values.begin(), values.end());
  const std::array<double, 4> shares = {0.5, 0.9, 0.99, 1};
  const std::vector<double> found = window.quantiles(at(1041), shares);
  for (size_t i = 0; i < shares.size(); ++i) {
    const double exact = values[static_cast<size_t>(std::ceil(shares[i] * 10'000)) - 1];
    EXPECT_NEAR(found[i] / exact, 1, 0.05) << shares[i];
  }
}

TEST(LatencyWindow, ForgetsWhatIsOlderThanAMinute) {
  LatencyWindow window;
  window.add(at(100.5), 1);
  window.add(at(130.5), 2);
  EXPECT_EQ(window.count(at(131)), 2);
  EXPECT_EQ(window.count(at(159.9)), 2);
  EXPECT_EQ(window.count(at(160.1)), 1);
  window.add(at(160.5), 4);  // takes the place of the first second
  EXPECT_EQ(window.count(at(160.6)), 2);
  EXPECT_EQ(window.count(at(1000)), 0);
  EXPECT_EQ(window.quantiles(at(1000), std::array<double, 1>{0.5}), std::vector<double>{0});
}

TEST(LatencyWindow, TakesDurationsOfAnySize) {
  LatencyWindow window;
  for (const double seconds : {-1.0, 0.0, 1e-9, 1e9}) window.add(at(5), seconds);
  EXPECT_EQ(window.count(at(5)), 4);
}

}  // namespace
}  // namespace dbrx
