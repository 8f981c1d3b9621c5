// Attention of one row in 16 lanes; compiled by attention_avx2.cc and attention_avx512.cc. Lanes
// are tokens in q . k and dimensions in p . v, so that each lane repeats the scalar chain. The
// query heads of the group go through a cache block together while it is in L1.
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_kernels.h"
#include "kernels/simd/exp_x16.h"

namespace dbrx {
namespace {

constexpr int64_t kBlock = kKvBlockTokens;
constexpr int64_t kHeadsPerPass = 8;  // bounds the scratch on the stack
constexpr int64_t kChain = 32;        // summed elements of one pair of bf16 chains

// What a pass keeps of its heads. `split` and `total` are softmaxes in progress.
struct Softmax {
  float max[kHeadsPerPass];
  float sum[kHeadsPerPass];
  alignas(64) float acc[kHeadsPerPass][kMaxHeadDim];
};
struct Scratch {
  alignas(64) float q[kHeadsPerPass][kMaxHeadDim];
  alignas(64) float p[kHeadsPerPass][kBlock];
  Softmax split;
  Softmax total;
};

// Products with an f32 cache block. Each function works on kHeads heads from `head` on and on
// kVectors vectors of tokens or dimensions.
struct F32Cache {
  static constexpr int kHeads = kSimdAccumulators / 4;
  static constexpr int kVectors = 4;
  using Value = float;

  DBRX_SIMD static F32x16 round(F32x16 a) { return a; }

  // p[head][token..] = q . k
  template <int kHeads>
  DBRX_SIMD static void score(const float* keys, int64_t head_dim, int64_t head, int64_t token,
                              Scratch& s) {
    F32x16 acc[kHeads][kVectors];
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[h][v] = zero16();
    }
    for (int64_t i = 0; i < head_dim; ++i) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const F32x16 k = load(keys + i * kBlock + token + v * 16);
        DBRX_UNROLL
        for (int h = 0; h < kHeads; ++h) acc[h][v] = fma(broadcast(s.q[head + h][i]), k, acc[h][v]);
      }
    }
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) store(s.p[head + h] + token + v * 16, acc[h][v]);
    }
  }

  // acc[head][dim..] += sum over n tokens of p v. `lanes`: the existing dimensions of each vector.
  template <int kHeads, int kVectors>
  DBRX_SIMD static void add_values(const float* values, int64_t head_dim, int64_t head, int64_t dim,
                                   Mask16 lanes, int64_t n, Scratch& s) {
    F32x16 acc[kHeads][kVectors];
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[h][v] = load(s.split.acc[head + h] + dim + v * 16);
    }
    for (int64_t j = 0; j < n; ++j) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const F32x16 value = load(values + j * head_dim + dim + v * 16, lanes);
        DBRX_UNROLL
        for (int h = 0; h < kHeads; ++h) {
          acc[h][v] = fma(broadcast(s.p[head + h][j]), value, acc[h][v]);
        }
      }
    }
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) store(s.split.acc[head + h] + dim + v * 16, acc[h][v]);
    }
  }
};

// Products with a bf16 cache block, in pairs of chains; q and p have been rounded.
struct Bf16Cache {
  static constexpr int kHeads = kSimdAccumulators / 8 > 0 ? kSimdAccumulators / 8 : 1;
  static constexpr int kVectors = kSimdAccumulators >= 8 ? 4 : 2;
  using Value = uint16_t;

  DBRX_SIMD static F32x16 round(F32x16 a) { return round_to_bf16(a); }

