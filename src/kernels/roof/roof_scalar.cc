#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/roof/roof_kernels.h"

namespace dbrx {
namespace {

uint64_t read(const std::byte* data, int64_t n) noexcept {
  const int64_t stream = n / kRoofStreams;
  uint64_t sum = 0;
  for (int64_t at = 0; at < stream; at += static_cast<int64_t>(sizeof(uint64_t))) {
    for (int64_t s = 0; s < kRoofStreams; ++s) {
      uint64_t word = 0;
      std::memcpy(&word, data + s * stream + at, sizeof word);
      sum += word;
    }
  }
  return sum;
}

// One product after the other, as the scalar kernels multiply.
int64_t int8(int64_t n, uint32_t* sink) noexcept {
  auto sum = static_cast<int32_t>(*sink);
  int32_t a = 77;
  int32_t b = -35;
  for (int64_t i = 0; i < n; ++i) {
    asm volatile("" : "+r"(a), "+r"(b));  // unknown to the compiler
    sum += static_cast<int8_t>(a) * static_cast<int8_t>(b);
  }
  *sink = static_cast<uint32_t>(sum);
  return 2 * n;
}

int64_t f32(int64_t n, uint32_t* sink) noexcept {
  float sum = 1;
  float a = 0.77F;
  float b = -0.35F;
  for (int64_t i = 0; i < n; ++i) {
    asm volatile("" : "+x"(a), "+x"(b));
    sum = std::fma(a, b, sum);
  }
  *sink ^= std::bit_cast<uint32_t>(sum);
  return 2 * n;
}

}  // namespace

const RoofKernel roof_scalar = {
    .name = "scalar", .isa = Isa::scalar, .read = read, .int8 = int8, .bf16 = f32, .f32 = f32};

}  // namespace dbrx
