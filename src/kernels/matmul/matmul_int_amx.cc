// int8 and int4 weights on AMX tiles: signed bytes times signed bytes, sums in 32 bits. The tiles
// of x are 16 records of packed x, one digit at a time; those of the weights are an int8 panel's,
// or an int4 panel's unpacked into L1, a chunk of K at a time, for all rows of the call.
#include "kernels/matmul/matmul_int.h"
#include "kernels/matmul/matmul_int_avx512.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/tile_config.h"

namespace dbrx {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileOutputs = 16;
constexpr int64_t kTileStride = 64;  // bytes from one row of a tile of weights to the next
constexpr int64_t kChunkSteps = 8;   // 16 KB of int8 weights
constexpr int64_t kFewDigits = 4;    // up to here VNNI keeps pace with the memory
constexpr int64_t kMaxBlocks = kMaxTileRows / kTileRows;

// Sums of one digit of 16 rows and one panel; the operand of tile loads and stores.
using Sums = int32_t[kTileRows][kPanelOutputs];
constexpr int64_t kSumsStride = kPanelOutputs * 4;

// Tiles 0-3: (block 0 or 1) x (outputs 0-15 or 16-31); 4, 5: blocks of x; 6, 7: weights.
void configure(int64_t rows) noexcept {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.rows[i] = static_cast<uint8_t>(i < 6 ? rows : kTileRows);
    config.row_bytes[i] = kTileStride;
  }
  // gcc 12 does not know that the instruction reads the object, and would drop the stores above.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

struct Int8Weights {
  static constexpr Format kFormat = Format::int8;

  static constexpr bool kPrefetch = true;  // the chunk after this one, while it is multiplied

  // Where steps first.. of a panel lie as int8 tiles.
  DBRX_SIMD static const std::byte* tiles(const std::byte* panel, int64_t n_steps, int64_t first,
                                          int64_t /*n*/, std::byte* /*room*/) {
    return panel + int_header_bytes(kFormat, n_steps) + first * 2 * kIntTileBytes;
  }
};

struct Int4Weights {
  static constexpr Format kFormat = Format::int4;
  static constexpr bool kPrefetch = false;  // unpacking has done it

  DBRX_SIMD static const std::byte* tiles(const std::byte* panel, int64_t n_steps, int64_t first,
                                          int64_t n, std::byte* room) {
    unpack_int4(panel + int_header_bytes(kFormat, n_steps) + first * kIntTileBytes,
                panel + kPanelScaleBytes + first * kGroupScaleBytes, n, 0, room);
    return room;
  }
};

// n steps of one panel as int8 tiles.
struct Chunk {
  const std::byte* weights;
  int64_t n_steps;
  bool is_first;  // sums begin here
  bool prefetch;  // as many bytes after it

  DBRX_SIMD const std::byte* step(int64_t i) const {
    const std::byte* at = weights + i * 2 * kIntTileBytes;
    if (prefetch) {
      for (int64_t line = 0; line < 2 * kIntTileBytes; line += 64) {
        dbrx::prefetch(at + n_steps * 2 * kIntTileBytes + line);
      }
    }
    return at;
  }
};

// x of one digit of 16 rows.
struct Block {
  const std::byte* x;
  Sums* sums;
};

DBRX_SIMD void multiply_one(const Block& a, int64_t x_stride, const Chunk& chunk) {
  int32_t* sums = (*a.sums)[0];
  if (chunk.is_first) {
    _tile_zero(0);
    _tile_zero(1);
  } else {
    _tile_loadd(0, sums, kSumsStride);
    _tile_loadd(1, sums + kTileOutputs, kSumsStride);
  }
  for (int64_t step = 0; step < chunk.n_steps; ++step) {
    const std::byte* w = chunk.step(step);
    _tile_loadd(4, a.x + step * kIntStepK, x_stride);
    _tile_loadd(6, w, kTileStride);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, w + kIntTileBytes, kTileStride);
    _tile_dpbssd(1, 4, 7);
  }
  _tile_stored(0, sums, kSumsStride);
  _tile_stored(1, sums + kTileOutputs, kSumsStride);
}

