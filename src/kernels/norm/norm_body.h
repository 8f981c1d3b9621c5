// Layer norm of one row in 16 lanes; compiled by norm_avx2.cc and norm_avx512.cc.
#pragma once

#include "kernels/norm/norm_kernels.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

constexpr int64_t kLanes = 16;

DBRX_SIMD float square_root(float value) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(value))); }

void run(const NormRow& row) noexcept {
  const int64_t whole = row.d / kLanes * kLanes;
  const Mask16 rest = first_lanes(row.d - whole);
  const float d = static_cast<float>(row.d);

  F32x16 lanes = zero16();
  for (int64_t i = 0; i < whole; i += kLanes) lanes = lanes + load(row.x + i);
  if (whole < row.d) lanes = select(rest, lanes + load(row.x + whole, rest), lanes);
  const float mean = sum_lanes(lanes) / d;
  const F32x16 means = broadcast(mean);

  lanes = zero16();
  for (int64_t i = 0; i < whole; i += kLanes) {
    const F32x16 delta = load(row.x + i) - means;
    lanes = fma(delta, delta, lanes);
  }
  if (whole < row.d) {
    const F32x16 delta = load(row.x + whole, rest) - means;
    lanes = select(rest, fma(delta, delta, lanes), lanes);
  }
  const F32x16 inverse = broadcast(1.0F / square_root(sum_lanes(lanes) / d + row.eps));

  for (int64_t i = 0; i < whole; i += kLanes) {
    store(row.y + i, (load(row.x + i) - means) * inverse * load(row.weight + i));
  }
  if (whole < row.d) {
    const F32x16 y = (load(row.x + whole, rest) - means) * inverse;
    store(row.y + whole, y * load(row.weight + whole, rest), rest);
  }
}

}  // namespace
}  // namespace dbrx
