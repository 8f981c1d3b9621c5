// One row of weights in integers: the number formats int8 and int4, before any kernel's layout.
//
//   int8   w[k] ~ scale * q[k]                       q in [-127, 127]
//   int4   w[k] ~ scale * s[k / 32] * q[k]           q in [-8, 7], s in [1, 15]; so |s q| <= 120
//
// In both the factors of `scale` are 8-bit integers: a dot product over the row is an exact integer
// times one float. int4 costs 4 + 4/32 = 4.125 bits a weight, and a float per row.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/format.h"

namespace dbrx {

constexpr int64_t kScaleGroup = 32;  // weights that share an integer scale

struct QuantizedRow {
  float scale = 0;                    // 0 for a row of zeros
  std::vector<uint8_t> group_scales;  // [ceil(n / 32)] of int4, empty for int8
  std::vector<int8_t> q;              // [n]

  // The integer that `scale` multiplies.
  int32_t factor(int64_t k) const {
    const auto i = static_cast<size_t>(k);
    return group_scales.empty() ? q[i] : q[i] * group_scales[i / kScaleGroup];
  }
};

// Rounds finite weights so that the sum of squared errors is small: int8 tries scales a little
// below the one of the largest weight; int4 searches the row's scale and, for each group, every
// integer scale that may be best for it. `out` keeps its memory between calls.
void quantize_row(Format format, std::span<const float> weights, QuantizedRow& out);

}  // namespace dbrx
