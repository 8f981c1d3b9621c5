// bf16 cache on AMX tiles: 16 queries at a time. The layouts of keys and values are B operands as
// they are. Tiles take whole blocks of 64 tokens only: a row that sees a part of a block has it
// from the vector code, which reads no value of a later token. A tile product has the chains of
// Bf16Chains, one instruction for 32 factors.
#include "kernels/attention/attention_body.h"
#include "kernels/attention/attention_float.h"
#include "kernels/simd/tile_config.h"

namespace dbrx {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileValues = 16 * 32;  // bf16 values of an A tile
constexpr int64_t kTileStride = 64;       // bytes from one row of an A tile to the next
constexpr int64_t kStep = 32;             // factors of a tile product

// Tiles 0-3: sums; 4: queries or weights; 5: keys or values.
void configure() noexcept {
  TileConfig config;
  for (int i = 0; i < 6; ++i) {
    config.rows[i] = kTileRows;
    config.row_bytes[i] = kTileStride;
  }
  // gcc 12 does not know that the instruction reads the object, and would drop the stores above.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

// 32 floats that are bf16 values, as such.
DBRX_SIMD void pack_step(const float* x, uint16_t* to) {
  DBRX_UNROLL
  for (int half = 0; half < 2; ++half) {
    const __m512i bits = _mm512_srli_epi32(_mm512_castps_si512(load(x + half * 16).v), 16);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to) + half, _mm512_cvtepi32_epi16(bits));
  }
}

struct AmxCache {
  using Base = FloatCache<Bf16Chains>;
  struct Operands : Base::Operands {
    alignas(64) uint16_t q_tiles[kTileQueries * kMaxHeadDim];  // [tile][step][16][32]
  };

  DBRX_SIMD static void load_query(const Tile& tile, const float* q, int64_t query, Operands& o) {
    Base::load_query(tile, q, query, o);
    const int64_t n_steps = tile.head_dim / kStep;
    uint16_t* to =
        o.q_tiles + query / kTileRows * n_steps * kTileValues + query % kTileRows * kStep;
    for (int64_t step = 0; step < n_steps; ++step) {
      pack_step(o.q + query * tile.dims + step * kStep, to + step * kTileValues);
    }
  }

  // Whole tiles of queries, so perhaps some that do not see the block; their scores are not used.
  DBRX_SIMD static void score(const Tile& tile, const std::byte* keys, Range queries,
                              const std::byte* fetch, Operands& o) {
    constexpr int64_t kLine = kBlock * 4;  // bytes of a pair of dimensions of 64 tokens
    const int64_t n_steps = tile.head_dim / kStep;
    const int64_t first = queries.first / kTileRows;
    for (int64_t t = first; t * kTileRows < queries.end; ++t) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      for (int64_t step = 0; step < n_steps; ++step) {
        const std::byte* k = keys + step * kTileRows * kLine;
        if (t == first) prefetch_lines(fetch + step * kTileRows * kLine, kTileRows * kLine / 64);
        _tile_loadd(4, o.q_tiles + (t * n_steps + step) * kTileValues, kTileStride);
        _tile_loadd(5, k, kLine);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(5, k + 64, kLine);
        _tile_dpbf16ps(1, 4, 5);
        _tile_loadd(5, k + 128, kLine);
        _tile_dpbf16ps(2, 4, 5);
        _tile_loadd(5, k + 192, kLine);
        _tile_dpbf16ps(3, 4, 5);
      }
      float* p = o.p + t * kTileRows * kBlock;
      _tile_stored(0, p, kBlock * 4);
      _tile_stored(1, p + 16, kBlock * 4);
      _tile_stored(2, p + 32, kBlock * 4);
      _tile_stored(3, p + 48, kBlock * 4);
    }
  }

  DBRX_SIMD static F32x16 scaled(const Tile& tile, const std::byte* keys, int64_t query, int v,
                                 const Operands& o) {
    return Base::scaled(tile, keys, query, v, o);
  }

  DBRX_SIMD static void weigh(F32x16 (&p)[4], const std::byte* values, int64_t n, int64_t query,
                              Operands& o) {
    Base::weigh(p, values, n, query, o);
  }

  // The last tile of queries may reach into the room behind them.
  DBRX_SIMD static void add_values(const Tile& tile, const std::byte* values, Range queries,
                                   int64_t n, const Operands& o, const float* corrections,
                                   float* acc, const std::byte* fetch) {
    if (n < kBlock) {
      Base::add_values(tile, values, queries, n, o, corrections, acc, fetch);
      return;
    }
    for (int64_t query = queries.first; query < queries.end; ++query) {
      float* a = acc + query * tile.dims;
      for (int64_t i = 0; i < tile.dims; i += 16) {
        store(a + i, load(a + i) * broadcast(corrections[query]));
      }
    }
    for (int64_t query = queries.first; query < queries.end; query += kTileRows) {
      alignas(64) uint16_t p_tiles[2 * kTileValues];  // [step][16][32]
      for (int64_t row = 0; row < kTileRows; ++row) {
        const float* p = o.p + (query + row) * kBlock;
        pack_step(p, p_tiles + row * kStep);
        pack_step(p + kStep, p_tiles + kTileValues + row * kStep);
      }
      add_tile(tile, p_tiles, values, acc + query * tile.dims, fetch);
      fetch = nullptr;  // once is enough
    }
  }

 private:
  DBRX_SIMD static void prefetch_lines(const std::byte* at, int64_t n) {
    for (int64_t i = 0; i < n; ++i) prefetch(at + i * 64);
  }

  // acc [16][dims] += p v over 64 tokens, 32 dimensions at a time.
  DBRX_SIMD static void add_tile(const Tile& tile, const uint16_t* p_tiles, const std::byte* values,
                                 float* acc, const std::byte* fetch) {
    const int64_t line = tile.head_dim * 4;  // bytes of a pair of tokens
    for (int64_t dim = 0; dim < tile.head_dim; dim += 32) {
      if (fetch != nullptr) prefetch_lines(fetch + dim * kBlock * 2, 32 * kBlock * 2 / 64);
      _tile_loadd(0, acc + dim, tile.dims * 4);
      _tile_loadd(1, acc + dim + 16, tile.dims * 4);
      for (int64_t step = 0; step < 2; ++step) {
        const std::byte* v = values + step * kTileRows * line + dim * 4;
        _tile_loadd(4, p_tiles + step * kTileValues, kTileStride);
        _tile_loadd(5, v, line);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(5, v + 64, line);
        _tile_dpbf16ps(1, 4, 5);
      }
      _tile_stored(0, acc + dim, tile.dims * 4);
      _tile_stored(1, acc + dim + 16, tile.dims * 4);
    }
  }
};

// Few queries fill no tile, and they wait for memory anyway.
void run_amx(const AttentionTask& task) noexcept {
  if (task.n_rows * task.n_heads < kTileRows || task.head_dim % kStep != 0) {
    run<FloatCache<Bf16Chains>>(task);
    return;
  }
  configure();
  run<AmxCache>(task);
  _tile_release();
}

}  // namespace

const AttentionKernel attention_bf16_amx = {.name = "bf16 amx",
                                            .isa = Isa::amx,
                                            .format = Format::bf16,
                                            .run = run_amx,
                                            .merge = merge_splits};

}  // namespace dbrx
