#include "tensor/format.h"

#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace dbrx {
namespace {

constexpr std::array<FormatInfo, 5> kFormats = {{
    {.name = "f32", .safetensors_name = "F32", .values_per_block = 1, .bytes_per_block = 4},
    {.name = "bf16", .safetensors_name = "BF16", .values_per_block = 1, .bytes_per_block = 2},
    {.name = "f16", .safetensors_name = "F16", .values_per_block = 1, .bytes_per_block = 2},
    {.name = "int8", .safetensors_name = "", .values_per_block = 1, .bytes_per_block = 1},
    {.name = "int4", .safetensors_name = "", .values_per_block = 2, .bytes_per_block = 1},
}};

uint16_t load_u16(const std::byte* source) {
  uint16_t bits = 0;
  std::memcpy(&bits, source, sizeof bits);
  return bits;
}

}  // namespace

const FormatInfo& format_info(Format format) { return kFormats.at(static_cast<size_t>(format)); }

std::optional<Format> format_from_safetensors(std::string_view dtype) {
  for (size_t i = 0; i < kFormats.size() && !dtype.empty(); ++i) {
    if (kFormats[i].safetensors_name == dtype) return static_cast<Format>(i);
  }
  return std::nullopt;
}

std::optional<Format> find_format(std::string_view name) {
  for (size_t i = 0; i < kFormats.size(); ++i) {
    if (kFormats[i].name == name) return static_cast<Format>(i);
  }
  return std::nullopt;
}

int64_t format_bytes(Format format, int64_t n) {
  const FormatInfo& info = format_info(format);
  CHECK_EQ(n % info.values_per_block, 0);
  return n / info.values_per_block * info.bytes_per_block;
}

int64_t row_bytes(Format format, int64_t n) {
  CHECK(format != Format::int4);
  const int64_t scale_bytes = format == Format::int8 ? int64_t{sizeof(float)} : 0;
  return scale_bytes + format_bytes(format, n);
}

void decode_row(Format format, const std::byte* source, int64_t n, float* out) {
  switch (format) {
    case Format::f32:
      std::memcpy(out, source, static_cast<size_t>(n) * sizeof(float));
      return;
    case Format::bf16:
      for (int64_t i = 0; i < n; ++i) out[i] = bf16_to_float(load_u16(source + 2 * i));
      return;
    case Format::f16:
      for (int64_t i = 0; i < n; ++i) out[i] = f16_to_float(load_u16(source + 2 * i));
      return;
    case Format::int8: {
      float scale = 0;
      std::memcpy(&scale, source, sizeof scale);
      for (int64_t i = 0; i < n; ++i) {
        out[i] = scale * static_cast<float>(static_cast<int8_t>(source[sizeof scale + i]));
      }
      return;
    }
    case Format::int4:
      CHECK(!"a format whose rows stand by themselves");
  }
}

float f16_to_float(uint16_t bits) {
  const uint32_t sign = uint32_t{bits} >> 15 << 31;
  const int exponent = bits >> 10 & 0x1f;
  const uint32_t mantissa = bits & 0x3ffU;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24, exact in float
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | static_cast<uint32_t>(exponent + 112) << 23 | mantissa << 13);
}

}  // namespace dbrx
