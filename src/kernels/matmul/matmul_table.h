// Choosing a matmul kernel, and the sizes of its packed x. Shared by matmul() and experts().
#pragma once

#include <cstring>
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

// Of packed x: more than one only where weights are integers.
inline int64_t n_digits(Format format, Activations activations) {
  return is_integer(format) ? n_digits(activations) : 1;
}

// Bytes of the packed x of one matrix: whole groups of kPackRows rows.
inline int64_t packed_x_bytes(const MatmulKernel& kernel, int64_t rows, int64_t n_steps,
                              int64_t n_digits) {
  const int64_t row_bytes = kernel.x_value_bytes == 0 ? IntRow(n_steps, n_digits).bytes()
                                                      : n_steps * kBf16StepK * kernel.x_value_bytes;
  return static_cast<int64_t>(round_up(static_cast<size_t>(rows), kPackRows)) * row_bytes;
}

// Rows of one call of a kernel, for this many rows in all: calls of about equal size, so that one
// row more never costs a second pass over the weights for itself alone.
int64_t tile_rows(int64_t rows, int64_t n_digits);

// Rows of packed x times panels, in calls of tile_rows() rows. As soon as a row's n_panels * 32
// values are there, join(values) may change them, and the first n_outputs go to place(row).
template <typename Place, typename Join>
void multiply_rows(const MatmulKernel& kernel, const Linear& weight, const std::byte* packed_x,
                   int64_t rows, int64_t n_digits, std::span<const std::byte* const> panels,
                   int64_t n_outputs, const Place& place, const Join& join) {
  alignas(kAlignment) float out[kTileValues];
  const auto n_panels = static_cast<int64_t>(panels.size());
  const int64_t block = tile_rows(rows, n_digits);
  for (int64_t first = 0; first < rows; first += block) {
    const int64_t n = block < rows - first ? block : rows - first;
    // Rows lie far apart: what is written to them is fetched while the products go on.
    for (int64_t r = 0; r < n; ++r) {
      const float* to = place(first + r);
      for (int64_t i = 0; i < n_outputs; i += 16) __builtin_prefetch(to + i, 1);
    }
    kernel.run({.x = packed_x,
                .first_row = first,
                .n_rows = n,
                .in_features = weight.in_features,
                .n_steps = weight.n_steps(),
                .n_digits = n_digits,
                .panels = panels.data(),
                .n_panels = n_panels,
                .out = out});
    for (int64_t r = 0; r < n; ++r) {
      float* values = out + r * n_panels * kPanelOutputs;
      join(values);
      std::memcpy(place(first + r), values, static_cast<size_t>(n_outputs) * sizeof(float));
    }
  }
}

// Panels of one task: as many as fit, but leave every thread some tasks.
int64_t panels_per_task(int64_t rows, int64_t n_digits, int64_t n_panels, int n_threads);

}  // namespace dbrx
