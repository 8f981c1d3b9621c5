#include <cmath>

#include "kernels/norm/norm_kernels.h"

namespace dbrx {
namespace {

constexpr int kLanes = 16;

float sum_lanes(float* lanes) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

void run(const NormRow& row) noexcept {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < row.d; ++i) lanes[i % kLanes] += row.x[i];
  const float d = static_cast<float>(row.d);
  const float mean = sum_lanes(lanes) / d;

  for (float& lane : lanes) lane = 0;
  for (int64_t i = 0; i < row.d; ++i) {
    const float delta = row.x[i] - mean;
    lanes[i % kLanes] = std::fma(delta, delta, lanes[i % kLanes]);
  }
  const float inverse = 1.0F / std::sqrt(sum_lanes(lanes) / d + row.eps);
  for (int64_t i = 0; i < row.d; ++i) row.y[i] = (row.x[i] - mean) * inverse * row.weight[i];
}

}  // namespace

const NormKernel norm_scalar = {.name = "scalar", .isa = Isa::scalar, .run = run};

}  // namespace dbrx
