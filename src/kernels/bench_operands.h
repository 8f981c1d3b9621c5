// What the benchmarks of the kernels share: cheap random operands and the two rates that we report.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/matmul/linear.h"
#include "kernels/matmul/random_linear.h"

namespace dbrx::bench {

// Values in [-1, 1) with random bits: AMX runs faster on zeros.
inline std::vector<float> random_floats(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31F;
  }
  return values;
}

// Packed weights of any format; f32 is packed from random floats.
inline Linear bench_linear(Format format, int64_t out_features, int64_t in_features) {
  if (format != Format::f32) return random_linear(format, out_features, in_features, 1);
  const std::vector<float> values = random_floats(out_features * in_features);
  return pack_linear({.data = reinterpret_cast<const std::byte*>(values.data()),
                      .format = Format::f32,
                      .out_features = out_features,
                      .in_features = in_features,
                      .out_stride = in_features});
}

// Weights or cache read once per iteration, and arithmetic done.
inline void report(benchmark::State& state, int64_t bytes, int64_t flops) {
  using benchmark::Counter;
  const auto n = static_cast<double>(state.iterations());
  state.counters["GB/s"] = Counter(static_cast<double>(bytes) * n * 1e-9, Counter::kIsRate);
  state.counters["GFLOP/s"] = Counter(static_cast<double>(flops) * n * 1e-9, Counter::kIsRate);
}

}  // namespace dbrx::bench
