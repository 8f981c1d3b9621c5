#include "tensor/quantized_row.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace dbrx {
namespace {

// Root mean square of the error relative to the weights'.
double relative_error(Format format, const std::vector<float>& weights) {
  QuantizedRow row;
  quantize_row(format, weights, row);
  double error = 0;
  double size = 0;
  for (size_t k = 0; k < weights.size(); ++k) {
    const double miss = weights[k] - double{row.scale} * row.factor(static_cast<int64_t>(k));
    error += miss * miss;
    size += double{weights[k]} * weights[k];
  }
  return std::sqrt(error / size);
}

template <typename Distribution>
double mean_error(Format format, Distribution distribution) {
  std::mt19937 random(5);
  double sum = 0;
  for (int row = 0; row < 8; ++row) {
    std::vector<float> weights(6144);
    for (float& w : weights) w = static_cast<float>(distribution(random));
    sum += relative_error(format, weights);
  }
  return sum / 8;
}

// What an exhaustive search reached on the same distributions: 0.0885 and 0.1167.
TEST(QuantizedRow, Int4ErrorsAreThoseOfItsFormat) {
  EXPECT_LT(mean_error(Format::int4, std::normal_distribution<double>()), 0.0890);
  EXPECT_LT(mean_error(Format::int4, std::student_t_distribution<double>(5)), 0.1205);
}

// A uniform step of 2 max / 254 on Gaussian weights whose largest of 6144 is near 3.9 sigma.
TEST(QuantizedRow, Int8ErrorsAreThoseOfItsFormat) {
  EXPECT_LT(mean_error(Format::int8, std::normal_distribution<double>()), 0.0087);
}

TEST(QuantizedRow, IntegersStayInTheirRange) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  for (const size_t n : {1, 31, 32, 33, 100}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<float> weights(n);
      for (float& w : weights) w = normal(random) * std::exp(3 * normal(random));
      QuantizedRow row;
      quantize_row(Format::int4, weights, row);
      for (const uint8_t s : row.group_scales) EXPECT_TRUE(s >= 1 && s <= 15);
      for (const int8_t q : row.q) EXPECT_TRUE(q >= -8 && q <= 7);
      quantize_row(Format::int8, weights, row);
      EXPECT_TRUE(row.group_scales.empty());
      for (const int8_t q : row.q) EXPECT_GE(q, -127);
    }
  }
}

TEST(QuantizedRow, WeightsOnTheGridComeBackExactly) {
  std::vector<float> weights(64);
  for (size_t k = 0; k < 64; ++k) {
    const int q = static_cast<int>(k % 16) - 8;
    weights[k] = 0.5F * static_cast<float>((k < 32 ? 15 : 4) * q);
  }
  EXPECT_EQ(relative_error(Format::int4, weights), 0);
  std::vector<float> wide;
  for (int q = -127; q <= 127; ++q) wide.push_back(0.25F * static_cast<float>(q));
  EXPECT_EQ(relative_error(Format::int8, wide), 0);
}

TEST(QuantizedRow, SmallAndLargeWeightsAreRoundedAlike) {
  for (const Format format : {Format::int8, Format::int4}) {
    std::mt19937 random(8);
    std::normal_distribution<float> normal;
    std::vector<float> weights(1000);
    for (float& w : weights) w = normal(random);
    QuantizedRow one, other;
    quantize_row(format, weights, one);
    for (const int exponent : {-70, -62, 60}) {
      std::vector<float> scaled = weights;
      for (float& w : scaled) w = std::ldexp(w, exponent);
      quantize_row(format, scaled, other);
      EXPECT_EQ(other.q, one.q) << exponent;
      EXPECT_EQ(other.group_scales, one.group_scales) << exponent;
      EXPECT_EQ(other.scale, std::ldexp(one.scale, exponent)) << exponent;
    }
  }
}

TEST(QuantizedRow, ARowOfZerosIsExactAndFinite) {
  for (const Format format : {Format::int8, Format::int4}) {
    QuantizedRow row;
    quantize_row(format, std::vector<float>(40, 0.0F), row);
    EXPECT_EQ(row.scale, 0);
    for (int64_t k = 0; k < 40; ++k) EXPECT_EQ(row.factor(k), 0);
  }
}

}  // namespace
}  // namespace dbrx
