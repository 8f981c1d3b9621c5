// The loop of fused multiply-adds, for every width of register.
#pragma once

#include <cstring>

#include "kernels/roof/roof_kernels.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

// Sums in twelve registers. One addition takes 4 or 5 cycles and two begin in each, so ten would
// do.
constexpr int kF32Chains = kSimdAccumulators < 12 ? 6 : 12;

int64_t f32(int64_t n, uint32_t* sink) noexcept {
  // All sums begin with other values: equal ones would be computed once.
  float start[kF32Chains + 16];
  for (int i = 0; i < kF32Chains + 16; ++i) start[i] = static_cast<float>(i);
  F32x16 acc[kF32Chains];
  DBRX_UNROLL
  for (int c = 0; c < kF32Chains; ++c) acc[c] = load(start + c);
  const F32x16 x = broadcast(0.77F);
  const F32x16 w = broadcast(-0.35F);
  for (int64_t i = 0; i < n; ++i) {
    DBRX_UNROLL
    for (int c = 0; c < kF32Chains; ++c) acc[c] = fma(x, w, acc[c]);
  }
  F32x16 sum = acc[0];
  DBRX_UNROLL
  for (int c = 1; c < kF32Chains; ++c) sum = sum + acc[c];
  const float total = sum_lanes(sum);
  uint32_t bits;
  std::memcpy(&bits, &total, sizeof bits);
  *sink ^= bits;
  return n * kF32Chains * 16 * 2;
}

}  // namespace
}  // namespace dbrx
