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
constexpr int64_t kMaxTileRows = 128;  // rows of one call
constexpr int64_t kTileValues = 8192;  // values of `out` of one call

// Rounds and lays out a part of one row of x as the kernel reads it. Each kernel has its own
// layout; its size is round_up(rows, kPackRows) * n_steps * 32 * x_value_bytes.
struct PackXArgs {
  const float* x = nullptr;  // [n]: elements first_k .. first_k + n - 1 of the row
  int64_t n = 0;
  int64_t first_k = 0;  // multiple of 32; a part that isn't the last has n % 32 == 0
  int64_t row = 0;      // where it goes
  int64_t n_steps = 0;  // steps of 32 of a whole row; the row's last step is padded with zeros
  std::byte* packed = nullptr;  // aligned to 64
};

// out[r, p * 32 + o] = x row (first_row + r) times output o of panels[p], all of K.
struct MatmulTile {
  const std::byte* x = nullptr;  // packed rows
  int64_t first_row = 0;         // multiple of kPackRows
  int64_t n_rows = 0;            // 1 .. kMaxTileRows
  int64_t in_features = 0;
  int64_t n_steps = 0;  // ceil(in_features / 32)
  const std::byte* const* panels =
      nullptr;           // [n_panels], 32 outputs each, in the layout of linear.h
  int64_t n_panels = 0;  // 1 .. kMaxTilePanels
  float* out = nullptr;  // [n_rows, n_panels * 32], contiguous, aligned to 64
};

struct MatmulKernel {
  const char* name;
  Isa isa;
  Format format;          // of the weights
  int64_t x_value_bytes;  // bytes of one value of packed x
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

}  // namespace dbrx
