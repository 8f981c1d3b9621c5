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
constexpr bool kFewRegisters = kSimdAccumulators < 8;  // even and odd sums one after the other
constexpr int kMostRows = 6;                           // then: 12 of 16 AVX registers are sums
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

// One chain of each row, over the even or the odd elements of a step.
template <int kRows, bool kOdd>
DBRX_SIMD void sum_half(const float* x, int64_t x_stride, const uint16_t* tile,
                        F32x16 (&sums)[kRows]) {
  DBRX_UNROLL
  for (int r = 0; r < kRows; ++r) sums[r] = zero16();
  for (int64_t pair = 0; pair < kBf16StepK / 2; ++pair) {
    const Bf16Pairs both = load_bf16_pairs(tile + pair * kTileOutputs * 2);
    const F32x16 w = kOdd ? both.odd : both.even;
    DBRX_UNROLL
    for (int r = 0; r < kRows; ++r) {
      sums[r] = fma(broadcast(x[r * x_stride + 2 * pair + (kOdd ? 1 : 0)]), w, sums[r]);
    }
  }
}

// add_tiles of one tile in few registers: even sums wait in L1 while odd ones are added, so that
// twice the rows share a read of the weights.
template <int kRows>
DBRX_SIMD void add_tile_by_halves(const float* x, int64_t x_stride, const uint16_t* tile,
                                  float* out, int64_t out_stride) {
  F32x16 sums[kRows];
  alignas(64) float even[kRows][kTileOutputs];
  sum_half<kRows, false>(x, x_stride, tile, sums);
  DBRX_UNROLL
  for (int r = 0; r < kRows; ++r) store(even[r], sums[r]);
  sum_half<kRows, true>(x, x_stride, tile, sums);
  DBRX_UNROLL
  for (int r = 0; r < kRows; ++r) {
    float* to = out + r * out_stride;
    store(to, load(to) + (load(even[r]) + sums[r]));
  }
}

// Adds one step of a panel to kRows rows of out.
template <int kRows, bool kPrefetch>
DBRX_SIMD void add_step(const float* x, int64_t x_stride, const uint16_t* step, float* out,
                        int64_t out_stride) {
  if constexpr (kRows * 4 <= kSimdAccumulators) {
    add_tiles<kRows, 2, kPrefetch>(x, x_stride, step, out, out_stride);
  } else if constexpr (kFewRegisters && kRows > 2) {
    add_tile_by_halves<kRows>(x, x_stride, step, out, out_stride);
    add_tile_by_halves<kRows>(x, x_stride, step + kTileElements, out + kTileOutputs, out_stride);
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

// Steps of a panel for kRows rows.
template <int kRows>
DBRX_SIMD void add_steps(const MatmulTile& t, int64_t p, int64_t first_step, int64_t end_step,
                         int64_t row) {
  const int64_t x_stride = t.n_steps * kBf16StepK;
  const int64_t out_stride = t.n_panels * kPanelOutputs;
  const float* x = reinterpret_cast<const float*>(t.x) + (t.first_row + row) * x_stride;
  const auto* panel = reinterpret_cast<const uint16_t*>(t.panels[p]);
  float* out = t.out + row * out_stride + p * kPanelOutputs;
  for (int64_t step = first_step; step < end_step; ++step) {
    add_step<kRows, false>(x + step * kBf16StepK, x_stride, panel + step * kStepElements, out,
                           out_stride);
  }
}

// n_rows <= kRows.
template <int kRows>
DBRX_SIMD void add_group(const MatmulTile& t, int64_t p, int64_t first_step, int64_t end_step,
                         int64_t row, int64_t n_rows) {
  if (n_rows == kRows) {
    add_steps<kRows>(t, p, first_step, end_step, row);
  } else if constexpr (kRows > 1) {
    add_group<kRows - 1>(t, p, first_step, end_step, row, n_rows);
  }
}

// One panel, steps first_step .. end_step - 1, all rows.
void run_chunk(const MatmulTile& t, int64_t p, int64_t first_step, int64_t end_step) noexcept {
  if constexpr (kFewRegisters) {  // groups of about equal size
    const int64_t n_groups = (t.n_rows + kMostRows - 1) / kMostRows;
    for (int64_t g = 0; g < n_groups; ++g) {
      const int64_t row = g * t.n_rows / n_groups;
      const int64_t n_rows = (g + 1) * t.n_rows / n_groups - row;
      add_group<kMostRows>(t, p, first_step, end_step, row, n_rows);
    }
  } else {
    int64_t r = 0;
    for (; r + kRowGroup <= t.n_rows; r += kRowGroup) {
      add_steps<kRowGroup>(t, p, first_step, end_step, r);
    }
    for (; r < t.n_rows; ++r) add_steps<1>(t, p, first_step, end_step, r);
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
