// Products with a cache of floats, f32 or bf16, in 16 lanes. Lanes are tokens in q . k and
// dimensions in p . v, so that each lane repeats the scalar chain.
#pragma once

#include "kernels/attention/attention_tile.h"

namespace dbrx {
namespace {

// c = a b, or c = c * correction + a b, for some queries and 16 x vectors columns.
template <typename Value>
struct Product {
  const float* a;  // [queries], a_stride apart: n factors each
  int64_t a_stride;
  const Value* b;    // [n / kInterleaved][columns][kInterleaved]
  int64_t b_stride;  // values from one line of b to the next
  int64_t n;
  float* c;  // [queries], c_stride apart: 16 x vectors each
  int64_t c_stride;
  const float* corrections;  // [queries], or null: c = a b
  const std::byte* fetch;    // needed next: one line of it is fetched for each line of b
};

// Sums of some queries and vectors of columns.
template <int kQueries, int kVectors>
using Sums = F32x16[kQueries][kVectors];

template <int kQueries, int kVectors>
DBRX_SIMD void clear(Sums<kQueries, kVectors>& sums) {
  DBRX_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    DBRX_UNROLL
    for (int v = 0; v < kVectors; ++v) sums[q][v] = zero16();
  }
}

// Six queries: DBRX's heads of one row that share a key/value head. Their sums fill the registers.
constexpr int kMostQueries = 6;
constexpr int kMostVectors = kSimdAccumulators / 4;

// One chain over a[first], a[first + kStep], ...; line(i) is the i-th line of b.
template <int kQueries, int kVectors, int kStep, typename Line>
DBRX_SIMD void add_chain(const float* a, int64_t a_stride, int64_t n, const Line& line,
                         Sums<kQueries, kVectors>& sums) {
  for (int64_t i = 0; i < n; ++i, a += kStep) {
    F32x16 b[kVectors];
    DBRX_UNROLL
    for (int v = 0; v < kVectors; ++v) b[v] = line(i, v);
    DBRX_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const F32x16 factor = broadcast(a[q * a_stride]);
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[q][v] = fma(factor, b[v], sums[q][v]);
    }
  }
}

// What c is before a product is added to it.
template <typename Value>
DBRX_SIMD F32x16 start(const Product<Value>& t, int q, int v) {
  if (t.corrections == nullptr) return zero16();
  return load(t.c + q * t.c_stride + v * 16) * broadcast(t.corrections[q]);
}

struct F32Chains {
  using Value = float;
  static constexpr int64_t kInterleaved = 1;

  DBRX_SIMD static F32x16 round(F32x16 a) { return a; }

  template <int kQueries, int kVectors, bool kMasked>
  DBRX_SIMD static void multiply(const Product<float>& t, Mask16 lanes) {
    Sums<kQueries, kVectors> sums;
    DBRX_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[q][v] = start(t, q, v);
    }
    const auto line = [&](int64_t i, int v) __attribute__((always_inline)) {
      const float* b = t.b + i * t.b_stride + v * 16;
      prefetch(t.fetch + (i * kVectors + v) * 64);
      return kMasked ? load(b, lanes) : load(b);
    };
    add_chain<kQueries, kVectors, 1>(t.a, t.a_stride, t.n, line, sums);
    DBRX_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) store(t.c + q * t.c_stride + v * 16, sums[q][v]);
    }
  }
};

// Pairs of chains over 32 factors each, one after the other, since both together would not fit the
// registers; q and p have been rounded.
struct Bf16Chains {
  using Value = uint16_t;
  static constexpr int64_t kInterleaved = 2;
  static constexpr int64_t kChain = 32;

  DBRX_SIMD static F32x16 round(F32x16 a) { return round_to_bf16(a); }

  template <int kQueries, int kVectors, bool kMasked>
  DBRX_SIMD static void multiply(const Product<uint16_t>& t, Mask16 lanes) {
    for (int64_t i = 0; i < t.n; i += kChain) {
      const int64_t n = t.n - i < kChain ? t.n - i : kChain;
      const uint16_t* b = t.b + i / 2 * t.b_stride;
      const auto pairs = [&](int64_t pair, int v) __attribute__((always_inline)) {
        const uint16_t* at = b + pair * t.b_stride + v * 32;
        return kMasked ? load_bf16_pairs(at, lanes) : load_bf16_pairs(at);
      };
      alignas(64) float even[kQueries][kVectors][16];
      Sums<kQueries, kVectors> sums;
      clear<kQueries, kVectors>(sums);
      // Of an odd n the last token has no partner that the row sees.
      add_chain<kQueries, kVectors, 2>(
          t.a + i, t.a_stride, (n + 1) / 2,
          [&](int64_t pair, int v) __attribute__((always_inline)) {
            prefetch(t.fetch + ((i / 2 + pair) * kVectors + v) * 64);
            return pairs(pair, v).even;
          },
          sums);
      DBRX_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        DBRX_UNROLL
        for (int v = 0; v < kVectors; ++v) store(even[q][v], sums[q][v]);
      }
      clear<kQueries, kVectors>(sums);
      add_chain<kQueries, kVectors, 2>(
          t.a + i + 1, t.a_stride, n / 2,
          [&](int64_t pair, int v) __attribute__((always_inline)) { return pairs(pair, v).odd; },
          sums);
      DBRX_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        DBRX_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          float* c = t.c + q * t.c_stride + v * 16;
          store(c, (i == 0 ? start(t, q, v) : load(c)) + (load(even[q][v]) + sums[q][v]));
        }
      }
    }
  }
};

