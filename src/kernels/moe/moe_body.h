// The elementwise kernels of experts() in 16 lanes; compiled by moe_avx2.cc and moe_avx512.cc.
#pragma once

#include "kernels/moe/moe_kernels.h"
#include "kernels/simd/exp_x16.h"

namespace dbrx {
namespace {

void silu_mul(float* gate, const float* up, int64_t n) noexcept {
  for (int64_t i = 0; i < n; i += 16) {
    const Mask16 lanes = first_lanes(n - i);
    const F32x16 g = load(gate + i, lanes);
    const F32x16 minus_g = g * broadcast(-1.0F);
    const F32x16 silu = g / (broadcast(1.0F) + exp_x16(minus_g));
    store(gate + i, silu * load(up + i, lanes), lanes);
  }
}

void add_scaled(float* y, const float* x, float weight, int64_t n) noexcept {
  const F32x16 scale = broadcast(weight);
  for (int64_t i = 0; i < n; i += 16) {
    const Mask16 lanes = first_lanes(n - i);
    store(y + i, fma(load(x + i, lanes), scale, load(y + i, lanes)), lanes);
  }
}

}  // namespace
}  // namespace dbrx
