#include "kernels/norm/norm.h"

#include <array>

#include "base/error.h"
#include "kernels/norm/norm_kernels.h"

namespace dbrx {
namespace {

constexpr std::array kKernels = {
    &norm_avx512,
    &norm_avx2,
    &norm_scalar,
};

const NormKernel& pick(Isa best) {
  for (const NormKernel* kernel : kKernels) {
    if (kernel->isa <= best) return *kernel;
  }
  return norm_scalar;
}

}  // namespace

std::span<const NormKernel* const> norm_kernels() { return kKernels; }

void layer_norm(Context& context, const LayerNormArgs& args) {
  CHECK(args.weight != nullptr);
  CHECK_EQ(args.x.rows, args.y.rows);
  CHECK_EQ(args.x.cols, args.y.cols);
  CHECK_LT(0, args.x.cols);
  const NormKernel& kernel = pick(context.isa);
  context.pool.run(static_cast<size_t>(args.x.rows), [&](size_t i) {
    const auto row = static_cast<int64_t>(i);
    kernel.run({.x = args.x.row(row),
                .weight = args.weight,
                .d = args.x.cols,
                .eps = args.eps,
                .y = args.y.row(row)});
  });
}

}  // namespace dbrx
