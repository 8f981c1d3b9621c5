// The elementwise kernels behind experts(). Only kernels/moe includes this.
#pragma once

#include <cstdint>
#include <span>

#include "base/isa.h"

namespace dbrx {

struct MoeKernel {
  const char* name;
  Isa isa;
  // gate[i] = silu(gate[i]) * up[i], silu(g) = g / (1 + exp(-g)), each operation rounded.
  void (*silu_mul)(float* gate, const float* up, int64_t n) noexcept;
  // y[i] = x[i] * weight + y[i], fused.
  void (*add_scaled)(float* y, const float* x, float weight, int64_t n) noexcept;
};

extern const MoeKernel moe_scalar;
extern const MoeKernel moe_avx2;
extern const MoeKernel moe_avx512;

// Every kernel, best first.
std::span<const MoeKernel* const> moe_kernels();

}  // namespace dbrx
