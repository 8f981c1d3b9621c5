// Choosing a matmul kernel, and the sizes of its packed x. Shared by matmul() and experts().
#pragma once

#include <span>

#include "base/memory.h"
#include "kernels/matmul/linear.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_int.h"
#include "kernels/matmul/matmul_kernels.h"

namespace dbrx {

// Every kernel, best first; the scalar one of each format last.
std::span<const MatmulKernel* const> matmul_kernels();

// The best kernel for weights of this format. (AMX pays from one row on: decode waits for memory.)
const MatmulKernel& pick_matmul_kernel(Isa best, Format format);

inline int64_t packed_x_bytes(const MatmulKernel& kernel, int64_t rows, int64_t n_steps,
                              Activations activations) {
  const int64_t row_bytes = kernel.x_value_bytes == 0
                                ? IntRow(n_steps, n_digits(activations)).bytes()
                                : n_steps * kBf16StepK * kernel.x_value_bytes;
  return static_cast<int64_t>(round_up(static_cast<size_t>(rows), kPackRows)) * row_bytes;
}

// Of packed x: more than one only where weights are integers.
inline int64_t n_digits(Format format, Activations activations) {
  return is_integer(format) ? n_digits(activations) : 1;
}

// Rows of one call of a kernel, for this many rows in all: calls of about equal size, so that one
// row more never costs a second pass over the weights for itself alone.
int64_t tile_rows(int64_t rows, int64_t n_digits);

// Panels of one task: as many as fit, but leave every thread some tasks.
int64_t panels_per_task(int64_t rows, int64_t n_digits, int64_t n_panels, int n_threads);

}  // namespace dbrx
