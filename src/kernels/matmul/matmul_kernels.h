// The kernels behind matmul() and experts(): the table's row and what a kernel is called with. Only
// kernels/ includes this.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/isa.h"
#include "tensor/format.h"

namespace dbrx {

constexpr int64_t kPackRows = 16;      // packed x has room for a multiple of this many rows
constexpr int64_t kMaxTilePanels = 8;  // panels of one call
constexpr int64_t kMaxTileRows = 128;  // rows times digits of one call
// Values of `out` of one call: 8 panels of 128 rows. Rows beyond the L2 cache are read again for
// each call's panels, so few of them cost (512 rows, AMX: 43 to 49 % of the peak with 8 instead of
// 4).
constexpr int64_t kTileValues = 32768;

// Rounds and lays out one row of x as the kernel reads it. Each kernel has its own layout, of
// packed_x_bytes() in all (matmul_table.h).
struct PackXArgs {
  const float* x = nullptr;  // [n]
  int64_t n = 0;
  int64_t row = 0;              // where it goes
  int64_t n_steps = 0;          // steps of the weights; the last one is padded with zeros
  int64_t n_digits = 0;         // 2 (integer kernels, exact) or 1
  std::byte* packed = nullptr;  // aligned to 64
};

// out[r, p * 32 + o] = x row (first_row + r) times output o of panels[p], all of K.
struct MatmulTile {
  const std::byte* x = nullptr;  // packed rows
  int64_t first_row = 0;         // multiple of kPackRows
  int64_t n_rows = 0;            // 1 .. kMaxTileRows / n_digits
  int64_t in_features = 0;
  int64_t n_steps = 0;  // of the weights
  int64_t n_digits = 0;
  const std::byte* const* panels =
      nullptr;           // [n_panels], 32 outputs each, in the layout of linear.h
  int64_t n_panels = 0;  // 1 .. kMaxTilePanels
  float* out = nullptr;  // [n_rows, n_panels * 32], contiguous, aligned to 64
};

struct MatmulKernel {
  const char* name;
  Isa isa;
  Format format;          // of the weights
  int64_t x_value_bytes;  // bytes of one value of packed x; 0: integer rows (matmul_int.h)
  void (*pack_x)(const PackXArgs&) noexcept;
  void (*run)(const MatmulTile&) noexcept;
};

extern const MatmulKernel matmul_f32_scalar;
extern const MatmulKernel matmul_f32_avx2;
extern const MatmulKernel matmul_f32_avx512;
extern const MatmulKernel matmul_bf16_scalar;
extern const MatmulKernel matmul_bf16_avx2;
extern const MatmulKernel matmul_bf16_avx512;
extern const MatmulKernel matmul_bf16_amx;
extern const MatmulKernel matmul_int8_scalar;
extern const MatmulKernel matmul_int8_avx2;
extern const MatmulKernel matmul_int8_avx512;
extern const MatmulKernel matmul_int8_amx;
extern const MatmulKernel matmul_int4_scalar;
extern const MatmulKernel matmul_int4_avx2;
extern const MatmulKernel matmul_int4_avx512;
extern const MatmulKernel matmul_int4_amx;

}  // namespace dbrx
