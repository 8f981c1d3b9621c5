#include <cmath>

#include "kernels/moe/moe_kernels.h"
#include "kernels/simd/exp.h"

namespace dbrx {
namespace {

void silu_mul(float* gate, const float* up, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    const float silu = gate[i] / (1.0F + exp_f32(-gate[i]));
    gate[i] = silu * up[i];
  }
}

void add_scaled(float* y, const float* x, float weight, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) y[i] = std::fma(x[i], weight, y[i]);
}

}  // namespace

const MoeKernel moe_scalar = {
    .name = "scalar", .isa = Isa::scalar, .silu_mul = silu_mul, .add_scaled = add_scaled};

}  // namespace dbrx
