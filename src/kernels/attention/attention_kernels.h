// The kernels behind attention(): all query heads of one key/value head, for one row. Only
// kernels/attention includes this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/isa.h"
#include "tensor/format.h"

namespace dbrx {

struct AttentionTask {
  const float* q = nullptr;  // [n_heads, head_dim]: the query heads that share a key/value head
  int64_t n_heads = 0;
  int64_t head_dim = 0;  // even, <= kMaxHeadDim
  float scale = 0;
  const std::byte* keys = nullptr;  // of this head in cache block 0
  const std::byte* values = nullptr;
  int64_t block_bytes = 0;          // from one cache block to the next
  const int32_t* blocks = nullptr;  // cache blocks of the sequence
  int64_t n_tokens = 0;             // tokens that the row sees, >= 1
  float* out = nullptr;             // [n_heads, head_dim]
};

struct AttentionKernel {
  const char* name;
  Isa isa;
  Format format;  // of the cache
  void (*run)(const AttentionTask&) noexcept;
};

extern const AttentionKernel attention_f32_scalar;
extern const AttentionKernel attention_f32_avx2;
extern const AttentionKernel attention_f32_avx512;
extern const AttentionKernel attention_bf16_scalar;
extern const AttentionKernel attention_bf16_avx2;
extern const AttentionKernel attention_bf16_avx512;

// Every kernel, best first.
std::span<const AttentionKernel* const> attention_kernels();

}  // namespace dbrx
