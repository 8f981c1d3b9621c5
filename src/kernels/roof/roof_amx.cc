#include "kernels/roof/roof_avx512_read.h"
#include "kernels/simd/tile_config.h"

namespace dbrx {
namespace {

// Four products of 16 x 64 by 64 x 16 bytes a loop, on operands of random bits: zeros may clock
// higher.
int64_t int8(int64_t n, int32_t* sink) noexcept {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.rows[i] = 16;
    config.row_bytes[i] = 64;
  }
  // gcc 12 does not know that the instruction reads the object, and would drop the stores above.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
  alignas(64) uint32_t operand[4][256];
  uint32_t state = 12345;
  for (auto& tile : operand) {
    for (uint32_t& word : tile) word = state = state * 1664525 + 1013904223;
  }
  _tile_loadd(4, operand[0], 64);
  _tile_loadd(5, operand[1], 64);
  _tile_loadd(6, operand[2], 64);
  _tile_loadd(7, operand[3], 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t i = 0; i < n; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_stored(0, operand[0], 64);
  _tile_release();
  *sink = static_cast<int32_t>(operand[0][0]);
  return n * 4 * 16 * 16 * 64 * 2;
}

}  // namespace

const RoofKernel roof_amx = {.name = "amx", .isa = Isa::amx, .read = read, .int8 = int8};

}  // namespace dbrx
