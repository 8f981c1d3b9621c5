// What the vector kernels of all cache formats share: a tile of queries, and reading ahead.
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_kernels.h"
#include "kernels/simd/exp_x16.h"

namespace dbrx {
namespace {

constexpr int64_t kBlock = kKvBlockTokens;

// Room for whole AMX tiles of 16 queries, from any query on.
constexpr int64_t kQueryRoom = kTileQueries + 16;

// Rows of one sequence times query heads that share a key/value head: query = row * n_heads + head.
struct Tile {
  int64_t n_rows;
  int64_t n_heads;
  int64_t head_dim;
  int64_t dims;  // head_dim padded to 16: floats from one query to the next
  float scale;
};

struct Range {
  int64_t first;
  int64_t end;

  DBRX_SIMD int64_t n() const { return end - first; }
};

DBRX_SIMD void prefetch(const std::byte* line) {
  _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
}

}  // namespace
}  // namespace dbrx
