// The kernels behind layer_norm(): one row each. Only kernels/norm includes this.
#pragma once

#include <cstdint>
#include <span>

#include "base/isa.h"

namespace dbrx {

struct NormRow {
  const float* x = nullptr;       // [d]
  const float* weight = nullptr;  // [d]
  int64_t d = 0;
  float eps = 0;
  float* y = nullptr;  // [d]; may be x
};

struct NormKernel {
  const char* name;
  Isa isa;
  void (*run)(const NormRow&) noexcept;
};

extern const NormKernel norm_scalar;
extern const NormKernel norm_avx2;
extern const NormKernel norm_avx512;

// Every kernel, best first.
std::span<const NormKernel* const> norm_kernels();

}  // namespace dbrx
