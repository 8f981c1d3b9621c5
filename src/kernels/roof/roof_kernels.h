// The loops behind measure_roof(). Only kernels/roof includes this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/isa.h"

namespace dbrx {

constexpr int64_t kRoofStreams = 8;
constexpr int64_t kRoofLine = 64;  // bytes

// Runs its inner loop n times and returns the operations done, multiply and add counted as two.
// Leaves in `sink` something that depends on all of them.
using PeakLoop = int64_t (*)(int64_t n, uint32_t* sink) noexcept;

struct RoofKernel {
  const char* name;
  Isa isa;
  // Reads the n bytes as kRoofStreams streams; n is a multiple of their number times 64. The result
  // only keeps the reads alive.
  uint64_t (*read)(const std::byte* data, int64_t n) noexcept;
  PeakLoop int8;
  PeakLoop bf16;
  PeakLoop f32;
};

extern const RoofKernel roof_scalar;
extern const RoofKernel roof_avx2;
extern const RoofKernel roof_avx512;
extern const RoofKernel roof_amx;

// Every kernel, best first.
std::span<const RoofKernel* const> roof_kernels();

}  // namespace dbrx
