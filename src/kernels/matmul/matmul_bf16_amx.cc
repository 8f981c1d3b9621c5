// bf16 weights on AMX tiles. Packed x: [rows / 16][steps][16 rows][32 k] in bf16, so that a tile is
// one contiguous KiB: rows a multiple of 4 KiB apart would all fall into one set of L1.
#include "kernels/matmul/linear.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/f32x16.h"
#include "kernels/simd/tile_config.h"

namespace dbrx {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileBytes = 1024;
constexpr int64_t kStepBytes = 2 * kTileBytes;
constexpr int64_t kTileOutputs = 16;
constexpr int64_t kTileStride = 64;  // bytes from one row of an operand tile to the next
constexpr int64_t kChunkSteps = 8;   // 16 KB of weights, reused from L1 by all blocks of rows

// Tiles 0-3: outputs (row block 0 or 1) x (tile 0 or 1); 4, 5: the row blocks of x; 6, 7: weights.
void configure(int64_t rows0, int64_t rows1) noexcept {
  TileConfig config;
  const int64_t rows[8] = {rows0, rows0, rows1, rows1, rows0, rows1, kTileRows, kTileRows};
  for (int i = 0; i < 8; ++i) {
    config.rows[i] = static_cast<uint8_t>(rows[i]);
    config.row_bytes[i] = kTileStride;
  }
  // gcc 12 does not know that the instruction reads the object, and would drop the stores above.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

void pack_x(const PackXArgs& a) noexcept {
  std::byte* to =
      a.packed + a.row / kTileRows * a.n_steps * kTileBytes + a.row % kTileRows * kTileStride;
  for (int64_t step = 0; step < a.n_steps; ++step, to += kTileBytes) {
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t i = step * kBf16StepK + half * 16;
      const __m512i bits = bf16_bits(load(a.x + i, first_lanes(a.n - i)));
      _mm256_store_si256(reinterpret_cast<__m256i*>(to) + half,
                         _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
    }
  }
}

DBRX_SIMD void prefetch_step(const std::byte* step) {
  for (int64_t i = 0; i < kStepBytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(step + i), _MM_HINT_T0);
  }
}

// 32 rows (or 16 and the configured rest) times one panel, steps first .. end - 1. Accumulators
// live in `out` between chunks.
void multiply_block(const MatmulTile& t, int64_t row, int64_t p, int64_t first,
                    int64_t end) noexcept {
  const int64_t out_stride = t.n_panels * kPanelOutputs * 4;
  float* out = t.out + row * t.n_panels * kPanelOutputs + p * kPanelOutputs;
  float* out1 = out + kTileRows * t.n_panels * kPanelOutputs;
  const std::byte* x0 = t.x + ((t.first_row + row) / kTileRows * t.n_steps + first) * kTileBytes;
  const std::byte* x1 = x0 + t.n_steps * kTileBytes;
  const std::byte* w = t.panels[p] + first * kStepBytes;
  if (first == 0) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, out, out_stride);
    _tile_loadd(1, out + kTileOutputs, out_stride);
    _tile_loadd(2, out1, out_stride);
    _tile_loadd(3, out1 + kTileOutputs, out_stride);
  }
  for (int64_t step = first; step < end; ++step) {
    if (row == 0) prefetch_step(w + kStepBytes * kChunkSteps);
    _tile_loadd(6, w, kTileStride);
    _tile_loadd(4, x0, kTileStride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, w + kTileBytes, kTileStride);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, x1, kTileStride);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    w += kStepBytes;
    x0 += kTileBytes;
    x1 += kTileBytes;
  }
  _tile_stored(0, out, out_stride);
  _tile_stored(1, out + kTileOutputs, out_stride);
  _tile_stored(2, out1, out_stride);
  _tile_stored(3, out1 + kTileOutputs, out_stride);
}

// n_rows > 16 rows from `row` on, in blocks of 32 (the last one as configured), times all panels.
void multiply_blocks(const MatmulTile& t, int64_t row, int64_t n_rows) noexcept {
  for (int64_t p = 0; p < t.n_panels; ++p) {
    for (int64_t first = 0; first < t.n_steps; first += kChunkSteps) {
      const int64_t end = first + kChunkSteps < t.n_steps ? first + kChunkSteps : t.n_steps;
      for (int64_t r = 0; r < n_rows; r += 2 * kTileRows) {
        multiply_block(t, row + r, p, first, end);
      }
    }
  }
}

// Up to 16 rows times two panels in lockstep; the second may be the first again.
void multiply_pair(const MatmulTile& t, int64_t row, int64_t p0, int64_t p1) noexcept {
  const std::byte* x = t.x + (t.first_row + row) / kTileRows * t.n_steps * kTileBytes;
  const std::byte* w0 = t.panels[p0];
  const std::byte* w1 = t.panels[p1];
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < t.n_steps; ++step) {
    prefetch_step(w0 + kStepBytes);
    prefetch_step(w1 + kStepBytes);
    _tile_loadd(4, x, kTileStride);
    _tile_loadd(6, w0, kTileStride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, w0 + kTileBytes, kTileStride);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(6, w1, kTileStride);
    _tile_dpbf16ps(2, 4, 6);
    _tile_loadd(7, w1 + kTileBytes, kTileStride);
    _tile_dpbf16ps(3, 4, 7);
    x += kTileBytes;
    w0 += kStepBytes;
    w1 += kStepBytes;
  }
  const int64_t out_stride = t.n_panels * kPanelOutputs * 4;
  float* out0 = t.out + (row * t.n_panels + p0) * kPanelOutputs;
  float* out1 = t.out + (row * t.n_panels + p1) * kPanelOutputs;
  _tile_stored(0, out0, out_stride);
  _tile_stored(1, out0 + kTileOutputs, out_stride);
  _tile_stored(2, out1, out_stride);
  _tile_stored(3, out1 + kTileOutputs, out_stride);
}

void run(const MatmulTile& t) noexcept {
  const int64_t whole = t.n_rows / (2 * kTileRows) * 2 * kTileRows;
  const int64_t rest = t.n_rows - whole;
  if (whole > 0) {
    configure(kTileRows, kTileRows);
    multiply_blocks(t, 0, whole);
  }
  if (rest > kTileRows) {
    configure(kTileRows, rest - kTileRows);
    multiply_blocks(t, whole, rest);
  } else if (rest > 0) {
    configure(rest, rest);
    for (int64_t p = 0; p < t.n_panels; p += 2) {
      multiply_pair(t, whole, p, p + 1 < t.n_panels ? p + 1 : p);
    }
  }
  _tile_release();
}

}  // namespace

const MatmulKernel matmul_bf16_amx = {.name = "bf16 amx",
                                      .isa = Isa::amx,
                                      .format = Format::bf16,
                                      .x_value_bytes = sizeof(uint16_t),
                                      .pack_x = pack_x,
                                      .run = run};

}  // namespace dbrx