// Two blocks, which share the loads of weights.
DBRX_SIMD void multiply_two(const Block& a, const Block& b, int64_t x_stride, const Chunk& chunk) {
  int32_t* sums_a = (*a.sums)[0];
  int32_t* sums_b = (*b.sums)[0];
  if (chunk.is_first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums_a, kSumsStride);
    _tile_loadd(1, sums_a + kTileOutputs, kSumsStride);
    _tile_loadd(2, sums_b, kSumsStride);
    _tile_loadd(3, sums_b + kTileOutputs, kSumsStride);
  }
  for (int64_t step = 0; step < chunk.n_steps; ++step) {
    const std::byte* w = chunk.step(step);
    _tile_loadd(6, w, kTileStride);
    _tile_loadd(4, a.x + step * kIntStepK, x_stride);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, w + kIntTileBytes, kTileStride);
    _tile_dpbssd(1, 4, 7);
    _tile_loadd(5, b.x + step * kIntStepK, x_stride);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_stored(0, sums_a, kSumsStride);
  _tile_stored(1, sums_a + kTileOutputs, kSumsStride);
  _tile_stored(2, sums_b, kSumsStride);
  _tile_stored(3, sums_b + kTileOutputs, kSumsStride);
}

// A chunk, from step `first` on, for all blocks: block i is digit i % n_digits of 16 rows.
DBRX_SIMD void multiply_chunk(const MatmulTile& t, Chunk chunk, int64_t first, int64_t n_blocks,
                              Sums* sums) {
  const IntRow layout(t.n_steps, t.n_digits);
  const auto block = [&](int64_t i) __attribute__((always_inline)) {
    const std::byte* record = t.x + (t.first_row + i / t.n_digits * kTileRows) * layout.bytes();
    return Block{record + layout.digit_offset(i % t.n_digits) + first * kIntStepK, sums + i};
  };
  int64_t i = 0;
  for (; i + 1 < n_blocks; i += 2) {
    multiply_two(block(i), block(i + 1), layout.bytes(), chunk);
    chunk.prefetch = false;
  }
  if (i < n_blocks) multiply_one(block(i), layout.bytes(), chunk);
}

// Panels go in lockstep as far as their sums fit, so that the memory sees several streams.
template <typename Weights>
void run_tiles(const MatmulTile& t) noexcept {
  alignas(64) Sums sums[kMaxBlocks];
  alignas(64) std::byte room[kChunkSteps * 2 * kIntTileBytes];
  const int64_t n_blocks = (t.n_rows + kTileRows - 1) / kTileRows * t.n_digits;
  const int64_t group = kMaxBlocks / n_blocks;
  // Blocks of 16 rows: rows past the last one exist (kPackRows), and their sums are not used.
  configure(t.n_rows < kTileRows ? t.n_rows : kTileRows);
  for (int64_t p0 = 0; p0 < t.n_panels; p0 += group) {
    const int64_t p1 = p0 + group < t.n_panels ? p0 + group : t.n_panels;
    for (int64_t first = 0; first < t.n_steps; first += kChunkSteps) {
      const int64_t n = t.n_steps - first < kChunkSteps ? t.n_steps - first : kChunkSteps;
      for (int64_t p = p0; p < p1; ++p) {
        const Chunk chunk = {.weights = Weights::tiles(t.panels[p], t.n_steps, first, n, room),
                             .n_steps = n,
                             .is_first = first == 0,
                             .prefetch = Weights::kPrefetch};
        multiply_chunk(t, chunk, first, n_blocks, sums + (p - p0) * n_blocks);
      }
    }
    for (int64_t p = p0; p < p1; ++p) {
      for (int64_t row = 0; row < t.n_rows; ++row) {
        const Sums* high = sums + (p - p0) * n_blocks + row / kTileRows * t.n_digits;
        const Sums* low = high + t.n_digits - 1;
        finish(t, row, p, (*high)[row % kTileRows], (*low)[row % kTileRows]);
      }
    }
  }
  _tile_release();
}

void run_int8(const MatmulTile& t) noexcept {
  t.n_rows* t.n_digits <= kFewDigits ? matmul_int8_avx512.run(t) : run_tiles<Int8Weights>(t);
}

void run_int4(const MatmulTile& t) noexcept {
  t.n_rows* t.n_digits <= kFewDigits ? matmul_int4_avx512.run(t) : run_tiles<Int4Weights>(t);
}

}  // namespace

const MatmulKernel matmul_int8_amx = {.name = "int8 amx",
                                      .isa = Isa::amx,
                                      .format = Format::int8,
                                      .x_value_bytes = 0,
                                      .pack_x = pack_int_avx2,
                                      .run = run_int8};
const MatmulKernel matmul_int4_amx = {.name = "int4 amx",
                                      .isa = Isa::amx,
                                      .format = Format::int4,
                                      .x_value_bytes = 0,
                                      .pack_x = pack_int_avx2,
                                      .run = run_int4};

}  // namespace dbrx
