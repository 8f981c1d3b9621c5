// The products of a model one by one: y = x W^T for each of its matrices and several numbers of
// rows, weights read from memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/bench_rows.h"
#include "base/context.h"
#include "kernels/matmul/linear.h"
#include "kernels/matmul/matmul.h"
#include "model/config.h"

namespace dbrx {

struct KernelShape {
  std::string name;  // qkv, o, gate (up is the same), down or head
  int64_t out_features = 0;
  int64_t in_features = 0;
};

std::vector<KernelShape> kernel_shapes(const ModelConfig& config);

// Random matrices of one shape, together at least kKernelBytes, so that a matrix is out of every
// cache when its turn comes again.
class BenchKernel {
 public:
  BenchKernel(Context& context, KernelShape shape, Format format, Activations activations);

  // The milliseconds of one product with this many rows.
  Sample run(int64_t rows, const Roof& roof);

 private:
  Context& context_;
  KernelShape shape_;
  Activations activations_;
  std::vector<Linear> weights_;
  size_t next_ = 0;
};

constexpr int64_t kKernelBytes = int64_t{1} << 30;

}  // namespace dbrx
