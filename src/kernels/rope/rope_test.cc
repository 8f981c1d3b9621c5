#include "kernels/rope/rope.h"

#include <cfloat>

#include "kernels/testing.h"

namespace dbrx {
namespace {

using testing::Matrix;

TEST(Rope, RotatesHalfSplitPairsByTheirAngle) {
  flush_denormals();
  constexpr int64_t kHeads = 3, kDim = 10;
  constexpr double kTheta = 500000;
  const RopeTable table = make_rope_table(3000, kDim, kTheta);
  std::mt19937 random(1);
  Matrix<float> x = testing::normal_matrix(4, kHeads * kDim, random);
  Matrix<float> y = x;
  const std::vector<int32_t> positions = {0, 1, 2999, 17};
  Context context(Isa::scalar, 2);
  rope(context, {.x = y.view(), .n_heads = kHeads, .positions = positions, .table = &table});
  for (int64_t r = 0; r < 4; ++r) {
    for (int64_t h = 0; h < kHeads; ++h) {
      for (int64_t j = 0; j < kDim / 2; ++j) {
        const double position = positions[static_cast<size_t>(r)];
        const double angle = position * std::pow(kTheta, -2.0 * static_cast<double>(j) / kDim);
        const double low = x.at(r, h * kDim + j), high = x.at(r, h * kDim + j + kDim / 2);
        // The f32 angle is off by at most two roundings.
        const double tolerance =
            (std::abs(low) + std::abs(high)) * FLT_EPSILON / 2 * (2 * angle + 4);
        EXPECT_NEAR(y.at(r, h * kDim + j), low * std::cos(angle) - high * std::sin(angle),
                    tolerance);
        EXPECT_NEAR(y.at(r, h * kDim + j + kDim / 2),
                    high * std::cos(angle) + low * std::sin(angle), tolerance);
      }
    }
  }
}

TEST(Rope, PositionZeroChangesNothing) {
  const RopeTable table = make_rope_table(1, 8, 10000);
  std::mt19937 random(1);
  Matrix<float> x = testing::normal_matrix(1, 16, random);
  Matrix<float> y = x;
  const std::vector<int32_t> positions = {0};
  Context context(Isa::scalar, 1);
  rope(context, {.x = y.view(), .n_heads = 2, .positions = positions, .table = &table});
  testing::expect_same_bits(y, x);
}

TEST(Rope, TheTableIsTheDoublePrecisionFunctionOfTheFloatAngle) {
  const RopeTable table = make_rope_table(32768, 128, 500000);
  const float* row = table.cos_sin.data() + 32767 * 128;
  for (int j = 0; j < 64; ++j) {
    const float frequency = 1.0F / static_cast<float>(std::pow(500000.0, 2.0 * j / 128));
    const float angle = 32767.0F * frequency;
    EXPECT_EQ(row[j], static_cast<float>(std::cos(static_cast<double>(angle)))) << j;
    EXPECT_EQ(row[64 + j], static_cast<float>(std::sin(static_cast<double>(angle)))) << j;
  }
}

}  // namespace
}  // namespace dbrx
