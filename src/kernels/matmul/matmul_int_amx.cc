// int8 and int4 weights on AMX tiles: signed bytes times signed bytes, sums in 32 bits. The tiles
// of x are 16 records of packed x, one digit at a time; those of the weights are an int8 panel's,
// or an int4 panel's unpacked into L1, a chunk of K at a time, for all rows of the call. While one
// chunk is multiplied, the next one is unpacked and the one after that is asked for.
#include "kernels/matmul/matmul_int.h"
#include "kernels/matmul/matmul_int_avx512.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/tile_config.h"

namespace dbrx {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileOutputs = 16;
constexpr int64_t kTileStride = 64;  // bytes from one row of a tile of weights to the next
constexpr int64_t kChunkSteps = 4;   // 8 KB of int8 weights: two chunks, sums and prefetches fit L1
constexpr int64_t kFewDigits = 6;    // up to here VNNI keeps pace with the memory
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

// A chunk of a panel. Panels go in groups whose sums fit; those of a group take turns, chunk by
// chunk, so that the memory sees several streams.
struct Chunk {
  int64_t group = 0;  // the first panel of its group
  int64_t panel = 0;
  int64_t first = 0;    // step of K
  int64_t n_steps = 0;  // 0: there are no more
};

class ChunkOrder {
 public:
  DBRX_SIMD ChunkOrder(const MatmulTile& t, int64_t group_panels)
      : n_panels_(t.n_panels), n_steps_(t.n_steps), group_panels_(group_panels) {}

  DBRX_SIMD Chunk begin() const { return sized({}); }

  DBRX_SIMD Chunk after(Chunk c) const {
    if (++c.panel < group_end(c)) return c;
    c.panel = c.group;
    c.first += kChunkSteps;
    if (c.first >= n_steps_) c = {.group = group_end(c), .panel = group_end(c)};
    return sized(c);
  }

  DBRX_SIMD int64_t group_end(const Chunk& c) const {
    return c.group + group_panels_ < n_panels_ ? c.group + group_panels_ : n_panels_;
  }

 private:
  DBRX_SIMD Chunk sized(Chunk c) const {
    const int64_t left = n_steps_ - c.first;
    c.n_steps = c.panel == n_panels_ ? 0 : (left < kChunkSteps ? left : kChunkSteps);
    return c;
  }

  int64_t n_panels_, n_steps_, group_panels_;
};

// Where a chunk's weights lie; after the last one any address will do, since it is only asked for.
DBRX_SIMD const std::byte* weights_of(const MatmulTile& t, Format format, const Chunk& c) {
  const int64_t step_bytes = format == Format::int4 ? kIntTileBytes : 2 * kIntTileBytes;
  const std::byte* panel = t.panels[c.n_steps > 0 ? c.panel : 0];
  return panel + int_header_bytes(format, t.n_steps) + c.first * step_bytes;
}

// Weights of either format: tiles() of the chunk to multiply, and the work for later chunks that
// goes on beside its products, a step of K at a time.
class Int8Weights {
 public:
  DBRX_SIMD explicit Int8Weights(const MatmulTile& t) : t_(t) {}

  DBRX_SIMD const std::byte* tiles(const Chunk& c) const { return weights_of(t_, Format::int8, c); }

  struct Work {
    int64_t n_steps;
    const std::byte* weights;

    DBRX_SIMD void step(int64_t i) const {
      if (i >= n_steps) return;
      const std::byte* at = weights + i * 2 * kIntTileBytes;
      for (int64_t line = 0; line < 2 * kIntTileBytes; line += 64) dbrx::prefetch(at + line);
    }
  };

  DBRX_SIMD Work work(const Chunk& next, const Chunk& /*later*/) const {
    return {next.n_steps, weights_of(t_, Format::int8, next)};
  }

  DBRX_SIMD void turn() const {}

 private:
  const MatmulTile& t_;
};

class Int4Weights {
 public:
  DBRX_SIMD explicit Int4Weights(const MatmulTile& t) : t_(t) {}

  DBRX_SIMD const std::byte* tiles(const Chunk& /*c*/) const { return rooms_[side_]; }

  struct Work {
    int64_t n_steps;
    const std::byte* weights;
    const std::byte* scales;
    const std::byte* ahead;
    std::byte* room;

    DBRX_SIMD void step(int64_t i) const {
      if (i >= n_steps) return;
      unpack_int4(weights + i * kIntTileBytes, scales + i * kGroupScaleBytes, 0,
                  ahead + i * kIntTileBytes, room + i * 2 * kIntTileBytes);
    }
  };

  DBRX_SIMD Work work(const Chunk& next, const Chunk& later) {
    const std::byte* panel = t_.panels[next.n_steps > 0 ? next.panel : 0];
    return {next.n_steps, weights_of(t_, Format::int4, next),
            panel + kPanelScaleBytes + next.first * kGroupScaleBytes,
            weights_of(t_, Format::int4, later), rooms_[1 - side_]};
  }

  // The chunk that was next is now the one to multiply.
  DBRX_SIMD void turn() { side_ = 1 - side_; }

 private:
  const MatmulTile& t_;
  int side_ = 0;
  alignas(64) std::byte rooms_[2][kChunkSteps * 2 * kIntTileBytes];
};

// The weights of one chunk as int8 tiles.
struct Tiles {
  const std::byte* weights;
  int64_t n_steps;
  bool is_first;  // sums begin here

