#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_kernels.h"
#include "kernels/simd/bf16_scalar.h"
#include "kernels/simd/exp.h"

namespace dbrx {
namespace {

constexpr int64_t kBlock = kKvBlockTokens;
constexpr int64_t kChain = 32;  // summed elements of one pair of bf16 chains

// Softmax in progress: sum and weighted values relative to a maximum.
struct Partial {
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0;
  float acc[kMaxHeadDim] = {};
};

float sum_lanes(const float* p) {
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = ((p[i] + p[i + 16]) + p[i + 32]) + p[i + 48];
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// Products with an f32 cache block.
struct F32Block {
  const float* keys;    // [head_dim][64]
  const float* values;  // [64][head_dim]

  F32Block(const std::byte* k, const std::byte* v)
      : keys(reinterpret_cast<const float*>(k)), values(reinterpret_cast<const float*>(v)) {}

  static float round(float value) { return value; }

  float dot(const float* q, int64_t head_dim, int64_t token) const {
    float acc = 0;
    for (int64_t i = 0; i < head_dim; ++i) acc = std::fma(q[i], keys[i * kBlock + token], acc);
    return acc;
  }

  float add_weighted(float acc, const float* p, int64_t n, int64_t head_dim, int64_t dim) const {
    for (int64_t j = 0; j < n; ++j) acc = std::fma(p[j], values[j * head_dim + dim], acc);
    return acc;
  }
};

// Products with a bf16 cache block; q and p have been rounded.
struct Bf16Block {
  const uint16_t* keys;    // [head_dim / 2][64][2]
  const uint16_t* values;  // [32][head_dim][2]

  Bf16Block(const std::byte* k, const std::byte* v)
      : keys(reinterpret_cast<const uint16_t*>(k)), values(reinterpret_cast<const uint16_t*>(v)) {}

  static float round(float value) { return round_to_bf16(value); }

  // acc + sum over i < n of a[i] * b(i), in pairs of chains.
  template <typename Factor>
  static float add_chains(float acc, const float* a, int64_t n, const Factor& b) {
    for (int64_t first = 0; first < n; first += kChain) {
      float chains[2] = {};
      for (int64_t i = first; i < std::min(first + kChain, n); ++i) {
        chains[i % 2] = fma_flushed(a[i], bf16_factor(b(i)), chains[i % 2]);
      }
      acc = flush(acc + flush(chains[0] + chains[1]));
    }
    return acc;
  }

  float dot(const float* q, int64_t head_dim, int64_t token) const {
    return add_chains(0, q, head_dim,
                      [&](int64_t i) { return keys[(i / 2 * kBlock + token) * 2 + i % 2]; });
  }

  float add_weighted(float acc, const float* p, int64_t n, int64_t head_dim, int64_t dim) const {
    return add_chains(acc, p, n,
                      [&](int64_t j) { return values[(j / 2 * head_dim + dim) * 2 + j % 2]; });
  }
};

// Adds the first n tokens of a block to a split.
template <typename CacheBlock>
void add_block(const AttentionTask& task, const float* q, const CacheBlock& block, int64_t n,
               Partial& split) {
  float p[kBlock] = {};
  float max = split.max;
  for (int64_t j = 0; j < n; ++j) {
    p[j] = block.dot(q, task.head_dim, j) * task.scale;
    max = std::max(max, p[j]);
  }
  for (int64_t j = 0; j < n; ++j) p[j] = CacheBlock::round(exp_f32(p[j] - max));
  const float correction = exp_f32(split.max - max);
  split.max = max;
  split.sum = split.sum * correction + sum_lanes(p);
  for (int64_t i = 0; i < task.head_dim; ++i) {
    split.acc[i] = block.add_weighted(split.acc[i] * correction, p, n, task.head_dim, i);
  }
}

void merge(const Partial& split, int64_t head_dim, Partial& total) {
  const float max = std::max(total.max, split.max);
  const float keep = exp_f32(total.max - max);
  const float add = exp_f32(split.max - max);
  total.max = max;
  total.sum = std::fma(split.sum, add, total.sum * keep);
  for (int64_t i = 0; i < head_dim; ++i) {
    total.acc[i] = std::fma(split.acc[i], add, total.acc[i] * keep);
  }
}

void divide(const Partial& total, int64_t head_dim, float* out) {
  for (int64_t i = 0; i < head_dim; ++i) out[i] = total.acc[i] / total.sum;
}

// A record of partial_floats.
void save(const Partial& split, int64_t head_dim, float* record) {
  std::copy_n(split.acc, head_dim, record);
  float* tail = record + partial_floats(head_dim) - 16;
  tail[0] = split.max;
  tail[1] = split.sum;
}

void merge_saved(const MergeTask& task) noexcept {
  Partial total;
  for (int64_t i = 0; i < task.n_splits; ++i) {
    const float* record = task.partials + i * task.partial_stride;
    const float* tail = record + partial_floats(task.head_dim) - 16;
    Partial split{.max = tail[0], .sum = tail[1]};
    std::copy_n(record, task.head_dim, split.acc);
    merge(split, task.head_dim, total);
  }
  divide(total, task.head_dim, task.out);
}

// Split number `index` of a query that sees n_tokens.
template <typename CacheBlock>
Partial attend_split(const AttentionTask& task, const float* q, int64_t index, int64_t n_tokens) {
  Partial split;
  const int64_t first = index * kAttentionSplit;
  const int64_t end = std::min(first + kAttentionSplit, n_tokens);
  for (int64_t token = first; token < end; token += kBlock) {
    const int64_t offset = task.blocks[token / kBlock] * task.block_bytes;
    const CacheBlock block(task.keys + offset, task.values + offset);
    add_block(task, q, block, std::min(kBlock, end - token), split);
  }
  return split;
}

template <typename CacheBlock>
void attend_query(const AttentionTask& task, int64_t row, int64_t head) {
  float q[kMaxHeadDim];
  for (int64_t i = 0; i < task.head_dim; ++i) {
    q[i] = CacheBlock::round(task.q[row * task.q_stride + head * task.head_dim + i]);
  }
  const int64_t n_tokens = task.n_past + row + 1;
  Partial total;
  for (int64_t i = task.first_split; i < task.end_split; ++i) {
    if (i * kAttentionSplit >= n_tokens) break;
    const Partial split = attend_split<CacheBlock>(task, q, i, n_tokens);
    if (task.partials != nullptr) {
      save(split, task.head_dim,
           task.partials + (i - task.first_split) * task.partial_stride +
               head * partial_floats(task.head_dim));
    } else {
      merge(split, task.head_dim, total);
    }
  }
  if (task.partials != nullptr) return;
  divide(total, task.head_dim, task.out + row * task.out_stride + head * task.head_dim);
}

template <typename CacheBlock>
void run(const AttentionTask& task) noexcept {
  for (int64_t row = 0; row < task.n_rows; ++row) {
    for (int64_t head = 0; head < task.n_heads; ++head) attend_query<CacheBlock>(task, row, head);
  }
}

}  // namespace

const AttentionKernel attention_f32_scalar = {.name = "f32 scalar",
                                              .isa = Isa::scalar,
                                              .format = Format::f32,
                                              .run = run<F32Block>,
                                              .merge = merge_saved};
const AttentionKernel attention_bf16_scalar = {.name = "bf16 scalar",
                                               .isa = Isa::scalar,
                                               .format = Format::bf16,
                                               .run = run<Bf16Block>,
                                               .merge = merge_saved};

}  // namespace dbrx
