// The kernels behind attention(): all query heads of one key/value head, for some rows of one
// sequence and some splits of its cache. Only kernels/attention includes this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/isa.h"
#include "tensor/format.h"

namespace dbrx {

// A query is one head of one row. This many share a pass over the cache: 16 rows of DBRX's six
// heads a key/value head.
constexpr int64_t kTileQueries = 96;

// The outcome of one split for one query head, as it waits for the merge:
// [head_dim padded to 16 floats of acc] [m] [l], padded to 64 bytes.
constexpr int64_t partial_floats(int64_t head_dim) { return (head_dim + 15) / 16 * 16 + 16; }

struct AttentionTask {
  const float* q = nullptr;  // [n_rows][n_heads, head_dim]: the heads of one key/value head
  int64_t q_stride = 0;      // floats from one row to the next
  int64_t n_rows = 0;        // n_rows * n_heads <= kTileQueries, or one row
  int64_t n_heads = 0;
  int64_t head_dim = 0;  // even, <= kMaxHeadDim
  float scale = 0;
  const std::byte* keys = nullptr;  // of this head in cache block 0
  const std::byte* values = nullptr;
  int64_t block_bytes = 0;          // from one cache block to the next
  const int32_t* blocks = nullptr;  // cache blocks of the sequence
  int64_t n_past = 0;               // row i sees tokens 0 .. n_past + i

  int64_t first_split = 0;  // 0 and all that the last row sees, unless there are partials
  int64_t end_split = 0;
  float* out = nullptr;  // [n_rows][n_heads, head_dim]
  int64_t out_stride = 0;
  // Not null (one row only): a record of each split goes here, and `out` is not written.
  float* partials = nullptr;   // [end_split - first_split][n_heads][partial_floats]
  int64_t partial_stride = 0;  // floats from one split to the next
};

// Merges the splits of one query head.
struct MergeTask {
  const float* partials = nullptr;  // [n_splits][partial_floats]
  int64_t partial_stride = 0;       // floats from one split to the next
  int64_t n_splits = 0;
  int64_t head_dim = 0;
  float* out = nullptr;  // [head_dim]
};

struct AttentionKernel {
  const char* name;
  Isa isa;
  Format format;  // of the cache
  void (*run)(const AttentionTask&) noexcept;
  void (*merge)(const MergeTask&) noexcept;
};

extern const AttentionKernel attention_f32_scalar;
extern const AttentionKernel attention_f32_avx2;
extern const AttentionKernel attention_f32_avx512;
extern const AttentionKernel attention_bf16_scalar;
extern const AttentionKernel attention_bf16_avx2;
extern const AttentionKernel attention_bf16_avx512;
extern const AttentionKernel attention_bf16_amx;
extern const AttentionKernel attention_int8_scalar;
extern const AttentionKernel attention_int8_avx2;
extern const AttentionKernel attention_int8_avx512;

}  // namespace dbrx
