// One layer of experts at the real model's width: 16 experts of 6144 x 10752, 4 for each token,
// random and different for each row. bf16, 6.3 GB: on a smaller machine set DBRX_BENCH_EXPERTS to a
// lower count.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/bench_operands.h"
#include "kernels/moe/experts.h"

namespace dbrx {
namespace {

constexpr int64_t kD = 6144;
constexpr int64_t kFfn = 10752;
constexpr int64_t kTopK = 4;

int64_t n_experts() {
  const char* count = std::getenv("DBRX_BENCH_EXPERTS");
  return count == nullptr ? 16 : std::max<int64_t>(kTopK, std::atoi(count));
}

// Ascending random choices of each row.
std::vector<int32_t> random_ids(int64_t rows, std::mt19937& random) {
  std::vector<int32_t> order(static_cast<size_t>(n_experts()));
  std::iota(order.begin(), order.end(), 0);
  std::vector<int32_t> ids;
  for (int64_t r = 0; r < rows; ++r) {
    std::shuffle(order.begin(), order.end(), random);
    std::sort(order.begin(), order.begin() + kTopK);
    ids.insert(ids.end(), order.begin(), order.begin() + kTopK);
  }
  return ids;
}

void experts_bench(benchmark::State& state) {
  const auto isa = static_cast<Isa>(state.range(0));
  const int64_t rows = state.range(1);
  if (isa > detect_isa()) {
    state.SkipWithError("not on this machine");
    return;
  }
  flush_denormals();
  static std::vector<Expert> layer;
  while (static_cast<int64_t>(layer.size()) < n_experts()) {
    layer.push_back({bench::bench_linear(Format::bf16, kFfn, kD),
                     bench::bench_linear(Format::bf16, kFfn, kD),
                     bench::bench_linear(Format::bf16, kD, kFfn)});
  }
  const std::vector<float> x = bench::random_floats(rows * kD);
  const std::vector<float> weights(static_cast<size_t>(rows * kTopK), 0.25F);
  std::vector<float> y(static_cast<size_t>(rows * kD)),
      expert_out(static_cast<size_t>(rows * kTopK * kD));
  std::mt19937 random(1);
  Context context(isa, static_cast<int>(state.range(2)));
  int64_t bytes = 0;
  while (state.KeepRunning()) {
    std::vector<int32_t> ids = random_ids(rows, random);
    experts(context, {.x = {x.data(), rows, kD, kD},
                      .ids = {ids.data(), rows, kTopK, kTopK},
                      .weights = {weights.data(), rows, kTopK, kTopK},
                      .experts = layer,
                      .expert_out = {expert_out.data(), rows * kTopK, kD, kD},
                      .y = {y.data(), rows, kD, kD}});
    std::sort(ids.begin(), ids.end());
    const auto n_active = std::unique(ids.begin(), ids.end()) - ids.begin();
    bytes += n_active * 3 * kD * kFfn * 2;
  }
  state.SetLabel(std::string(isa_name(isa)));
  bench::report(state, bytes / std::max<int64_t>(1, state.iterations()),
                2 * rows * kTopK * 3 * kD * kFfn);
}

BENCHMARK(experts_bench)
    ->ArgNames({"isa", "rows", "threads"})
    ->ArgsProduct({{1, 2, 3}, {1, 8, 64}, {2}})
    ->Args({3, 512, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dbrx
