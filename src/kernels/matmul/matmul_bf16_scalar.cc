#include "kernels/matmul/linear.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/bf16_scalar.h"

namespace dbrx {
namespace {

constexpr int64_t kTileOutputs = 16;
constexpr int64_t kTileValuesBf16 = kTileOutputs * kBf16StepK;

// Packed x: floats that have been rounded to bf16, row-major.
void pack_x(const PackXArgs& a) noexcept {
  float* row = reinterpret_cast<float*>(a.packed) + a.row * a.n_steps * kBf16StepK;
  const int64_t padded = (a.n + kBf16StepK - 1) / kBf16StepK * kBf16StepK;
  for (int64_t i = 0; i < padded; ++i) row[i] = i < a.n ? round_to_bf16(a.x[i]) : 0.0F;
}

// One output; `tile` is its tile of the first step, `column` its place in the tile.
float dot(const float* x, const uint16_t* tile, int64_t column, int64_t n_steps) {
  float acc = 0;
  for (int64_t step = 0; step < n_steps; ++step) {
    float even = 0;
    float odd = 0;
    for (int64_t pair = 0; pair < kBf16StepK / 2; ++pair) {
      const uint16_t* w = tile + (pair * kTileOutputs + column) * 2;
      even = fma_flushed(x[2 * pair], bf16_factor(w[0]), even);
      odd = fma_flushed(x[2 * pair + 1], bf16_factor(w[1]), odd);
    }
    acc = flush(acc + flush(even + odd));
    x += kBf16StepK;
    tile += 2 * kTileValuesBf16;
  }
  return acc;
}

void run(const MatmulTile& t) noexcept {
  for (int64_t r = 0; r < t.n_rows; ++r) {
    const float* x =
        reinterpret_cast<const float*>(t.x) + (t.first_row + r) * t.n_steps * kBf16StepK;
    for (int64_t p = 0; p < t.n_panels; ++p) {
      const auto* panel = reinterpret_cast<const uint16_t*>(t.panels[p]);
      for (int64_t o = 0; o < kPanelOutputs; ++o) {
        const uint16_t* tile = panel + o / kTileOutputs * kTileValuesBf16;
        t.out[(r * t.n_panels + p) * kPanelOutputs + o] = dot(x, tile, o % kTileOutputs, t.n_steps);
      }
    }
  }
}

}  // namespace

const MatmulKernel matmul_bf16_scalar = {.name = "bf16 scalar",
                                         .isa = Isa::scalar,
                                         .format = Format::bf16,
                                         .x_value_bytes = sizeof(float),
                                         .pack_x = pack_x,
                                         .run = run};

}  // namespace dbrx