// All columns of kQueries queries.
template <typename Chains, int kQueries>
void multiply_columns(Product<typename Chains::Value> t, int64_t n_columns) noexcept {
  constexpr int64_t kWide = kMostVectors * 16;
  for (; n_columns >= kWide; n_columns -= kWide) {
    Chains::template multiply<kQueries, kMostVectors, false>(t, first_lanes(16));
    t.b += kWide * Chains::kInterleaved;
    t.c += kWide;
    t.fetch += t.n / Chains::kInterleaved * kWide * 4;
  }
  for (; n_columns > 0; n_columns -= 16) {
    Chains::template multiply<kQueries, 1, true>(t, first_lanes(n_columns));
    t.b += 16 * Chains::kInterleaved;
    t.c += 16;
    t.fetch += t.n / Chains::kInterleaved * 64;
  }
}

// n_queries <= kQueries.
template <typename Chains, int kQueries>
DBRX_SIMD void multiply_rest(const Product<typename Chains::Value>& t, int64_t n_queries,
                             int64_t n_columns) {
  if (n_queries == kQueries) {
    multiply_columns<Chains, kQueries>(t, n_columns);
  } else if constexpr (kQueries > 1) {
    multiply_rest<Chains, kQueries - 1>(t, n_queries, n_columns);
  }
}

template <typename Chains>
DBRX_SIMD void multiply_all(Product<typename Chains::Value> t, int64_t n_queries,
                            int64_t n_columns) {
  constexpr int64_t kMost = kMostQueries;
  for (; n_queries > 0; n_queries -= kMost) {
    multiply_rest<Chains, kMostQueries>(t, n_queries < kMost ? n_queries : kMost, n_columns);
    t.a += kMost * t.a_stride;
    t.c += kMost * t.c_stride;
    if (t.corrections != nullptr) t.corrections += kMost;
    t.fetch = reinterpret_cast<const std::byte*>(t.b);  // once is enough
  }
}

template <typename Chains>
struct FloatCache {
  using Value = typename Chains::Value;

  struct Operands {
    alignas(64) float q[kTileQueries * kMaxHeadDim];  // [query][dims]
    alignas(64) float p[kQueryRoom * kBlock];         // [query][64]: scores, then weights
  };

  DBRX_SIMD static void load_query(const Tile& tile, const float* q, int64_t query, Operands& o) {
    for (int64_t i = 0; i < tile.dims; i += 16) {
      store(o.q + query * tile.dims + i,
            Chains::round(load(q + i, first_lanes(tile.head_dim - i))));
    }
  }

  // p = q . k of all 64 tokens of the block; scaled() makes scores of them.
  DBRX_SIMD static void score(const Tile& tile, const std::byte* keys, Range queries,
                              const std::byte* fetch, Operands& o) {
    multiply_all<Chains>({.a = o.q + queries.first * tile.dims,
                          .a_stride = tile.dims,
                          .b = reinterpret_cast<const Value*>(keys),
                          .b_stride = kBlock * Chains::kInterleaved,
                          .n = tile.head_dim,
                          .c = o.p + queries.first * kBlock,
                          .c_stride = kBlock,
                          .corrections = nullptr,
                          .fetch = fetch},
                         queries.n(), kBlock);
  }

  // Vector v of the scores of a query.
  DBRX_SIMD static F32x16 scaled(const Tile& tile, const std::byte*, int64_t query, int v,
                                 const Operands& o) {
    return load(o.p + query * kBlock + v * 16) * broadcast(tile.scale);
  }

  // Takes the weights of a query as they will be multiplied with values.
  DBRX_SIMD static void weigh(F32x16 (&p)[4], const std::byte*, int64_t, int64_t query,
                              Operands& o) {
    DBRX_UNROLL
    for (int v = 0; v < 4; ++v) {
      p[v] = Chains::round(p[v]);
      store(o.p + query * kBlock + v * 16, p[v]);
    }
  }

  // acc = acc * correction + sum over the block's first n tokens of p v
  DBRX_SIMD static void add_values(const Tile& tile, const std::byte* values, Range queries,
                                   int64_t n, const Operands& o, const float* corrections,
                                   float* acc, const std::byte* fetch) {
    multiply_all<Chains>({.a = o.p + queries.first * kBlock,
                          .a_stride = kBlock,
                          .b = reinterpret_cast<const Value*>(values),
                          .b_stride = tile.head_dim * Chains::kInterleaved,
                          .n = n,
                          .c = acc + queries.first * tile.dims,
                          .c_stride = tile.dims,
                          .corrections = corrections + queries.first,
                          .fetch = fetch},
                         queries.n(), tile.head_dim);
  }
};

}  // namespace
}  // namespace dbrx
