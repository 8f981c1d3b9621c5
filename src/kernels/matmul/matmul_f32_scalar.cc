#include <cmath>
#include <cstring>

#include "kernels/matmul/linear.h"
#include "kernels/matmul/matmul_kernels.h"

namespace dbrx {
namespace {

constexpr int kLanes = 16;

void pack_x(const PackXArgs& a) noexcept {
  float* row = reinterpret_cast<float*>(a.packed) + a.row * a.n_steps * kBf16StepK;
  const int64_t padded = (a.n + kBf16StepK - 1) / kBf16StepK * kBf16StepK;
  for (int64_t i = 0; i < padded; ++i) row[i] = i < a.n ? a.x[i] : 0.0F;
}

float dot(const float* x, const float* w, int64_t n) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i % kLanes] = std::fma(x[i], w[i], lanes[i % kLanes]);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

void run(const MatmulTile& t) noexcept {
  for (int64_t r = 0; r < t.n_rows; ++r) {
    const float* x =
        reinterpret_cast<const float*>(t.x) + (t.first_row + r) * t.n_steps * kBf16StepK;
    for (int64_t p = 0; p < t.n_panels; ++p) {
      const auto* panel = reinterpret_cast<const float*>(t.panels[p]);
      for (int64_t o = 0; o < kPanelOutputs; ++o) {
        t.out[(r * t.n_panels + p) * kPanelOutputs + o] =
            dot(x, panel + o * t.in_features, t.in_features);
      }
    }
  }
}

}  // namespace

const MatmulKernel matmul_f32_scalar = {.name = "f32 scalar",
                                        .isa = Isa::scalar,
                                        .format = Format::f32,
                                        .x_value_bytes = sizeof(float),
                                        .pack_x = pack_x,
                                        .run = run};

}  // namespace dbrx
