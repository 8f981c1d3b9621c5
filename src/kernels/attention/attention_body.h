// A tile of queries against the blocks of its sequence's cache, one block at a time while it is in
// L1; compiled by the _avx2, _avx512 and _amx files for each cache format.
#pragma once

#include "kernels/attention/attention_tile.h"

namespace dbrx {
namespace {

// Softmaxes in progress, of each query of a tile.
struct Softmaxes {
  float max[kTileQueries];
  float sum[kTileQueries];
  alignas(64) float acc[kQueryRoom * kMaxHeadDim];  // [query][dims]
};

template <typename Cache>
struct Scratch {
  typename Cache::Operands operands;
  float corrections[kTileQueries];
  Softmaxes split;
  Softmaxes total;
};

DBRX_SIMD void clear(const Tile& tile, Softmaxes& s) {
  const int64_t n = tile.n_rows * tile.n_heads;
  for (int64_t i = 0; i < n; ++i) {
    s.max[i] = -std::numeric_limits<float>::infinity();
    s.sum[i] = 0;
  }
  for (int64_t i = 0; i < n * tile.dims; i += 16) store(s.acc + i, zero16());
}

// The keys and values of one head in a cache block.
struct Blocks {
  const std::byte* keys;
  const std::byte* values;
};

// Turns the scores of one query into weights; n tokens of the block are seen.
template <typename Cache>
DBRX_SIMD void update_softmax(const Tile& tile, const Blocks& block, int64_t n, int64_t query,
                              Scratch<Cache>& s) {
  const F32x16 minus_infinity = broadcast(-std::numeric_limits<float>::infinity());
  F32x16 p[4];
  F32x16 largest = minus_infinity;
  DBRX_UNROLL
  for (int v = 0; v < 4; ++v) {
    const F32x16 scores = Cache::scaled(tile, block.keys, query, v, s.operands);
    p[v] = select(first_lanes(n - v * 16), scores, minus_infinity);
    largest = max(largest, p[v]);
  }
  const float old_max = s.split.max[query];
  const float block_max = max_lanes(largest);
  const float new_max = old_max < block_max ? block_max : old_max;
  const F32x16 maxes = broadcast(new_max);
  DBRX_UNROLL
  for (int v = 0; v < 4; ++v) p[v] = exp_x16_to_one(p[v] - maxes);
  Cache::weigh(p, block.values, n, query, s.operands);
  const float correction = exp_f32(old_max - new_max);
  s.corrections[query] = correction;
  s.split.max[query] = new_max;
  s.split.sum[query] = s.split.sum[query] * correction + sum_lanes(((p[0] + p[1]) + p[2]) + p[3]);
}

// Where the block of a token lies.
DBRX_SIMD Blocks locate(const AttentionTask& task, int64_t token) {
  const int64_t offset = task.blocks[token / kBlock] * task.block_bytes;
  return {task.keys + offset, task.values + offset};
}

// The first row that sees `token`.
DBRX_SIMD int64_t first_row_of(const AttentionTask& task, int64_t token) {
  return token > task.n_past ? token - task.n_past : 0;
}

// Adds the block of 64 tokens from `token` on to the splits of the rows that see any of them.
template <typename Cache>
void add_block(const AttentionTask& task, const Tile& tile, int64_t token, int64_t end,
               Scratch<Cache>& s) noexcept {
  const int64_t heads = tile.n_heads;
  const int64_t first_row = first_row_of(task, token);
  const int64_t whole = first_row_of(task, token + kBlock - 1);  // the first row that sees all
  const int64_t first_whole_row = whole < tile.n_rows ? whole : tile.n_rows;
  const Range queries = {first_row * heads, tile.n_rows * heads};
  const Blocks block = locate(task, token);
  // While keys are read the values come, and while values are read the next keys.
  const std::byte* next = token + kBlock < end ? locate(task, token + kBlock).keys : block.values;
  Cache::score(tile, block.keys, queries, block.values, s.operands);
  for (int64_t row = first_row; row < tile.n_rows; ++row) {
    const int64_t seen = row < first_whole_row ? task.n_past + row + 1 - token : kBlock;
    for (int64_t query = row * heads; query < (row + 1) * heads; ++query) {
      update_softmax<Cache>(tile, block, seen, query, s);
    }
  }
  // Rows that see a part of the block by themselves: values of later tokens stay unread.
  for (int64_t row = first_row; row < first_whole_row; ++row) {
    Cache::add_values(tile, block.values, {row * heads, (row + 1) * heads},
                      task.n_past + row + 1 - token, s.operands, s.corrections, s.split.acc, next);
  }
  Cache::add_values(tile, block.values, {first_whole_row * heads, queries.end}, kBlock, s.operands,
                    s.corrections, s.split.acc, next);
}

// total = total and one split, of one query; `dims` floats of acc.
DBRX_SIMD void merge(float max, float sum, const float* acc, int64_t dims, float& total_max,
                     float& total_sum, float* total_acc) {
  const float new_max = total_max < max ? max : total_max;
  const float keep = exp_f32(total_max - new_max);
  const float add = exp_f32(max - new_max);
  total_max = new_max;
  total_sum = std::fma(sum, add, total_sum * keep);
  for (int64_t i = 0; i < dims; i += 16) {
    const F32x16 kept = load(total_acc + i) * broadcast(keep);
    store(total_acc + i, fma(load(acc + i), broadcast(add), kept));
  }
}

DBRX_SIMD void merge_rows(const Tile& tile, int64_t first_row, const Softmaxes& split,
                          Softmaxes& total) {
  for (int64_t q = first_row * tile.n_heads; q < tile.n_rows * tile.n_heads; ++q) {
    merge(split.max[q], split.sum[q], split.acc + q * tile.dims, tile.dims, total.max[q],
          total.sum[q], total.acc + q * tile.dims);
  }
}

DBRX_SIMD void divide(const float* acc, float sum, int64_t head_dim, float* out) {
  for (int64_t i = 0; i < head_dim; i += 16) {
    store(out + i, load(acc + i) / broadcast(sum), first_lanes(head_dim - i));
  }
}

// Writes the records of a split, one for each head.
DBRX_SIMD void save(const Tile& tile, const Softmaxes& split, float* records) {
  for (int64_t h = 0; h < tile.n_heads; ++h) {
    float* record = records + h * partial_floats(tile.head_dim);
    for (int64_t i = 0; i < tile.dims; i += 16) {
      store(record + i, load(split.acc + h * tile.dims + i));
    }
    record[tile.dims] = split.max[h];
    record[tile.dims + 1] = split.sum[h];
  }
}

// The heads of a tile, n_rows * n_heads <= kTileQueries.
template <typename Cache>
void run_tile(const AttentionTask& task, const Tile& tile, int64_t first_head) noexcept {
  Scratch<Cache> s;
  for (int64_t row = 0; row < tile.n_rows; ++row) {
    for (int64_t h = 0; h < tile.n_heads; ++h) {
      const float* q = task.q + row * task.q_stride + (first_head + h) * tile.head_dim;
      Cache::load_query(tile, q, row * tile.n_heads + h, s.operands);
    }
  }
  clear(tile, s.total);
  const int64_t end = task.n_past + tile.n_rows;
  for (int64_t split = task.first_split; split < task.end_split; ++split) {
    clear(tile, s.split);
    const int64_t first = split * kAttentionSplit;
    const int64_t limit = first + kAttentionSplit < end ? first + kAttentionSplit : end;
    for (int64_t token = first; token < limit; token += kBlock) {
      add_block<Cache>(task, tile, token, end, s);
    }
    if (task.partials != nullptr) {
      save(tile, s.split,
           task.partials + (split - task.first_split) * task.partial_stride +
               first_head * partial_floats(tile.head_dim));
    } else {
      merge_rows(tile, first_row_of(task, first), s.split, s.total);
    }
  }
  if (task.partials != nullptr) return;
  for (int64_t row = 0; row < tile.n_rows; ++row) {
    for (int64_t h = 0; h < tile.n_heads; ++h) {
      const int64_t query = row * tile.n_heads + h;
      divide(s.total.acc + query * tile.dims, s.total.sum[query], tile.head_dim,
             task.out + row * task.out_stride + (first_head + h) * tile.head_dim);
    }
  }
}

template <typename Cache>
void run(const AttentionTask& task) noexcept {
  for (int64_t head = 0; head < task.n_heads; head += kTileQueries) {
    const int64_t left = task.n_heads - head;
    const Tile tile = {.n_rows = task.n_rows,
                       .n_heads = left < kTileQueries ? left : kTileQueries,
                       .head_dim = task.head_dim,
                       .dims = (task.head_dim + 15) / 16 * 16,
                       .scale = task.scale};
    run_tile<Cache>(task, tile, head);
  }
}

void merge_splits(const MergeTask& task) noexcept {
  const int64_t dims = (task.head_dim + 15) / 16 * 16;
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0;
  alignas(64) float acc[kMaxHeadDim];
  for (int64_t i = 0; i < dims; i += 16) store(acc + i, zero16());
  for (int64_t i = 0; i < task.n_splits; ++i) {
    const float* record = task.partials + i * task.partial_stride;
    merge(record[dims], record[dims + 1], record, dims, max, sum, acc);
  }
  divide(acc, sum, task.head_dim, task.out);
}

}  // namespace
}  // namespace dbrx
