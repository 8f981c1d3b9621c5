// f32 weights in 16 lanes; compiled by matmul_f32_avx2.cc and matmul_f32_avx512.cc. Packed x: the
// floats themselves, row-major.
#pragma once

#include "kernels/matmul/linear.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

constexpr int64_t kLanes = 16;
constexpr int kOutputGroup = kSimdAccumulators >= 16 ? 4 : 2;
constexpr int kRowGroup = kSimdAccumulators / kOutputGroup;

void pack_x(const PackXArgs& a) noexcept {
  float* row = reinterpret_cast<float*>(a.packed) + a.row * a.n_steps * kBf16StepK;
  const int64_t padded = (a.n + kBf16StepK - 1) / kBf16StepK * kBf16StepK;
  for (int64_t i = 0; i < padded; i += kLanes) {
    store(row + i, load(a.x + i, first_lanes(a.n - i)));
  }
}

// kRows rows times kOutputs outputs.
template <int kRows, int kOutputs>
DBRX_SIMD void dots(const float* x, int64_t x_stride, const float* w, int64_t n, float* out,
                    int64_t out_stride) {
  F32x16 acc[kRows][kOutputs];
  DBRX_UNROLL
  for (int r = 0; r < kRows; ++r) {
    DBRX_UNROLL
    for (int o = 0; o < kOutputs; ++o) acc[r][o] = zero16();
  }
  const int64_t whole = n / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    F32x16 xs[kRows];
    DBRX_UNROLL
    for (int r = 0; r < kRows; ++r) xs[r] = load(x + r * x_stride + i);
    DBRX_UNROLL
    for (int o = 0; o < kOutputs; ++o) {
      const F32x16 weights = load(w + o * n + i);
      DBRX_UNROLL
      for (int r = 0; r < kRows; ++r) acc[r][o] = fma(xs[r], weights, acc[r][o]);
    }
  }
  const Mask16 rest = first_lanes(n - whole);
  DBRX_UNROLL
  for (int o = 0; o < kOutputs; ++o) {
    DBRX_UNROLL
    for (int r = 0; r < kRows; ++r) {
      if (whole < n) {
        const F32x16 last =
            fma(load(x + r * x_stride + whole, rest), load(w + o * n + whole, rest), acc[r][o]);
        acc[r][o] = select(rest, last, acc[r][o]);
      }
      out[r * out_stride + o] = sum_lanes(acc[r][o]);
    }
  }
}

template <int kRows>
DBRX_SIMD void run_rows(const MatmulTile& t, int64_t row) {
  const int64_t x_stride = t.n_steps * kBf16StepK;
  const int64_t out_stride = t.n_panels * kPanelOutputs;
  const float* x = reinterpret_cast<const float*>(t.x) + (t.first_row + row) * x_stride;
  for (int64_t p = 0; p < t.n_panels; ++p) {
    const auto* panel = reinterpret_cast<const float*>(t.panels[p]);
    float* out = t.out + row * out_stride + p * kPanelOutputs;
    for (int64_t o = 0; o < kPanelOutputs; o += kOutputGroup) {
      dots<kRows, kOutputGroup>(x, x_stride, panel + o * t.in_features, t.in_features, out + o,
                                out_stride);
    }
  }
}

void run(const MatmulTile& t) noexcept {
  int64_t row = 0;
  for (; row + kRowGroup <= t.n_rows; row += kRowGroup) run_rows<kRowGroup>(t, row);
  for (; row < t.n_rows; ++row) run_rows<1>(t, row);
}

}  // namespace
}  // namespace dbrx
