// Products with an int8 cache: queries and weights in 16 bits, exact sums.
#pragma once

#include "kernels/attention/attention_tile.h"
#include "kernels/attention/int8_rounding.h"
#ifdef __AVX512F__
#include "kernels/attention/int_quads_avx512.h"
#else
#include "kernels/attention/int_quads_avx2.h"
#endif

namespace dbrx {
namespace {

// c = a b for some queries and columns, as floats of exact sums.
struct IntProduct {
  const int16_t* a;  // [queries][n], a_stride apart
  int64_t a_stride;
  const std::byte* b;  // [n / 4][n_columns][4] int8
  int64_t n;
  int64_t n_columns;
  float* c;  // [queries][n_columns], c_stride apart
  int64_t c_stride;
  const std::byte* fetch;  // needed next: fetched as b is read
};

// Columns of kVectors registers.
template <int kQueries, int kVectors>
DBRX_SIMD void multiply_quads(const IntProduct& t) {
  Quads sums[kQueries][kVectors];
  DBRX_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    DBRX_UNROLL
    for (int v = 0; v < kVectors; ++v) sums[q][v] = zero_quads();
  }
  for (int64_t k = 0; k < t.n; k += 4) {
    const std::byte* line = t.b + k * t.n_columns;
    prefetch(t.fetch + k * kVectors * kQuadColumns);
    Quads b[kVectors];
    DBRX_UNROLL
    for (int v = 0; v < kVectors; ++v) b[v] = load_quads(line + v * kQuadColumns * 4);
    DBRX_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const Quads a = broadcast_quad(t.a + q * t.a_stride + k);
      DBRX_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[q][v] = multiply_add(a, b[v], sums[q][v]);
    }
  }
  DBRX_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    DBRX_UNROLL
    for (int v = 0; v < kVectors; v += 2) {
      store_columns(t.c + q * t.c_stride + v * kQuadColumns, sums[q][v], sums[q][v + 1]);
    }
  }
}

template <int kQueries>
void multiply_int_columns(IntProduct t) noexcept {
  constexpr int64_t kWide = int64_t{kQuadVectors} * kQuadColumns;
  int64_t left = t.n_columns;
  for (; left >= kWide; left -= kWide) {
    multiply_quads<kQueries, kQuadVectors>(t);
    t.b += kWide * 4;
    t.c += kWide;
    t.fetch += t.n * kWide;
  }
  if (left > 0) multiply_quads<kQueries, 2>(t);  // columns are a multiple of 16
}

// n_queries <= kQueries.
template <int kQueries>
DBRX_SIMD void multiply_int_rest(const IntProduct& t, int64_t n_queries) {
  if (n_queries == kQueries) {
    multiply_int_columns<kQueries>(t);
  } else if constexpr (kQueries > 1) {
    multiply_int_rest<kQueries - 1>(t, n_queries);
  }
}

DBRX_SIMD void multiply_int(IntProduct t, int64_t n_queries) {
  constexpr int64_t kMost = 6;
  for (; n_queries > 0; n_queries -= kMost) {
    multiply_int_rest<kMost>(t, n_queries < kMost ? n_queries : kMost);
    t.a += kMost * t.a_stride;
    t.c += kMost * t.c_stride;
    t.fetch = t.b;  // once is enough
  }
}

// The largest |x| of n floats as bits; n is a multiple of 16.
DBRX_SIMD uint32_t largest_of(const float* x, int64_t n) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i most = _mm256_setzero_si256();
  for (int64_t i = 0; i < n; i += 8) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    most = _mm256_max_epu32(most, _mm256_and_si256(bits, magnitude));
  }
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
}

// n floats as integers of 16 bits; returns the scale. n is a multiple of 16.
DBRX_SIMD float round_row(const float* x, int64_t n, int16_t* integers) {
  const IntScale s = int_scale(largest_of(x, n), kFactorTop);
  const __m256 inverse = _mm256_set1_ps(s.inverse);
  for (int64_t i = 0; i < n; i += 16) {
    const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), inverse));
    const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8), inverse));
    const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(integers + i), both);
  }
  return s.scale;
}

