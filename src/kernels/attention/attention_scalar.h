// The scalar kernels: plain loops in the order of attention.h. A Cache knows one format:
//
//   Cache(task, keys, values)      one head's part of a cache block
//   Query, prepare(task, q)        a query head as it is multiplied with keys
//   score(query, j)                q . k_j, scaled
//   round(p)                       a weight as it is summed
//   add_values(p, n, correction, acc)     acc = acc * correction + sum over j < n of p_j v_j
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_kernels.h"
#include "kernels/simd/exp.h"

namespace dbrx {
namespace {

constexpr int64_t kBlock = kKvBlockTokens;

// Softmax in progress: sum and weighted values relative to a maximum.
struct Partial {
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0;
  float acc[kMaxHeadDim] = {};
};

inline float sum_lanes(const float* p) {
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = ((p[i] + p[i + 16]) + p[i + 32]) + p[i + 48];
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// Adds the first n tokens of a block to a split.
template <typename Cache>
void add_block(const Cache& block, const typename Cache::Query& q, int64_t n, Partial& split) {
  float p[kBlock] = {};
  float max = split.max;
  for (int64_t j = 0; j < n; ++j) {
    p[j] = block.score(q, j);
    max = std::max(max, p[j]);
  }
  for (int64_t j = 0; j < n; ++j) p[j] = Cache::round(exp_f32(p[j] - max));
  const float correction = exp_f32(split.max - max);
  split.max = max;
  split.sum = split.sum * correction + sum_lanes(p);
  block.add_values(p, n, correction, split.acc);
}

inline void merge(const Partial& split, int64_t head_dim, Partial& total) {
  const float max = std::max(total.max, split.max);
  const float keep = exp_f32(total.max - max);
  const float add = exp_f32(split.max - max);
  total.max = max;
  total.sum = std::fma(split.sum, add, total.sum * keep);
  for (int64_t i = 0; i < head_dim; ++i) {
    total.acc[i] = std::fma(split.acc[i], add, total.acc[i] * keep);
  }
}

inline void divide(const Partial& total, int64_t head_dim, float* out) {
  for (int64_t i = 0; i < head_dim; ++i) out[i] = total.acc[i] / total.sum;
}

// A record of partial_floats.
inline void save(const Partial& split, int64_t head_dim, float* record) {
  std::copy_n(split.acc, head_dim, record);
  float* tail = record + partial_floats(head_dim) - 16;
  tail[0] = split.max;
  tail[1] = split.sum;
}

inline void merge_saved(const MergeTask& task) noexcept {
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
template <typename Cache>
Partial attend_split(const AttentionTask& task, const typename Cache::Query& q, int64_t index,
                     int64_t n_tokens) {
  Partial split;
  const int64_t first = index * kAttentionSplit;
  const int64_t end = std::min(first + kAttentionSplit, n_tokens);
  for (int64_t token = first; token < end; token += kBlock) {
    const int64_t offset = task.blocks[token / kBlock] * task.block_bytes;
    const Cache block(task, task.keys + offset, task.values + offset);
    add_block(block, q, std::min(kBlock, end - token), split);
  }
  return split;
}

template <typename Cache>
void attend_query(const AttentionTask& task, int64_t row, int64_t head) {
  const typename Cache::Query q =
      Cache::prepare(task, task.q + row * task.q_stride + head * task.head_dim);
  const int64_t n_tokens = task.n_past + row + 1;
  Partial total;
  for (int64_t i = task.first_split; i < task.end_split; ++i) {
    if (i * kAttentionSplit >= n_tokens) break;
    const Partial split = attend_split<Cache>(task, q, i, n_tokens);
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

template <typename Cache>
void run(const AttentionTask& task) noexcept {
  for (int64_t row = 0; row < task.n_rows; ++row) {
    for (int64_t head = 0; head < task.n_heads; ++head) attend_query<Cache>(task, row, head);
  }
}

}  // namespace
}  // namespace dbrx
