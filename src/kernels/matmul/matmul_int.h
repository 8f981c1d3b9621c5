// Packed x of the integer kernels, the same for every instruction set: one record per row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matmul/linear.h"

namespace dbrx {

// A record: [float scale, to 64 bytes] [digit 0: n_steps * 64 signed bytes] [digit 1] [pairs of
// digit 0] [pairs of digit 1], rounded up to 64 bytes. Digit 0 of two is the high one. A pair
// belongs to 32 values: two int16, -8 times the sum of those with k % 4 < 2 and of the others.
// Unsigned int4 weights (w + 8) start their sums from it.
struct IntRow {
  int64_t n_steps;
  int64_t n_digits;

  [[gnu::always_inline]] IntRow(int64_t steps, int64_t digits) : n_steps(steps), n_digits(digits) {}

  [[gnu::always_inline]] int64_t digit_offset(int64_t digit) const {
    return 64 + digit * n_steps * kIntStepK;
  }
  [[gnu::always_inline]] int64_t pair_offset(int64_t digit) const {
    return digit_offset(n_digits) + digit * n_steps * 8;
  }
  [[gnu::always_inline]] int64_t bytes() const { return (pair_offset(n_digits) + 63) / 64 * 64; }
};

// The largest integers that x becomes: of two digits 127 * 256, so that the high one stays in a
// byte.
constexpr int32_t kExactLimit = 32512;
constexpr int32_t kFastLimit = 127;

// y of the exact integer sums (matmul.h).
[[gnu::always_inline]] inline float scaled(double sum, float x_scale, float weight_scale) {
  return static_cast<float>(sum * (double{x_scale} * double{weight_scale}));
}

}  // namespace dbrx
