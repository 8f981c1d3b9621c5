// The arithmetic of TDPBF16PS in plain C++, for the scalar kernels. AMX reads subnormals as zero
// and flushes subnormal results; vector kernels get the same from the thread's floating-point mode
// (see flush_denormals), here it is written out so that the truth does not depend on that mode.
#pragma once

#include <cfloat>
#include <cmath>

#include "tensor/format.h"

namespace dbrx {

[[gnu::always_inline]] inline float flush(float value) {
  return std::fabs(value) < FLT_MIN ? std::copysign(0.0F, value) : value;
}

// a * b + c, rounded once, subnormal results flushed. The hardware decides whether a result is
// subnormal after rounding it to 24 bits with an unbounded exponent. So a value just below FLT_MIN
// may round up to it in the coarser subnormal spacing, yet be flushed by the hardware: that one
// case is rounded again 64 binary orders higher, where nothing is subnormal. (A result as small as
// FLT_MIN means |a * b| < 2^-100 for bf16 factors, so the scaling can't overflow.)
[[gnu::always_inline]] inline float fma_flushed(float a, float b, float c) {
  const float result = std::fma(a, b, c);
  if (std::fabs(result) == FLT_MIN) {
    constexpr float kScale = 0x1p64F;
    const float scaled = std::fma(a * kScale, b, c * kScale);
    if (std::fabs(scaled) < FLT_MIN * kScale) return std::copysign(0.0F, result);
  }
  return flush(result);
}

// The float value of a bf16 factor, as AMX reads it.
[[gnu::always_inline]] inline float bf16_factor(uint16_t bits) {
  return flush(bf16_to_float(bits));
}

// A float rounded to bf16, as a factor.
[[gnu::always_inline]] inline float round_to_bf16(float value) {
  return bf16_factor(float_to_bf16(value));
}

}  // namespace dbrx
