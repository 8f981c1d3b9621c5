#include "kernels/pointwise/pointwise.h"

#include "kernels/testing.h"

namespace dbrx {
namespace {

using testing::Matrix;

TEST(Pointwise, ClipLimitsBothSidesAndKeepsNan) {
  Matrix<float> x(1, 7);
  const float values[] = {-9, -8, -7.5F, 0, 8, INFINITY, NAN};
  for (int64_t i = 0; i < 7; ++i) x.at(0, i) = values[i];
  Context context(Isa::scalar, 1);
  clip(context, x.view(), 8);
  const float expected[] = {-8, -8, -7.5F, 0, 8, 8};
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(x.at(0, i), expected[i]);
  EXPECT_TRUE(std::isnan(x.at(0, 6)));
}

TEST(Pointwise, AddAddsAndLeavesTheGapsAlone) {
  std::mt19937 random(1);
  Matrix<float> x = testing::normal_matrix(3, 5, random);
  Matrix<float> y = testing::normal_matrix(3, 5, random);
  const Matrix<float> before = x;
  Context context(Isa::scalar, 2);
  add(context, x.view(), y.view());
  for (size_t i = 0; i < x.values.size(); ++i) {
    const bool gap = static_cast<int64_t>(i) % (5 + Matrix<float>::kGap) >= 5;
    EXPECT_EQ(x.values[i], gap ? before.values[i] : before.values[i] + y.values[i]);
  }
}

}  // namespace
}  // namespace dbrx
