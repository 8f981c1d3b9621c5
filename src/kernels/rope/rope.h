// Rotary position embedding, half-split pairs ("NeoX"): element j is paired with j + D/2.
//
//   y[j]       = x[j] * cos - x[j + D/2] * sin        angle = position * theta^(-2j/D)
//   y[j + D/2] = x[j + D/2] * cos + x[j] * sin
//
// Products and sums are rounded one by one (no fused multiply-add).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/context.h"
#include "tensor/view.h"

namespace dbrx {

// cos and sin of every position and frequency, made once at load. The frequency is
// 1.0f / float(theta^(2j/D)), two roundings; the angle is the f32 product of position and
// frequency, both as in the reference; its cosine and sine are taken in double.
struct RopeTable {
  int64_t n_positions = 0;
  int64_t half_dim = 0;        // D / 2
  std::vector<float> cos_sin;  // [n_positions, 2, half_dim]: cos row, then sin row
};

RopeTable make_rope_table(int64_t n_positions, int64_t head_dim, double theta);

struct RopeArgs {
  MatrixView<float> x;  // [rows, n_heads * head_dim], rotated in place
  int64_t n_heads = 0;
  std::span<const int32_t> positions;  // [rows], each < table->n_positions
  const RopeTable* table = nullptr;
};

void rope(Context& context, const RopeArgs& args);

}  // namespace dbrx
