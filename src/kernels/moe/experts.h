// The routed feed-forward network, dropless: each row goes through its k experts.
//
//   y_e = down_e( silu(gate_e x) * up_e x )         silu(g) = g / (1 + exp(-g))
//   y   = sum over the row's experts, ascending index, of weight * y_e    (one fused multiply-add
//   each,
//         starting from zero)
//
// Products as in matmul.h (x and the inner activation are rounded as the weights' format has it).
// Rows are grouped by expert so that an expert's weights are read once for all its rows; a row's
// bits do not depend on who else is in the group.
#pragma once

#include <cstdint>
#include <span>

#include "base/context.h"
#include "kernels/matmul/linear.h"
#include "kernels/matmul/matmul.h"
#include "tensor/view.h"

namespace dbrx {

struct Expert {
  Linear gate;  // [ffn, d]
  Linear up;    // [ffn, d]
  Linear down;  // [d, ffn]
};

struct ExpertsArgs {
  MatrixView<const float> x;        // [rows, d]
  MatrixView<const int32_t> ids;    // [rows, k], ascending in a row
  MatrixView<const float> weights;  // [rows, k]
  std::span<const Expert> experts;  // [n_experts], all in one format
  Activations activations = Activations::exact;
  MatrixView<float> expert_out;  // [rows * k, d]: the unweighted y_e, for taps and the merge
  MatrixView<float> y;           // [rows, d]
};

void experts(Context& context, const ExpertsArgs& args);

}  // namespace dbrx