  DBRX_SIMD const std::byte* step(int64_t i) const { return weights + i * 2 * kIntTileBytes; }
};

// x of one digit of 16 rows.
struct Block {
  const std::byte* x;
  Sums* sums;
};

// Tiles of x are streamed: each is used once while a chunk lasts, and must not push the weights and
// sums out of L1.
template <typename Work>
DBRX_SIMD void multiply_one(const Block& a, int64_t x_stride, const Tiles& tiles,
                            const Work& work) {
  int32_t* sums = (*a.sums)[0];
  if (tiles.is_first) {
    _tile_zero(0);
    _tile_zero(1);
  } else {
    _tile_loadd(0, sums, kSumsStride);
    _tile_loadd(1, sums + kTileOutputs, kSumsStride);
  }
  for (int64_t step = 0; step < tiles.n_steps; ++step) {
    const std::byte* w = tiles.step(step);
    _tile_stream_loadd(4, a.x + step * kIntStepK, x_stride);
    _tile_loadd(6, w, kTileStride);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, w + kIntTileBytes, kTileStride);
    _tile_dpbssd(1, 4, 7);
    work.step(step);
  }
  _tile_stored(0, sums, kSumsStride);
  _tile_stored(1, sums + kTileOutputs, kSumsStride);
}

// Two blocks, which share the loads of weights.
template <typename Work>
DBRX_SIMD void multiply_two(const Block& a, const Block& b, int64_t x_stride, const Tiles& tiles,
                            const Work& work) {
  int32_t* sums_a = (*a.sums)[0];
  int32_t* sums_b = (*b.sums)[0];
  if (tiles.is_first) {
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
  for (int64_t step = 0; step < tiles.n_steps; ++step) {
    const std::byte* w = tiles.step(step);
    _tile_loadd(6, w, kTileStride);
    _tile_stream_loadd(4, a.x + step * kIntStepK, x_stride);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, w + kIntTileBytes, kTileStride);
    _tile_dpbssd(1, 4, 7);
    _tile_stream_loadd(5, b.x + step * kIntStepK, x_stride);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
    work.step(step);
  }
  _tile_stored(0, sums_a, kSumsStride);
  _tile_stored(1, sums_a + kTileOutputs, kSumsStride);
  _tile_stored(2, sums_b, kSumsStride);
  _tile_stored(3, sums_b + kTileOutputs, kSumsStride);
}

// The part of the work for later chunks that one pair of blocks does: every n_pairs-th step. Spread
// over all pairs, fetches do not wait for each other.
template <typename Work>
struct Share {
  const Work& work;
  int64_t pair, n_pairs;

  DBRX_SIMD void step(int64_t i) const { work.step(pair + i * n_pairs); }
};

// A chunk, from step `first` of K on, for all blocks: block i is digit i % n_digits of 16 rows. The
// work goes on beside it; a longer next chunk has more steps of it.
template <typename Work>
DBRX_SIMD void multiply_chunk(const MatmulTile& t, const Tiles& tiles, int64_t first,
                              int64_t n_blocks, Sums* sums, const Work& work) {
  const IntRow layout(t.n_steps, t.n_digits);
  const auto block = [&](int64_t i) __attribute__((always_inline)) {
    const std::byte* record = t.x + (t.first_row + i / t.n_digits * kTileRows) * layout.bytes();
    return Block{record + layout.digit_offset(i % t.n_digits) + first * kIntStepK, sums + i};
  };
  Share<Work> share = {work, 0, (n_blocks + 1) / 2};
  int64_t i = 0;
  for (; i + 1 < n_blocks; i += 2, ++share.pair) {
    multiply_two(block(i), block(i + 1), layout.bytes(), tiles, share);
  }
  if (i < n_blocks) multiply_one(block(i), layout.bytes(), tiles, share);
  for (int64_t step = share.n_pairs * tiles.n_steps; step < work.n_steps; ++step) work.step(step);
}

template <typename Weights>
void run_tiles(const MatmulTile& t) noexcept {
  alignas(64) Sums sums[kMaxBlocks];
  Weights weights(t);
  const int64_t n_blocks = (t.n_rows + kTileRows - 1) / kTileRows * t.n_digits;
  const ChunkOrder order(t, kMaxBlocks / n_blocks);
  // Blocks of 16 rows: rows past the last one exist (kPackRows), and their sums are not used.
  configure(t.n_rows < kTileRows ? t.n_rows : kTileRows);
  Chunk chunk = order.begin();
  Chunk next = order.after(chunk);
  const auto first_work = weights.work(chunk, next);
  for (int64_t i = 0; i < first_work.n_steps; ++i) first_work.step(i);
  while (chunk.n_steps > 0) {
    weights.turn();
    const Chunk later = order.after(next);
    multiply_chunk(t, {weights.tiles(chunk), chunk.n_steps, chunk.first == 0}, chunk.first,
                   n_blocks, sums + (chunk.panel - chunk.group) * n_blocks,
                   weights.work(next, later));
    if (next.group != chunk.group) {
      for (int64_t p = chunk.group; p < next.group; ++p) {
        for (int64_t row = 0; row < t.n_rows; ++row) {
          const Sums* high = sums + (p - chunk.group) * n_blocks + row / kTileRows * t.n_digits;
          const Sums* low = high + t.n_digits - 1;
          finish(t, row, p, (*high)[row % kTileRows], (*low)[row % kTileRows]);
        }
      }
    }
    chunk = next;
    next = later;
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
