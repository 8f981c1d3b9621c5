// Rows of the embedding table, decoded to f32: y[r] = table[tokens[r]].
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/context.h"
#include "tensor/format.h"
#include "tensor/view.h"

namespace dbrx {

struct EmbedArgs {
  std::span<const int32_t> tokens;   // [rows], each in [0, vocab)
  const std::byte* table = nullptr;  // [vocab] rows of d values (row_bytes())
  Format format = Format::f32;
  int64_t vocab = 0;
  MatrixView<float> y;  // [rows, d]
};

void embed(Context& context, const EmbedArgs& args);

}  // namespace dbrx
