// exp for 16 lanes: the sequence of exp_f32 in exp.h, operation by operation.
#pragma once

#include "kernels/simd/exp.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

DBRX_SIMD F32x16 exp_x16(F32x16 x) {
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
  p = p + broadcast(1.0F);
  const Exp2Factors scale = exp2_factors(shifted, magic);
  F32x16 result = p * scale.first * scale.second;
  result = select(less(x, broadcast(kExpMin)), zero16(), result);
  const F32x16 infinity = broadcast(std::numeric_limits<float>::infinity());
  return select(less(broadcast(kExpMax), x), infinity, result);
}

}  // namespace
}  // namespace dbrx
