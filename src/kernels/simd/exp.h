// Our exp: one sequence of roundings for every instruction set. This is the scalar form; exp_x16.h
// has the same sequence for 16 lanes.
//
//   n = round(x * log2(e));  r = x - n ln2, in two parts;  exp(x) = 2^n p(r),  |r| <= ln2 / 2
//
// Error at most 1 unit in the last place (tested on a sweep of bit patterns). Below kExpMin the
// result would be subnormal: it is 0, also for -inf. Above kExpMax it is +inf. NaN stays NaN.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace dbrx {

constexpr float kExpMin = -0x1.5d589ep+6F;  // the smallest float whose exp is a normal number
constexpr float kExpMax = 0x1.62e42ep+6F;   // the largest float whose exp is finite
constexpr float kLog2E = 0x1.715476p+0F;
constexpr float kRoundMagic =
    0x1.8p+23F;  // adding it rounds to an integer, which stays in the low bits
constexpr float kLn2High = 0x1.62e400p-1F;  // 15 bits: n * kLn2High is exact
constexpr float kLn2Low = 0x1.7f7d1cp-20F;
// Minimax polynomial of (exp(r) - 1 - r) / r^2 on [-ln2/2, ln2/2].
constexpr float kExpC2 = 0x1.fffffcp-2F;
constexpr float kExpC3 = 0x1.555492p-3F;
constexpr float kExpC4 = 0x1.5558b0p-5F;
constexpr float kExpC5 = 0x1.12398ap-7F;
constexpr float kExpC6 = 0x1.6a4d14p-10F;

[[gnu::always_inline]] inline float exp_f32(float x) {
  if (x < kExpMin) return 0.0F;
  if (x > kExpMax) return std::numeric_limits<float>::infinity();
  const float shifted = std::fma(x, kLog2E, kRoundMagic);
  const float n = shifted - kRoundMagic;
  float r = std::fma(n, -kLn2High, x);
  r = std::fma(n, -kLn2Low, r);
  float p = kExpC6;
  p = std::fma(p, r, kExpC5);
  p = std::fma(p, r, kExpC4);
  p = std::fma(p, r, kExpC3);
  p = std::fma(p, r, kExpC2);
  p = std::fma(p, r * r, r);
  p = p + 1.0F;
  // 2^n in two factors, since 2^128 is no float; both products are exact.
  const auto exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRoundMagic);
  const int32_t half = exponent >> 1;
  const float scale1 = std::bit_cast<float>((half + 127) << 23);
  const float scale2 = std::bit_cast<float>((exponent - half + 127) << 23);
  return p * scale1 * scale2;
}

}  // namespace dbrx
