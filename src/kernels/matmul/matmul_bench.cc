// One projection of the real model, at decode and prefill sizes, on every instruction set. Several
// copies of the weights are cycled through, so that decode reads from memory, not from cache.
#include <benchmark/benchmark.h>

#include <map>
#include <vector>

#include "kernels/bench_operands.h"
#include "kernels/matmul/matmul.h"

namespace dbrx {
namespace {

constexpr int64_t kD = 6144;
constexpr int64_t kOut = 8192;
constexpr int64_t kCopies = 6;  // 600 MB in bf16: more than a last-level cache

void matmul_bench(benchmark::State& state) {
  const auto isa = static_cast<Isa>(state.range(0));
  const int64_t rows = state.range(1);
  const auto n_threads = static_cast<int>(state.range(2));
  const auto format = static_cast<Format>(state.range(3));
  const auto activations = static_cast<Activations>(state.range(4));
  if (isa > detect_isa()) {
    state.SkipWithError("not on this machine");
    return;
  }
  flush_denormals();
  static std::map<Format, std::vector<Linear>> weights;
  std::vector<Linear>& copies = weights[format];
  while (copies.size() < kCopies) copies.push_back(bench::bench_linear(format, kOut, kD));
  const std::vector<float> x = bench::random_floats(rows * kD);
  std::vector<float> y(static_cast<size_t>(rows * kOut));
  Context context(isa, n_threads);
  size_t copy = 0;
  while (state.KeepRunning()) {
    matmul(context, {.x = {x.data(), rows, kD, kD},
                     .weight = &copies[copy++ % copies.size()],
                     .activations = activations,
                     .y = {y.data(), rows, kOut, kOut}});
  }
  state.SetLabel(std::string(isa_name(isa)) + " " + std::string(format_info(format).name) +
                 (activations == Activations::fast ? " fast" : ""));
  bench::report(state, static_cast<int64_t>(copies[0].bytes.size()), 2 * rows * kOut * kD);
}

BENCHMARK(matmul_bench)
    ->ArgNames({"isa", "rows", "threads", "format", "fast"})
    ->ArgsProduct({{1, 2, 3}, {1, 4, 16, 128, 512}, {1, 2}, {static_cast<int>(Format::bf16)}, {0}})
    ->ArgsProduct({{1, 2}, {1, 128}, {2}, {static_cast<int>(Format::f32)}, {0}})
    ->ArgsProduct({{1},
                   {1, 2, 4, 16, 128},
                   {1, 2},
                   {static_cast<int>(Format::int8), static_cast<int>(Format::int4)},
                   {0, 1}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dbrx
