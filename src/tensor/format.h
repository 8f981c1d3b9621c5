// Number formats of stored values: one row of a constant table each.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace dbrx {

// int8 and int4 have a scale per row, int4 one per group of 32 too (tensor/quantized_row.h).
enum class Format : uint8_t { f32, bf16, f16, int8, int4 };

constexpr bool is_integer(Format format) {
  return format == Format::int8 || format == Format::int4;
}

struct FormatInfo {
  std::string_view name;              // as printed and as in flags
  std::string_view safetensors_name;  // dtype string in a safetensors header; empty: has none
  int values_per_block;
  int bytes_per_block;
};

const FormatInfo& format_info(Format format);

// The format with this safetensors dtype string, if we can read it.
std::optional<Format> format_from_safetensors(std::string_view dtype);

// The format of this name, if there is one.
std::optional<Format> find_format(std::string_view name);

// Bytes of n values; n must be a multiple of the block.
int64_t format_bytes(Format format, int64_t n);

// Bytes of a row of n values by itself, as an embedding table holds it. int8: its float scale, then
// the values. int4 has no such form.
int64_t row_bytes(Format format, int64_t n);

// Decodes such a row. `source` needs no alignment.
void decode_row(Format format, const std::byte* source, int64_t n, float* out);

// bf16 is the upper half of a float. These two are forced inline: they are used inside kernel
// files, which must not leave a copy compiled for their instruction set in the program.
[[gnu::always_inline]] inline float bf16_to_float(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}

// Rounds to nearest, ties to even; NaN stays NaN.
[[gnu::always_inline]] inline uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float f16_to_float(uint16_t bits);

}  // namespace dbrx
