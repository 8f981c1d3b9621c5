#include "kernels/roof/roof_avx512_loops.h"
#include "kernels/simd/tile_config.h"

namespace dbrx {
namespace {

// gcc 12 does not know that tile instructions read and write memory, and would drop the stores
// before them or the loads after.
[[gnu::always_inline]] inline void memory_is_used(void* object) {
  asm volatile("" : : "r"(object) : "memory");
}

// Fills tiles 4 to 7 with random bits, of which `keep` stay and `set` are added (zeros may clock
// higher), and clears the sums in 0 to 3.
[[gnu::always_inline]] inline void load_operands(uint32_t keep, uint32_t set) {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.rows[i] = 16;
    config.row_bytes[i] = 64;
  }
  memory_is_used(&config);
  _tile_loadconfig(&config);
  alignas(64) uint32_t operand[4][256];
  uint32_t state = 12345;
  for (auto& tile : operand) {
    for (uint32_t& word : tile) {
      state = state * 1664525 + 1013904223;
      word = (state & keep) | set;
    }
  }
  memory_is_used(operand);
  _tile_loadd(4, operand[0], 64);
  _tile_loadd(5, operand[1], 64);
  _tile_loadd(6, operand[2], 64);
  _tile_loadd(7, operand[3], 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

[[gnu::always_inline]] inline uint32_t first_sum() {
  alignas(64) uint32_t sums[256];
  _tile_stored(0, sums, 64);
  memory_is_used(sums);
  _tile_release();
  return sums[0];
}

// Four products of 16 x 64 by 64 x 16 bytes a loop.
int64_t int8(int64_t n, uint32_t* sink) noexcept {
  load_operands(0xffffffff, 0);
  for (int64_t i = 0; i < n; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  *sink = first_sum();
  return n * 4 * 16 * 16 * 64 * 2;
}

// Four products of 16 x 32 by 32 x 16 bf16 numbers a loop, of size 0.5 to 1 and either sign.
int64_t bf16(int64_t n, uint32_t* sink) noexcept {
  load_operands(0x807f807f, 0x3f003f00);
  for (int64_t i = 0; i < n; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  *sink = first_sum();
  return n * 4 * 16 * 16 * 32 * 2;
}

}  // namespace

const RoofKernel roof_amx = {
    .name = "amx", .isa = Isa::amx, .read = read, .int8 = int8, .bf16 = bf16, .f32 = f32};

}  // namespace dbrx
