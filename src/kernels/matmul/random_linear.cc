#include "kernels/matmul/random_linear.h"

#include <cmath>

#include "base/error.h"

namespace dbrx {
namespace {

// Of any byte but -128, which no packed weight is.
constexpr float kInt8Size = 73.3F;
// Of a half byte minus 8 times a half byte.
constexpr float kInt4Size = 41;

uint32_t next(uint64_t& state) {
  state = state * 6364136223846793005U + 1442695040888963407U;
  return static_cast<uint32_t>(state >> 32);
}

// Sizes from 2^-7 to 2^-3, whatever the width: bf16 has no scale to set.
uint32_t two_bf16(uint32_t bits) {
  const uint32_t exponents = (bits >> 8 & 0x00010001) | (bits >> 9 & 0x00010001) << 1;
  return (bits & 0x807f807f) | (exponents + 0x00780078) << 7;
}

uint32_t four_int8(uint32_t bits) {
  const uint32_t low = 0x01010101 & ~(bits | bits >> 1 | bits >> 2);
  return bits | low;  // sets bits more often than not needed, and leaves no -128
}

}  // namespace

Linear random_linear(Format format, int64_t out_features, int64_t in_features, uint64_t seed) {
  CHECK(format == Format::bf16 || format == Format::int8 || format == Format::int4);
  Linear linear = make_linear(format, out_features, in_features);
  auto* words = reinterpret_cast<uint32_t*>(linear.owned.data());
  const size_t n = linear.owned.size() / sizeof *words;
  uint64_t state = seed;
  for (size_t i = 0; i < n; ++i) {
    const uint32_t bits = next(state);
    words[i] = format == Format::bf16   ? two_bf16(bits)
               : format == Format::int8 ? four_int8(bits)
                                        : bits;
  }
  if (format == Format::bf16) return linear;
  const float size = format == Format::int8 ? kInt8Size : kInt4Size;
  const float scale = 1 / (size * std::sqrt(static_cast<float>(in_features)));
  for (int64_t p = 0; p < linear.n_panels(); ++p) {
    auto* scales = reinterpret_cast<float*>(linear.owned.data() + p * linear.panel_bytes());
    for (int64_t o = 0; o < kPanelOutputs; ++o) scales[o] = scale;
  }
  return linear;
}

}  // namespace dbrx
