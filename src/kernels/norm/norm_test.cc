#include "kernels/norm/norm.h"

#include <cfloat>

#include "kernels/norm/norm_kernels.h"
#include "kernels/testing.h"

namespace dbrx {
namespace {

using testing::Matrix;

class LayerNorm : public testing::KernelTest {
 protected:
  std::mt19937 random_{5};
};

std::vector<float> normal_weight(int64_t d, std::mt19937& random) {
  std::vector<float> weight(static_cast<size_t>(d));
  testing::fill_normal(weight, random);
  return weight;
}

TEST_F(LayerNorm, EveryKernelHasTheBitsOfTheScalarOne) {
  for (const int64_t d : {1, 2, 15, 16, 17, 31, 33, 64, 255, 256, 1000, 6144}) {
    SCOPED_TRACE(d);
    Matrix<float> x = testing::normal_matrix(1, d, random_);
    for (float& value : x.values) value = value * 3 + 1;
    const std::vector<float> weight = normal_weight(d, random_);
    Matrix<float> expected(1, d);
    norm_scalar.run({.x = x.view().data,
                     .weight = weight.data(),
                     .d = d,
                     .eps = 1e-5F,
                     .y = expected.view().data});
    for (const NormKernel* kernel : norm_kernels()) {
      if (!testing::runnable(kernel->isa)) continue;
      SCOPED_TRACE(kernel->name);
      Matrix<float> y(1, d);
      kernel->run(
          {.x = x.view().data, .weight = weight.data(), .d = d, .eps = 1e-5F, .y = y.view().data});
      testing::expect_same_bits(y, expected);
    }
  }
}

TEST_F(LayerNorm, AgreesWithDoublePrecision) {
  constexpr int64_t kD = 777;
  Matrix<float> x = testing::normal_matrix(4, kD, random_);
  for (float& value : x.values) value = value * 2 + 5;
  const std::vector<float> weight = normal_weight(kD, random_);
  Matrix<float> y(4, kD);
  Context context(Isa::scalar, 1);
  layer_norm(context, {.x = x.view(), .weight = weight.data(), .eps = 1e-5F, .y = y.view()});
  for (int64_t r = 0; r < 4; ++r) {
    double mean = 0, variance = 0, largest = 0;
    for (int64_t i = 0; i < kD; ++i) mean += static_cast<double>(x.at(r, i)) / kD;
    for (int64_t i = 0; i < kD; ++i) variance += std::pow(x.at(r, i) - mean, 2) / kD;
    for (int64_t i = 0; i < kD; ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(x.at(r, i))));
    }
    const double deviation = std::sqrt(variance + 1e-5);
    // 54 roundings in a sum; the mean's error counts relative to the deviation.
    const double unit = FLT_EPSILON / 2;
    for (int64_t i = 0; i < kD; ++i) {
      const double w = weight[static_cast<size_t>(i)];
      const double exact = (x.at(r, i) - mean) / deviation * w;
      const double tolerance = 60 * unit * (std::abs(exact) + std::abs(w) * largest / deviation);
      EXPECT_NEAR(y.at(r, i), exact, tolerance);
    }
  }
}

TEST_F(LayerNorm, WorksInPlaceAndOnAnyNumberOfThreads) {
  constexpr int64_t kD = 70, kN = 9;
  Matrix<float> x = testing::normal_matrix(kN, kD, random_);
  const std::vector<float> weight = normal_weight(kD, random_);
  Matrix<float> expected(kN, kD);
  Context scalar(Isa::scalar, 1);
  layer_norm(scalar, {.x = x.view(), .weight = weight.data(), .eps = 1e-5F, .y = expected.view()});
  for (const Isa isa : testing::runnable_isas()) {
    for (const int n_threads : {1, 2, 3}) {
      Context context(isa, n_threads);
      Matrix<float> y = x;
      layer_norm(context, {.x = y.view(), .weight = weight.data(), .eps = 1e-5F, .y = y.view()});
      testing::expect_same_bits(y, expected);
    }
  }
}

TEST_F(LayerNorm, AConstantRowIsZero) {
  Matrix<float> x(1, 32), y(1, 32);
  for (float& value : x.values) value = 4;
  const std::vector<float> weight(32, 2.0F);
  Context context(choose_isa({}), 1);
  layer_norm(context, {.x = x.view(), .weight = weight.data(), .eps = 1e-5F, .y = y.view()});
  for (int64_t i = 0; i < 32; ++i) EXPECT_EQ(y.at(0, i), 0);
}

}  // namespace
}  // namespace dbrx
