// How rows of floats become integers with one scale: keys and values of an int8 cache, and what
// they are multiplied with.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace dbrx {

constexpr float kKvTop = 127;        // largest integer of a key or value
constexpr float kFactorTop = 32512;  // of a query or a block's weights: two signed bytes at most

// x becomes round(x * inverse), ties to even, and stands for that times scale.
struct IntScale {
  float scale;
  float inverse;
};

// most: the largest of |x| as bits, so that a NaN counts as larger than any number. A row with a
// NaN or an infinity has a scale of NaN; one below 2^-100 counts as zero.
[[gnu::always_inline]] inline IntScale int_scale(uint32_t most, float top) {
  if (most >= 0x7f800000U) return {std::numeric_limits<float>::quiet_NaN(), 0};
  const float largest = std::bit_cast<float>(most);
  if (largest < 0x1p-100F) return {0, 0};
  return {largest / top, top / largest};
}

// The largest of |x| as bits.
[[gnu::always_inline]] inline uint32_t largest_bits(const float* x, int64_t n) {
  uint32_t most = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(x[i]) & 0x7fffffff;
    most = most < bits ? bits : most;
  }
  return most;
}

}  // namespace dbrx
