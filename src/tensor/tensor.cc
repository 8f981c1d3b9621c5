#include "tensor/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace dbrx {
namespace {

// Whether any of n 16-bit values has all bits of `exponent` set. Written without an early exit so
// that the compiler makes vector code of it: it reads whole checkpoints.
bool any_special_u16(const std::byte* data, int64_t n, uint16_t exponent) {
  unsigned found = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, data + 2 * i, sizeof bits);
    found |= static_cast<unsigned>((bits & exponent) == exponent);
  }
  return found != 0;
}

bool any_special_f32(const std::byte* data, int64_t n) {
  unsigned found = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, data + 4 * i, sizeof bits);
    found |= static_cast<unsigned>((bits & 0x7f800000) == 0x7f800000);
  }
  return found != 0;
}

bool any_special(Format format, const std::byte* data, int64_t n) {
  switch (format) {
    case Format::f32:
      return any_special_f32(data, n);
    case Format::bf16:
      return any_special_u16(data, n, 0x7f80);
    case Format::f16:
      return any_special_u16(data, n, 0x7c00);
    case Format::int8:
    case Format::int4:
      return false;  // every integer is finite
  }
  return false;
}

}  // namespace

int64_t Tensor::n_values() const {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

std::optional<int64_t> find_non_finite(const Tensor& tensor) {
  CHECK(tensor.format.has_value());
  const Format format = *tensor.format;
  constexpr int64_t kChunk = 4096;
  const int64_t n = tensor.n_values();
  for (int64_t first = 0; first < n; first += kChunk) {
    const int64_t count = std::min(kChunk, n - first);
    const std::byte* data = tensor.bytes.data() + format_bytes(format, first);
    if (!any_special(format, data, count)) continue;
    for (int64_t i = 0; i < count; ++i) {
      float value = 0;
      decode_row(format, data + format_bytes(format, i), 1, &value);
      if (!std::isfinite(value)) return first + i;
    }
  }
  return std::nullopt;
}

}  // namespace dbrx
