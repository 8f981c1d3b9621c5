// Linear weights as tensors of a file: docs/formats.md.
#pragma once

#include <string>
#include <string_view>

#include "kernels/matmul/linear.h"
#include "tensor/safetensors_writer.h"
#include "tensor/tensor.h"

namespace dbrx {

// Whether the tensor holds the panels of a Linear.
bool is_packed(const Tensor& tensor);

// The panels where they lie in the mapped file. Throws Error (corrupt, unsupported) naming file,
// tensor, expected and found: another version of the layout, or sizes that contradict each other.
Linear packed_linear(const Tensor& tensor, int64_t out_features, int64_t in_features);

// A table of rows that stand by themselves (row_bytes()), for embeddings: the tensor with its
// format set. Throws Error as packed_linear() does.
constexpr std::string_view kRowsNote = "rows";
Tensor packed_rows(const Tensor& tensor, int64_t n_rows, int64_t n_cols);
StoredTensor stored_rows(std::string name, Format format, int64_t n_rows, int64_t n_cols);

// How the file describes the tensor; its bytes are linear.bytes, which may still be empty here.
StoredTensor stored_linear(std::string name, const Linear& linear);

}  // namespace dbrx
