// What _tile_loadconfig reads: palette 1, rows and row bytes of the eight AMX tiles. Only for
// *_amx.cc files.
#pragma once

#include <cstdint>

namespace dbrx {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

}  // namespace
}  // namespace dbrx
