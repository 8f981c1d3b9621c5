#include "kernels/simd/exp.h"

#include "kernels/moe/moe_kernels.h"
#include "kernels/testing.h"

namespace dbrx {
namespace {

// A prime step through all bit patterns keeps the test short and meets every exponent.
constexpr uint32_t kStep = 997;

// Error in units of the last place of the exact result.
double error_in_ulps(float x) {
  const double exact = std::exp(static_cast<double>(x));
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::abs(static_cast<double>(exp_f32(x)) - exact) / std::ldexp(1.0, exponent - 24);
}

TEST(Exp, IsWithinOneUnitInTheLastPlace) {
  flush_denormals();
  double worst = 0;
  const auto last = std::bit_cast<uint32_t>(kExpMax);
  for (uint32_t bits = 0; bits <= last; bits += kStep) {
    const float x = std::bit_cast<float>(bits);
    worst = std::max(worst, error_in_ulps(x));
    if (-x >= kExpMin) worst = std::max(worst, error_in_ulps(-x));
  }
  worst = std::max({worst, error_in_ulps(kExpMin), error_in_ulps(kExpMax)});
  RecordProperty("worst_ulps", std::to_string(worst));
  EXPECT_LE(worst, 1.0);
}

TEST(Exp, HandlesTheEnds) {
  flush_denormals();
  EXPECT_EQ(exp_f32(0.0F), 1.0F);
  EXPECT_EQ(exp_f32(-0.0F), 1.0F);
  EXPECT_EQ(exp_f32(-INFINITY), 0.0F);
  EXPECT_EQ(exp_f32(-1e30F), 0.0F);
  EXPECT_EQ(exp_f32(std::nextafter(kExpMin, -INFINITY)), 0.0F);
  EXPECT_GE(exp_f32(kExpMin), std::numeric_limits<float>::min());
  EXPECT_EQ(exp_f32(INFINITY), INFINITY);
  EXPECT_EQ(exp_f32(std::nextafter(kExpMax, INFINITY)), INFINITY);
  EXPECT_TRUE(std::isfinite(exp_f32(kExpMax)));
  EXPECT_TRUE(std::isnan(exp_f32(NAN)));
}

// silu contains exp, division and products: its bits are exp's bits.
TEST(Exp, SiluHasTheSameBitsOnEveryInstructionSet) {
  flush_denormals();
  for (const MoeKernel* kernel : moe_kernels()) {
    if (!testing::runnable(kernel->isa)) continue;
    SCOPED_TRACE(kernel->name);
    constexpr int64_t kN = 1003;
    std::vector<float> gate(kN), expected(kN), up(kN, 1.25F);
    for (uint32_t first = 0; first < 0xffffffff - kN * kStep; first += kN * kStep) {
      for (size_t i = 0; i < kN; ++i) {
        gate[i] = expected[i] = std::bit_cast<float>(static_cast<uint32_t>(first + i * kStep));
      }
      kernel->silu_mul(gate.data(), up.data(), kN);
      moe_scalar.silu_mul(expected.data(), up.data(), kN);
      for (size_t i = 0; i < kN; ++i) {
        ASSERT_TRUE(testing::same_bits(gate[i], expected[i])) << gate[i] << " " << expected[i];
      }
    }
  }
}

TEST(Exp, SiluIsAccurate) {
  flush_denormals();
  for (float x = -60; x < 60; x += 0.0371F) {
    float value = x;
    const float one = 1;
    moe_scalar.silu_mul(&value, &one, 1);
    const double exact = x / (1 + std::exp(-static_cast<double>(x)));
    EXPECT_NEAR(value, exact, 3 * 0x1p-23 * std::abs(exact)) << x;
  }
}

}  // namespace
}  // namespace dbrx