  // Adds the chains of up to 32 elements to acc: n elements of a[h], times 16 x kVectors columns of
  // b, whose pairs are `stride` apart.
  template <int kHeads, int kVectors>
  DBRX_SIMD static void add_chains(F32x16 (&acc)[kHeads][kVectors], const float* a,
                                   int64_t a_stride, const uint16_t* b, int64_t b_stride,
                                   Mask16 lanes, int64_t n) {
    F32x16 even[kHeads][kVectors];
    F32x16 odd[kHeads][kVectors];
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) even[h][v] = odd[h][v] = zero16();
    }
    int64_t i = 0;
    for (; i + 1 < n; i += 2, b += b_stride) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const Bf16Pairs pairs = load_bf16_pairs(b + v * 32, lanes);
        DBRX_UNROLL
        for (int h = 0; h < kHeads; ++h) {
          even[h][v] = fma(broadcast(a[h * a_stride + i]), pairs.even, even[h][v]);
          odd[h][v] = fma(broadcast(a[h * a_stride + i + 1]), pairs.odd, odd[h][v]);
        }
      }
    }
    if (i < n) {  // the second of the pair is a token that the row does not see
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const Bf16Pairs pairs = load_bf16_pairs(b + v * 32, lanes);
        DBRX_UNROLL
        for (int h = 0; h < kHeads; ++h) {
          even[h][v] = fma(broadcast(a[h * a_stride + i]), pairs.even, even[h][v]);
        }
      }
    }
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[h][v] = acc[h][v] + (even[h][v] + odd[h][v]);
    }
  }

  template <int kHeads>
  DBRX_SIMD static void score(const uint16_t* keys, int64_t head_dim, int64_t head, int64_t token,
                              Scratch& s) {
    F32x16 acc[kHeads][kVectors];
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[h][v] = zero16();
    }
    for (int64_t i = 0; i < head_dim; i += kChain) {
      const int64_t n = head_dim - i < kChain ? head_dim - i : kChain;
      add_chains(acc, s.q[head] + i, kMaxHeadDim, keys + i * kBlock + token * 2, 2 * kBlock,
                 first_lanes(16), n);
    }
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) store(s.p[head + h] + token + v * 16, acc[h][v]);
    }
  }

  template <int kHeads, int kVectors>
  DBRX_SIMD static void add_values(const uint16_t* values, int64_t head_dim, int64_t head,
                                   int64_t dim, Mask16 lanes, int64_t n, Scratch& s) {
    F32x16 acc[kHeads][kVectors];
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[h][v] = load(s.split.acc[head + h] + dim + v * 16);
    }
    for (int64_t j = 0; j < n; j += kChain) {
      const int64_t count = n - j < kChain ? n - j : kChain;
      add_chains(acc, s.p[head] + j, kBlock, values + j * head_dim + dim * 2, 2 * head_dim, lanes,
                 count);
    }
    DBRX_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) store(s.split.acc[head + h] + dim + v * 16, acc[h][v]);
    }
  }
};

DBRX_SIMD void clear(Softmax& softmax, int64_t n_heads, int64_t head_dim) {
  for (int64_t h = 0; h < n_heads; ++h) {
    softmax.max[h] = -std::numeric_limits<float>::infinity();
    softmax.sum[h] = 0;
    for (int64_t i = 0; i < head_dim; i += 16) store(softmax.acc[h] + i, zero16());
  }
}

// Turns the scores of one head and block into weights and rescales what the split has so far.
template <typename Cache>
DBRX_SIMD void update_softmax(const AttentionTask& task, int64_t h, int64_t n, Scratch& s) {
  const F32x16 minus_infinity = broadcast(-std::numeric_limits<float>::infinity());
  const F32x16 scale = broadcast(task.scale);
  F32x16 p[4];
  F32x16 largest = minus_infinity;
  DBRX_UNROLL
  for (int v = 0; v < 4; ++v) {
    p[v] = select(first_lanes(n - v * 16), load(s.p[h] + v * 16) * scale, minus_infinity);
    largest = max(largest, p[v]);
  }
  const float old_max = s.split.max[h];
  const float block_max = max_lanes(largest);
  const float new_max = old_max < block_max ? block_max : old_max;
  const F32x16 maxes = broadcast(new_max);
  DBRX_UNROLL
  for (int v = 0; v < 4; ++v) {
    p[v] = Cache::round(exp_x16(p[v] - maxes));
    store(s.p[h] + v * 16, p[v]);
  }
  const float correction = exp_f32(old_max - new_max);
  s.split.max[h] = new_max;
  s.split.sum[h] = s.split.sum[h] * correction + sum_lanes(((p[0] + p[1]) + p[2]) + p[3]);
  const F32x16 corrections = broadcast(correction);
  for (int64_t i = 0; i < task.head_dim; i += 16) {
    store(s.split.acc[h] + i, load(s.split.acc[h] + i) * corrections);
  }
}

template <typename Cache, int kHeads>
DBRX_SIMD void score_heads(const typename Cache::Value* keys, int64_t head_dim, int64_t head,
                           Scratch& s) {
  for (int64_t token = 0; token < kBlock; token += Cache::kVectors * 16) {
    Cache::template score<kHeads>(keys, head_dim, head, token, s);
  }
}

