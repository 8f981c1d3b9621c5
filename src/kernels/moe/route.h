// Which experts see a token, and with what weight: softmax over all experts, top k, p-norm.
//
//   p = softmax(logits); the k largest (the lower index wins a tie); w = p_selected /
//   |p_selected|_p
//
// All in f32 with our own exp; sums ascend over the experts. norm_p 0 means no normalisation.
#pragma once

#include "base/context.h"
#include "tensor/view.h"

namespace dbrx {

struct RouteArgs {
  MatrixView<const float> logits;  // [rows, n_experts]
  float norm_p = 1;                // 0, 1 or 2
  MatrixView<float> probs;         // [rows, n_experts], the whole softmax
  MatrixView<int32_t> ids;         // [rows, k], ascending expert index
  MatrixView<float> weights;       // [rows, k], in the order of ids
};

void route(Context& context, const RouteArgs& args);

}  // namespace dbrx
