// bf16 weights on vector units: AMX's even and odd chains as fused multiply-adds; compiled by
// matmul_bf16_avx2.cc and matmul_bf16_avx512.cc. Packed x: floats rounded to bf16, row-major.
#pragma once

#include "kernels/matmul/linear.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

constexpr int64_t kTileOutputs = 16;
constexpr int64_t kTileElements = kTileOutputs * kBf16StepK;
constexpr int64_t kStepElements = kPanelOutputs * kBf16StepK;
constexpr int kRowGroup = kSimdAccumulators / 4 > 1 ? kSimdAccumulators / 4 : 2;
constexpr int64_t kChunkSteps = 8;  // 16 KB of weights, reused from L1 by all rows

void pack_x(const PackXArgs& a) noexcept {
  float* row = reinterpret_cast<float*>(a.packed) + a.row * a.n_steps * kBf16StepK;
  const int64_t padded = (a.n + kBf16StepK - 1) / kBf16StepK * kBf16StepK;
  for (int64_t i = 0; i < padded; i += 16) {
    store(row + i, round_to_bf16(load(a.x + i, first_lanes(a.n - i))));
  }
}

// Adds one step of kTiles tiles (16 outputs each) to kRows rows of out.
template <int kRows, int kTiles, bool kPrefetch>
DBRX_SIMD void add_tiles(const float* x, int64_t x_stride, const uint16_t* tiles, float* out,
                         int64_t out_stride) {
  F32x16 even[kRows][kTiles];
  F32x16 odd[kRows][kTiles];
  DBRX_UNROLL
  for (int r = 0; r < kRows; ++r) {
    DBRX_UNROLL
    for (int t = 0; t < kTiles; ++t) even[r][t] = odd[r][t] = zero16();
  }
  for (int64_t pair = 0; pair < kBf16StepK / 2; ++pair) {
    Bf16Pairs w[kTiles];
    DBRX_UNROLL
    for (int t = 0; t < kTiles; ++t) {
      const uint16_t* line = tiles + t * kTileElements + pair * kTileOutputs * 2;
      w[t] = load_bf16_pairs(line);
      if constexpr (kPrefetch) {
        _mm_prefetch(reinterpret_cast<const char*>(line + kStepElements), _MM_HINT_T0);
      }
    }
    DBRX_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const F32x16 x_even = broadcast(x[r * x_stride + 2 * pair]);
      const F32x16 x_odd = broadcast(x[r * x_stride + 2 * pair + 1]);
      DBRX_UNROLL
      for (int t = 0; t < kTiles; ++t) {
        even[r][t] = fma(x_even, w[t].even, even[r][t]);
        odd[r][t] = fma(x_odd, w[t].odd, odd[r][t]);
      }
    }
  }
  DBRX_UNROLL
  for (int r = 0; r < kRows; ++r) {
    DBRX_UNROLL
    for (int t = 0; t < kTiles; ++t) {
      float* to = out + r * out_stride + t * kTileOutputs;
      store(to, load(to) + (even[r][t] + odd[r][t]));
    }
  }
}

// Adds one step of a panel to kRows rows of out.
template <int kRows, bool kPrefetch>
DBRX_SIMD void add_step(const float* x, int64_t x_stride, const uint16_t* step, float* out,
                        int64_t out_stride) {
  if constexpr (kRows * 4 <= kSimdAccumulators) {
    add_tiles<kRows, 2, kPrefetch>(x, x_stride, step, out, out_stride);
  } else {
    add_tiles<kRows, 1, kPrefetch>(x, x_stride, step, out, out_stride);
    add_tiles<kRows, 1, kPrefetch>(x, x_stride, step + kTileElements, out + kTileOutputs,
                                   out_stride);
  }
}

// One row: all panels in lockstep, so that the memory sees several streams (a plain linear read
// gets 60 % of its bandwidth).
void run_row(const MatmulTile& t) noexcept {
  const float* x = reinterpret_cast<const float*>(t.x) + t.first_row * t.n_steps * kBf16StepK;
  for (int64_t step = 0; step < t.n_steps; ++step) {
    for (int64_t p = 0; p < t.n_panels; ++p) {
      const auto* panel = reinterpret_cast<const uint16_t*>(t.panels[p]);
      add_step<1, true>(x + step * kBf16StepK, 0, panel + step * kStepElements,
                        t.out + p * kPanelOutputs, 0);
    }
  }
}

// One panel, steps first_step .. end_step - 1, all rows.
void run_chunk(const MatmulTile& t, int64_t p, int64_t first_step, int64_t end_step) noexcept {
  const int64_t x_stride = t.n_steps * kBf16StepK;
  const int64_t out_stride = t.n_panels * kPanelOutputs;
  const float* x = reinterpret_cast<const float*>(t.x) + t.first_row * x_stride;
  const auto* panel = reinterpret_cast<const uint16_t*>(t.panels[p]);
  int64_t r = 0;
  for (; r + kRowGroup <= t.n_rows; r += kRowGroup) {
    for (int64_t step = first_step; step < end_step; ++step) {
      add_step<kRowGroup, false>(x + r * x_stride + step * kBf16StepK, x_stride,
                                 panel + step * kStepElements,
                                 t.out + r * out_stride + p * kPanelOutputs, out_stride);
    }
  }
  for (; r < t.n_rows; ++r) {
    for (int64_t step = first_step; step < end_step; ++step) {
      add_step<1, false>(x + r * x_stride + step * kBf16StepK, x_stride,
                         panel + step * kStepElements, t.out + r * out_stride + p * kPanelOutputs,
                         out_stride);
    }
  }
}

void run(const MatmulTile& t) noexcept {
  const int64_t n_out = t.n_rows * t.n_panels * kPanelOutputs;
  for (int64_t i = 0; i < n_out; i += 16) store(t.out + i, zero16());
  if (t.n_rows == 1) {
    run_row(t);
    return;
  }
  for (int64_t p = 0; p < t.n_panels; ++p) {
    for (int64_t first = 0; first < t.n_steps; first += kChunkSteps) {
      const int64_t end = first + kChunkSteps;
      run_chunk(t, p, first, end < t.n_steps ? end : t.n_steps);
    }
  }
}

}  // namespace
}  // namespace dbrx
