#include "kernels/moe/route.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/simd/exp.h"

namespace dbrx {
namespace {

void softmax(const float* logits, int64_t n, float* probs) {
  const float max = *std::max_element(logits, logits + n);
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    probs[i] = exp_f32(logits[i] - max);
    sum += probs[i];
  }
  for (int64_t i = 0; i < n; ++i) probs[i] /= sum;
}

// The k largest in order of index. Only a strictly larger one displaces a candidate, so the lower
// index wins a tie; a row of NaN still gives k different experts.
void select_top(const float* probs, int64_t n, int32_t* ids, int64_t k) {
  for (int64_t found = 0; found < k; ++found) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; ++i) {
      if (std::find(ids, ids + found, static_cast<int32_t>(i)) != ids + found) continue;
      if (best < 0 || probs[i] > probs[best]) best = i;
    }
    ids[found] = static_cast<int32_t>(best);
  }
  std::sort(ids, ids + k);
}

void route_row(const RouteArgs& args, int64_t row) {
  const int64_t k = args.ids.cols;
  float* probs = args.probs.row(row);
  int32_t* ids = args.ids.row(row);
  float* weights = args.weights.row(row);
  softmax(args.logits.row(row), args.logits.cols, probs);
  select_top(probs, args.logits.cols, ids, k);
  float norm = 0;
  for (int64_t j = 0; j < k; ++j) {
    weights[j] = probs[ids[j]];
    norm += args.norm_p == 2 ? weights[j] * weights[j] : weights[j];
  }
  if (args.norm_p == 0) return;
  if (args.norm_p == 2) norm = std::sqrt(norm);
  for (int64_t j = 0; j < k; ++j) weights[j] /= norm;
}

}  // namespace

void route(Context& context, const RouteArgs& args) {
  CHECK(args.norm_p == 0 || args.norm_p == 1 || args.norm_p == 2);
  CHECK_EQ(args.probs.rows, args.logits.rows);
  CHECK_EQ(args.probs.cols, args.logits.cols);
  CHECK_EQ(args.ids.rows, args.logits.rows);
  CHECK_EQ(args.weights.rows, args.logits.rows);
  CHECK_EQ(args.weights.cols, args.ids.cols);
  CHECK_LT(0, args.ids.cols);
  CHECK_LE(args.ids.cols, args.logits.cols);
  context.pool.run(static_cast<size_t>(args.logits.rows),
                   [&](size_t row) { route_row(args, static_cast<int64_t>(row)); });
}

}  // namespace dbrx
