#include "kernels/matmul/matmul.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "kernels/matmul/matmul_table.h"

namespace dbrx {
namespace {

constexpr std::array kKernels = {
    &matmul_bf16_amx,    &matmul_bf16_avx512, &matmul_bf16_avx2,   &matmul_bf16_scalar,
    &matmul_f32_avx512,  &matmul_f32_avx2,    &matmul_f32_scalar,  &matmul_int8_amx,
    &matmul_int8_avx512, &matmul_int8_avx2,   &matmul_int8_scalar, &matmul_int4_amx,
    &matmul_int4_avx512, &matmul_int4_avx2,   &matmul_int4_scalar,
};

void check(const MatmulArgs& args) {
  CHECK(args.weight != nullptr);
  CHECK_EQ(args.x.rows, args.y.rows);
  CHECK_EQ(args.x.cols, args.weight->in_features);
  CHECK_EQ(args.y.cols, args.weight->out_features);
}

// Multiplies all rows with n_panels panels from first_panel on, block by block of rows.
void multiply_panels(const MatmulKernel& kernel, const std::byte* packed, const MatmulArgs& args,
                     int64_t first_panel, int64_t n_panels) {
  const Linear& weight = *args.weight;
  const std::byte* panels[kMaxTilePanels];
  for (int64_t p = 0; p < n_panels; ++p) panels[p] = weight.panel(first_panel + p);
  const int64_t first_output = first_panel * kPanelOutputs;
  const int64_t n_outputs = std::min(n_panels * kPanelOutputs, weight.out_features - first_output);
  multiply_rows(
      kernel, weight, packed, args.x.rows, n_digits(weight.format, args.activations),
      {panels, static_cast<size_t>(n_panels)}, n_outputs,
      [&](int64_t row) { return args.y.row(row) + first_output; }, [](float* /*values*/) {});
}

}  // namespace

std::span<const MatmulKernel* const> matmul_kernels() { return kKernels; }

const MatmulKernel& pick_matmul_kernel(Isa best, Format format) {
  for (const MatmulKernel* kernel : kKernels) {
    if (kernel->format == format && kernel->isa <= best) return *kernel;
  }
  CHECK(!"a matmul kernel for this format");
  __builtin_unreachable();
}

int64_t tile_rows(int64_t rows, int64_t n_digits) {
  const int64_t most = kMaxTileRows / n_digits;
  if (rows <= most) return rows;
  const int64_t n_tiles = (rows + most - 1) / most;
  const auto even = static_cast<size_t>((rows + n_tiles - 1) / n_tiles);
  return static_cast<int64_t>(round_up(even, kPackRows));
}

int64_t panels_per_task(int64_t rows, int64_t n_digits, int64_t n_panels, int n_threads) {
  constexpr int64_t kTasksPerThread = 4;
  const int64_t fit =
      std::min(kMaxTilePanels, kTileValues / (tile_rows(rows, n_digits) * kPanelOutputs));
  return std::clamp<int64_t>(n_panels / (kTasksPerThread * n_threads), 1, fit);
}

void matmul(Context& context, const MatmulArgs& args) {
  check(args);
  const int64_t rows = args.x.rows;
  if (rows == 0) return;
  const Linear& weight = *args.weight;
  const MatmulKernel& kernel = pick_matmul_kernel(context.isa, weight.format);

  const Arena::Mark mark(context.arena);
  const int64_t digits = n_digits(weight.format, args.activations);
  const int64_t bytes = packed_x_bytes(kernel, rows, weight.n_steps(), digits);
  std::byte* packed = context.arena.take<std::byte>(static_cast<size_t>(bytes)).data();
  context.pool.run(static_cast<size_t>(rows), [&](size_t row) {
    kernel.pack_x({.x = args.x.row(static_cast<int64_t>(row)),
                   .n = args.x.cols,
                   .row = static_cast<int64_t>(row),
                   .n_steps = weight.n_steps(),
                   .n_digits = digits,
                   .packed = packed});
  });

  const int64_t group = panels_per_task(rows, digits, weight.n_panels(), context.pool.n_threads());
  const int64_t n_tasks = (weight.n_panels() + group - 1) / group;
  context.pool.run(static_cast<size_t>(n_tasks), [&](size_t task) {
    const int64_t first = static_cast<int64_t>(task) * group;
    multiply_panels(kernel, packed, args, first, std::min(group, weight.n_panels() - first));
  });
}

}  // namespace dbrx
