// exp for 16 lanes: the sequence of exp_f32 in exp.h, operation by operation.
#pragma once

#include "kernels/simd/exp.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

// exp(x) = p * 2^n for an x between kExpMin and kExpMax.
struct ExpParts {
  F32x16 p;
  F32x16 shifted;  // n + kRoundMagic
};

DBRX_SIMD ExpParts exp_parts(F32x16 x) {
  const F32x16 magic = broadcast(kRoundMagic);
  const F32x16 shifted = fma(x, broadcast(kLog2E), magic);
  const F32x16 n = shifted - magic;
  F32x16 r = fma(n, broadcast(-kLn2High), x);
  r = fma(n, broadcast(-kLn2Low), r);
  F32x16 p = broadcast(kExpC6);
  p = fma(p, r, broadcast(kExpC5));
  p = fma(p, r, broadcast(kExpC4));
  p = fma(p, r, broadcast(kExpC3));
  p = fma(p, r, broadcast(kExpC2));
  p = fma(p, r * r, r);
  return {p + broadcast(1.0F), shifted};
}

DBRX_SIMD F32x16 exp_x16(F32x16 x) {
  const ExpParts parts = exp_parts(x);
  const Exp2Factors scale = exp2_factors(parts.shifted, broadcast(kRoundMagic));
  F32x16 result = parts.p * scale.first * scale.second;
  result = select(less(x, broadcast(kExpMin)), zero16(), result);
  const F32x16 infinity = broadcast(std::numeric_limits<float>::infinity());
  return select(less(broadcast(kExpMax), x), infinity, result);
}

// exp of lanes that are not above 0, or NaN: the same bits in fewer steps, since 2^n is a float.
DBRX_SIMD F32x16 exp_x16_to_one(F32x16 x) {
  const ExpParts parts = exp_parts(x);
  return select(less(x, broadcast(kExpMin)), zero16(), parts.p * exp2_factor(parts.shifted));
}

}  // namespace
}  // namespace dbrx
