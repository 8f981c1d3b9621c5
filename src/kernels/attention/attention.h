// Causal attention of grouped query heads over a paged key/value cache.
//
//   o[h] = sum_j softmax_j( q[h] . k_j * scale ) v_j      j = 0 .. the row's own position in its
//   sequence query head h reads key/value head h / (n_heads / n_kv_heads)
//
// Order of operations, the same for prefill and decode: the cached tokens in splits of 256 by index
// in the sequence; inside a split online softmax over blocks of 64 in ascending order; the splits
// are then merged in ascending order. So a row's bits depend on its own sequence only, not on
// chunking or on who else is in the batch. Later tokens of a block are skipped, whatever their
// slots hold.
//
//   each split: m = -inf, l = 0, acc[d] = 0; each of its blocks, tokens j:
//     s_j  = (q . k_j) * scale                        m'   = max(m, max_j s_j)
//     p_j  = exp(s_j - m')                            corr = exp(m - m')
//     l    = l * corr + sum_j p_j     (product, then sum; the p_j summed in 16 lanes, lane i takes
//                                      j = i, i+16, i+32, i+48; then halves are added: 8, 4, 2, 1)
//     acc  = acc * corr, then acc += p_j v_j over the block (below)
//   merge, from M = -inf, L = 0, A[d] = 0, ascending:
//     M'   = max(M, m)      c = exp(M - M')      c' = exp(m - M')
//     L    = fma(l, c', L * c)                   A[d] = fma(acc[d], c', A[d] * c)
//   out[d] = A[d] / L
//
// f32 cache:  q . k is one FMA chain from zero over the head's dimensions, ascending;
//             acc = fma(p_j, v_j, acc) over the tokens, ascending.
// bf16 cache: q and p_j are rounded to bf16 (the rounded p_j are also the ones that are summed, so
//             that the weights add up to one), and both products have the bf16 arithmetic of
//             matmul.h: 32 dimensions or tokens at a time, even and odd FMA chains from zero, their
//             sum added.
// int8 cache: k_j and v_j are integers in [-127, 127] times a float scale of their token and head,
//             a_j and b_j; q becomes integers in [-32512, 32512] times one scale c. So do, for each
//             block, the weights w_j = p_j b_j, times one scale e. Sums of integers are exact:
//               s_j = (float(sum q k_j) * a_j) * (c * scale)
//               acc = fma(float(sum_j w_j v_j), e, acc * corr)
//             Scales are max|x| / 127 or / 32512, integers round(x * (127 or 32512 / max|x|)), ties
//             to even. A row below 2^-100 counts as zero; one with a NaN or an infinity has a scale
//             of NaN, and whoever sees that token gets NaN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/context.h"
#include "tensor/format.h"
#include "tensor/view.h"

namespace dbrx {

constexpr int64_t kKvBlockTokens = 64;    // tokens of one cache block, and of one softmax block
constexpr int64_t kAttentionSplit = 256;  // tokens of one split
constexpr int64_t kMaxHeadDim = 256;

// One layer's cache. A block holds kKvBlockTokens tokens of one sequence; slot = block * 64 +
// offset.
//   f32:  keys [block][kv_head][head_dim][64],          values [block][kv_head][64][head_dim]
//   bf16: keys [block][kv_head][head_dim / 2][64][2],   values [block][kv_head][32][head_dim][2]
//   int8: keys [block][kv_head] of 64 float scales, then [dims / 4][64][4];
//         values [block][kv_head] of 64 float scales, then [16][dims][4]; dims =
//         int8_dims(head_dim)
// (keys with tokens innermost, so that 16 scores are one vector; bf16 in pairs and int8 in quads
// along the summed dimension). Slots never written are zero, since 0 x NaN is NaN. head_dim must be
// a multiple of 2, at most kMaxHeadDim.
constexpr int64_t kInt8ScaleBytes = kKvBlockTokens * 4;

constexpr int64_t int8_dims(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

// Bytes of the keys, and of the values, of one head in a block. Format: f32, bf16 or int8.
constexpr int64_t kv_head_bytes(Format format, int64_t head_dim) {
  if (format == Format::int8) return kInt8ScaleBytes + int8_dims(head_dim) * kKvBlockTokens;
  return head_dim * kKvBlockTokens * (format == Format::f32 ? 4 : 2);
}

struct KvLayer {
  std::byte* keys = nullptr;
  std::byte* values = nullptr;
  Format format = Format::f32;  // f32, bf16 or int8
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;

  int64_t head_bytes() const { return kv_head_bytes(format, head_dim); }
  int64_t block_bytes() const { return n_kv_heads * head_bytes(); }
};

struct WriteKvArgs {
  MatrixView<const float> k;       // [rows, n_kv_heads * head_dim], rotated
  MatrixView<const float> v;       // [rows, n_kv_heads * head_dim]
  std::span<const int64_t> slots;  // [rows]
  KvLayer cache;
};

// Stores new keys and values (rounded to the cache's format). Must come before attention() reads
// them.
void write_kv(Context& context, const WriteKvArgs& args);

// The rows of one sequence in a batch: row first_row + i is token n_past + i of the sequence and
// sees tokens 0 .. n_past + i.
struct AttentionSpan {
  int64_t first_row = 0;
  int64_t n_rows = 0;
  int64_t n_past = 0;
  std::span<const int32_t> blocks;  // block ids, in order of the sequence
};

struct AttentionArgs {
  MatrixView<const float> q;  // [rows, n_heads * head_dim], rotated
  int64_t n_heads = 0;
  float scale = 0;                       // 1 / sqrt(head_dim)
  std::span<const AttentionSpan> spans;  // cover all rows
  KvLayer cache;
  MatrixView<float> out;  // [rows, n_heads * head_dim]
};

void attention(Context& context, const AttentionArgs& args);

struct AttentionLimits {
  int64_t rows = 0;
  int64_t sequences = 0;
  int64_t context = 0;  // tokens of the longest sequence
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
};

// Bytes of scratch memory that any call within the limits takes, at most.
int64_t attention_scratch_bytes(const AttentionLimits& limits, int n_threads);

}  // namespace dbrx
