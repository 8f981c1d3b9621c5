// Attention of the real model (48 query heads, 8 key/value heads of 128): decode of one row and
// prefill of a chunk, at several lengths of the cache.
#include <benchmark/benchmark.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/bench_operands.h"

namespace dbrx {
namespace {

constexpr int64_t kHeads = 48;
constexpr int64_t kKvHeads = 8;
constexpr int64_t kHeadDim = 128;

void attention_bench(benchmark::State& state) {
  const auto isa = static_cast<Isa>(state.range(0));
  const int64_t rows = state.range(1);
  const int64_t n_past = state.range(2);
  const auto format = static_cast<Format>(state.range(3));
  if (isa > detect_isa()) {
    state.SkipWithError("not on this machine");
    return;
  }
  flush_denormals();
  Context context(isa, 2);
  KvLayer cache = {.format = format, .n_kv_heads = kKvHeads, .head_dim = kHeadDim};
  const int64_t n_tokens = n_past + rows;
  const int64_t n_blocks = (n_tokens + kKvBlockTokens - 1) / kKvBlockTokens;
  const auto bytes = static_cast<size_t>(format_bytes(format, n_blocks * cache.block_values()));
  Block keys(bytes), values(bytes);
  cache.keys = keys.data();
  cache.values = values.data();
  std::vector<int64_t> slots(static_cast<size_t>(n_tokens));
  std::iota(slots.begin(), slots.end(), 0);
  const std::vector<float> kv = bench::random_floats(n_tokens * kKvHeads * kHeadDim);
  const MatrixView<const float> kv_view = {kv.data(), n_tokens, kKvHeads * kHeadDim,
                                           kKvHeads * kHeadDim};
  write_kv(context, {.k = kv_view, .v = kv_view, .slots = slots, .cache = cache});

  std::vector<int32_t> blocks(static_cast<size_t>(n_blocks));
  std::iota(blocks.begin(), blocks.end(), 0);
  const AttentionSpan span = {.n_rows = rows, .n_past = n_past, .blocks = blocks};
  constexpr int64_t kWidth = kHeads * kHeadDim;
  const std::vector<float> q = bench::random_floats(rows * kWidth);
  std::vector<float> out(q.size());
  while (state.KeepRunning()) {
    attention(context, {.q = {q.data(), rows, kWidth, kWidth},
                        .n_heads = kHeads,
                        .scale = 0.0883883476F,
                        .spans = {&span, 1},
                        .cache = cache,
                        .out = {out.data(), rows, kWidth, kWidth}});
  }
  state.SetLabel(std::string(isa_name(isa)) + " " + std::string(format_info(format).name));
  const int64_t pairs = rows * n_past + rows * (rows + 1) / 2;  // (row, visible token)
  bench::report(state, static_cast<int64_t>(2 * bytes), 4 * pairs * kWidth);
}

BENCHMARK(attention_bench)
    ->ArgNames({"isa", "rows", "past", "format"})
    ->ArgsProduct({{1, 2},
                   {1, 128},
                   {512, 4096},
                   {static_cast<int>(Format::bf16), static_cast<int>(Format::f32)}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dbrx