template <typename Cache, int kHeads>
DBRX_SIMD void add_heads(const typename Cache::Value* values, int64_t head_dim, int64_t head,
                         int64_t n, Scratch& s) {
  constexpr int64_t kWide = Cache::kVectors * 16;
  int64_t dim = 0;
  for (; dim + kWide <= head_dim; dim += kWide) {
    Cache::template add_values<kHeads, Cache::kVectors>(values, head_dim, head, dim,
                                                        first_lanes(16), n, s);
  }
  for (; dim < head_dim; dim += 16) {
    Cache::template add_values<kHeads, 1>(values, head_dim, head, dim, first_lanes(head_dim - dim),
                                          n, s);
  }
}

// Adds the first n tokens of a cache block to the split of all heads of the pass.
template <typename Cache>
void add_block(const AttentionTask& task, int64_t n_heads, const std::byte* key_bytes,
               const std::byte* value_bytes, int64_t n, Scratch& s) noexcept {
  const auto* keys = reinterpret_cast<const typename Cache::Value*>(key_bytes);
  const auto* values = reinterpret_cast<const typename Cache::Value*>(value_bytes);
  int64_t head = 0;
  for (; head + Cache::kHeads <= n_heads; head += Cache::kHeads) {
    score_heads<Cache, Cache::kHeads>(keys, task.head_dim, head, s);
  }
  for (; head < n_heads; ++head) score_heads<Cache, 1>(keys, task.head_dim, head, s);
  for (int64_t h = 0; h < n_heads; ++h) update_softmax<Cache>(task, h, n, s);
  head = 0;
  for (; head + Cache::kHeads <= n_heads; head += Cache::kHeads) {
    add_heads<Cache, Cache::kHeads>(values, task.head_dim, head, n, s);
  }
  for (; head < n_heads; ++head) add_heads<Cache, 1>(values, task.head_dim, head, n, s);
}

void merge_split(int64_t n_heads, int64_t head_dim, Scratch& s) noexcept {
  for (int64_t h = 0; h < n_heads; ++h) {
    const float old_max = s.total.max[h];
    const float new_max = old_max < s.split.max[h] ? s.split.max[h] : old_max;
    const float keep = exp_f32(old_max - new_max);
    const float add = exp_f32(s.split.max[h] - new_max);
    s.total.max[h] = new_max;
    s.total.sum[h] = std::fma(s.split.sum[h], add, s.total.sum[h] * keep);
    for (int64_t i = 0; i < head_dim; i += 16) {
      const F32x16 kept = load(s.total.acc[h] + i) * broadcast(keep);
      store(s.total.acc[h] + i, fma(load(s.split.acc[h] + i), broadcast(add), kept));
    }
  }
}

// n_heads <= kHeadsPerPass heads from first_head on.
template <typename Cache>
void run_pass(const AttentionTask& task, int64_t first_head, int64_t n_heads) noexcept {
  Scratch s;
  const int64_t head_dim = task.head_dim;
  for (int64_t h = 0; h < n_heads; ++h) {
    const float* q = task.q + (first_head + h) * head_dim;
    for (int64_t i = 0; i < head_dim; i += 16) {
      store(s.q[h] + i, Cache::round(load(q + i, first_lanes(head_dim - i))));
    }
  }
  clear(s.total, n_heads, head_dim);
  for (int64_t first = 0; first < task.n_tokens; first += kAttentionSplit) {
    clear(s.split, n_heads, head_dim);
    const int64_t limit = first + kAttentionSplit;
    const int64_t end = limit < task.n_tokens ? limit : task.n_tokens;
    for (int64_t token = first; token < end; token += kBlock) {
      const int64_t offset = task.blocks[token / kBlock] * task.block_bytes;
      const int64_t n = end - token < kBlock ? end - token : kBlock;
      add_block<Cache>(task, n_heads, task.keys + offset, task.values + offset, n, s);
    }
    merge_split(n_heads, head_dim, s);
  }
  for (int64_t h = 0; h < n_heads; ++h) {
    float* out = task.out + (first_head + h) * head_dim;
    const F32x16 sum = broadcast(s.total.sum[h]);
    for (int64_t i = 0; i < head_dim; i += 16) {
      store(out + i, load(s.total.acc[h] + i) / sum, first_lanes(head_dim - i));
    }
  }
}

template <typename Cache>
void run(const AttentionTask& task) noexcept {
  for (int64_t head = 0; head < task.n_heads; head += kHeadsPerPass) {
    const int64_t left = task.n_heads - head;
    run_pass<Cache>(task, head, left < kHeadsPerPass ? left : kHeadsPerPass);
  }
}

}  // namespace
}  // namespace dbrx