struct Int8Cache {
  struct Operands {
    alignas(64) int16_t q[kTileQueries * kMaxHeadDim];  // [query][dims]
    alignas(64) int16_t w[kTileQueries * kBlock];       // [query][64]: weights of the block
    alignas(64) float p[kTileQueries * kBlock];         // [query][64]: sums of q . k
    float q_factors[kTileQueries];                      // scale of q times that of the scores
    float w_scales[kTileQueries];
  };

  DBRX_SIMD static void load_query(const Tile& tile, const float* q, int64_t query, Operands& o) {
    alignas(64) float padded[kMaxHeadDim];
    for (int64_t i = 0; i < tile.dims; i += 16) {
      store(padded + i, load(q + i, first_lanes(tile.head_dim - i)));
    }
    o.q_factors[query] = round_row(padded, tile.dims, o.q + query * tile.dims) * tile.scale;
  }

  // p = sums of q . k, of all 64 tokens of the block; scaled() makes scores of them.
  DBRX_SIMD static void score(const Tile& tile, const std::byte* keys, Range queries,
                              const std::byte* fetch, Operands& o) {
    prefetch_scales(fetch);
    multiply_int({.a = o.q + queries.first * tile.dims,
                  .a_stride = tile.dims,
                  .b = keys + kInt8ScaleBytes,
                  .n = tile.dims,
                  .n_columns = kBlock,
                  .c = o.p + queries.first * kBlock,
                  .c_stride = kBlock,
                  .fetch = fetch + kInt8ScaleBytes},
                 queries.n());
  }

  // Vector v of the scores of a query.
  DBRX_SIMD static F32x16 scaled(const Tile&, const std::byte* keys, int64_t query, int v,
                                 const Operands& o) {
    const auto* scales = reinterpret_cast<const float*>(keys);
    const F32x16 sums = load(o.p + query * kBlock + v * 16);
    return sums * load(scales + v * 16) * broadcast(o.q_factors[query]);
  }

  // Takes the weights of a query, of which n tokens are seen, as they will be multiplied with
  // values.
  DBRX_SIMD static void weigh(F32x16 (&p)[4], const std::byte* values, int64_t n, int64_t query,
                              Operands& o) {
    const auto* scales = reinterpret_cast<const float*>(values);
    alignas(64) float weights[kBlock];
    DBRX_UNROLL
    for (int v = 0; v < 4; ++v) {
      const F32x16 w = p[v] * load(scales + v * 16);
      store(weights + v * 16, select(first_lanes(n - v * 16), w, zero16()));
    }
    o.w_scales[query] = round_row(weights, kBlock, o.w + query * kBlock);
  }

  // acc = acc * correction + sum over the block's tokens of p v; those not seen have weight 0.
  DBRX_SIMD static void add_values(const Tile& tile, const std::byte* values, Range queries,
                                   int64_t, const Operands& o, const float* corrections, float* acc,
                                   const std::byte* fetch) {
    constexpr int64_t kSome = 6;
    prefetch_scales(fetch);
    fetch += kInt8ScaleBytes;
    for (int64_t query = queries.first; query < queries.end; query += kSome) {
      const int64_t n = queries.end - query < kSome ? queries.end - query : kSome;
      alignas(64) float sums[kSome * kMaxHeadDim];
      multiply_int({.a = o.w + query * kBlock,
                    .a_stride = kBlock,
                    .b = values + kInt8ScaleBytes,
                    .n = kBlock,
                    .n_columns = tile.dims,
                    .c = sums,
                    .c_stride = tile.dims,
                    .fetch = query == queries.first ? fetch : values},
                   n);
      for (int64_t i = 0; i < n; ++i) {
        add_sums(tile, sums + i * tile.dims, o.w_scales[query + i], corrections[query + i],
                 acc + (query + i) * tile.dims);
      }
    }
  }

 private:
  DBRX_SIMD static void prefetch_scales(const std::byte* block) {
    for (int64_t i = 0; i < kInt8ScaleBytes; i += 64) prefetch(block + i);
  }

  DBRX_SIMD static void add_sums(const Tile& tile, const float* sums, float scale, float correction,
                                 float* acc) {
    for (int64_t i = 0; i < tile.dims; i += 16) {
      const F32x16 kept = load(acc + i) * broadcast(correction);
      store(acc + i, fma(load(sums + i), broadcast(scale), kept));
    }
  }
};

}  // namespace
}  // namespace dbrx
