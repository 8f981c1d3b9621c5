#include "tensor/format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace dbrx {
namespace {

TEST(Format, EveryF16IsDecodedExactly) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 0x1f);
    const double mantissa = bits & 0x3ff;
    double want =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    if ((bits & 0x8000) != 0) want = -want;
    const float got = f16_to_float(static_cast<uint16_t>(bits));
    if (exponent == 0x1f) {
      EXPECT_EQ(std::isnan(got), mantissa != 0) << bits;
      EXPECT_EQ(std::isinf(got), mantissa == 0) << bits;
    } else {
      EXPECT_EQ(static_cast<double>(got), want) << bits;
      EXPECT_EQ(std::signbit(got), (bits & 0x8000) != 0) << bits;
    }
  }
}

TEST(Format, Bf16RoundsToNearestTiesToEven) {
  const auto round_trip = [](float x) { return bf16_to_float(float_to_bf16(x)); };
  EXPECT_EQ(round_trip(1.0F), 1.0F);
  EXPECT_EQ(round_trip(1.0F + 0x1p-8F), 1.0F);              // tie, even below
  EXPECT_EQ(round_trip(1.0F + 0x1.8p-7F), 1.0F + 0x1p-6F);  // tie, even above
  EXPECT_EQ(round_trip(1.0F + 0x1.02p-8F), 1.0F + 0x1p-7F);
  EXPECT_EQ(round_trip(-8.0F), -8.0F);
  EXPECT_TRUE(std::isinf(round_trip(std::numeric_limits<float>::max())));
  EXPECT_TRUE(std::isnan(round_trip(std::numeric_limits<float>::quiet_NaN())));
  // A NaN whose payload lies in the lower half must not become infinity.
  EXPECT_TRUE(std::isnan(round_trip(std::bit_cast<float>(0x7f800001U))));
}

}  // namespace
}  // namespace dbrx
