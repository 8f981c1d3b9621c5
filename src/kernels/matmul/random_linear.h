// Weights of the right shape and size without a checkpoint: for benchmarks.
#pragma once

#include <cstdint>

#include "kernels/matmul/linear.h"

namespace dbrx {

// Random bits in place of weights (AMX and memory may be faster on zeros), scaled so that a product
// with an input of size 1 has about size 1. bf16, int8 or int4.
Linear random_linear(Format format, int64_t out_features, int64_t in_features, uint64_t seed);

}  // namespace dbrx
