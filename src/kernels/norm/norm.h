// Layer normalisation with a weight and no bias.
//
//   y[i] = (x[i] - mean) / sqrt(var + eps) * weight[i],   var = sum (x - mean)^2 / d
//
// All in f32. Sums run in 16 lanes (lane l takes i = l, l+16, ..., the squares with one fused
// multiply-add each; then halves are added: 8, 4, 2, 1). As computed: inverse = 1 / sqrt(var +
// eps), y[i] = ((x[i] - mean) * inverse) * weight[i]; division and square root are the IEEE ones.
// Source of the formula: the DBRX reference (LayerNorm, biased variance, eps 1e-5).
#pragma once

#include "base/context.h"
#include "tensor/view.h"

namespace dbrx {

struct LayerNormArgs {
  MatrixView<const float> x;      // [rows, d]
  const float* weight = nullptr;  // [d]
  float eps = 0;
  MatrixView<float> y;  // [rows, d]; may be x itself
};

void layer_norm(Context& context, const LayerNormArgs& args);

}  // namespace dbrx
