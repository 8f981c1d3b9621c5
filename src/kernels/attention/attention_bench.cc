// Attention of the real model (48 query heads, 8 key/value heads of 128): decode of single rows and
// prefill of a chunk, at several lengths of the cache. GB/s are of keys and values, each read once.
#include <benchmark/benchmark.h>

#include <numeric>
#include <string>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/bench_operands.h"

namespace dbrx {
namespace {

constexpr int64_t kHeads = 48;
constexpr int64_t kKvHeads = 8;
constexpr int64_t kHeadDim = 128;
constexpr int64_t kWidth = kHeads * kHeadDim;
constexpr int64_t kKvWidth = kKvHeads * kHeadDim;

// Some sequences of the same length, with their keys and values.
struct Sequences {
  Sequences(Context& context, Format format, int64_t n, int64_t rows, int64_t past)
      : cache{.format = format, .n_kv_heads = kKvHeads, .head_dim = kHeadDim},
        blocks_each((past + rows + kKvBlockTokens - 1) / kKvBlockTokens),
        keys(static_cast<size_t>(n * blocks_each * cache.block_bytes())),
        values(keys.size()),
        blocks(static_cast<size_t>(n * blocks_each)) {
    cache.keys = keys.data();
    cache.values = values.data();
    std::iota(blocks.begin(), blocks.end(), 0);
    for (int64_t i = 0; i < n; ++i) {
      spans.push_back(
          {.first_row = i * rows,
           .n_rows = rows,
           .n_past = past,
           .blocks = {blocks.data() + i * blocks_each, static_cast<size_t>(blocks_each)}});
      write(context, i, past + rows);
    }
  }

  void write(Context& context, int64_t sequence, int64_t n_tokens) {
    std::vector<int64_t> slots(static_cast<size_t>(n_tokens));
    std::iota(slots.begin(), slots.end(), sequence * blocks_each * kKvBlockTokens);
    const std::vector<float> kv = bench::random_floats(n_tokens * kKvWidth);
    const MatrixView<const float> view = {kv.data(), n_tokens, kKvWidth, kKvWidth};
    write_kv(context, {.k = view, .v = view, .slots = slots, .cache = cache});
  }

  KvLayer cache;
  int64_t blocks_each;
  Block keys, values;
  std::vector<int32_t> blocks;
  std::vector<AttentionSpan> spans;
};

// Ranges: isa, threads, format, sequences, rows of each, tokens before them.
void attention_bench(benchmark::State& state) {
  const auto isa = static_cast<Isa>(state.range(0));
  const auto format = static_cast<Format>(state.range(2));
  const int64_t n = state.range(3);
  const int64_t rows = state.range(4);
  const int64_t past = state.range(5);
  if (isa > detect_isa()) {
    state.SkipWithError("not on this machine");
    return;
  }
  flush_denormals();
  Context context(isa, static_cast<int>(state.range(1)));
  const Sequences s(context, format, n, rows, past);
  const std::vector<float> q = bench::random_floats(n * rows * kWidth);
  std::vector<float> out(q.size());
  while (state.KeepRunning()) {
    attention(context, {.q = {q.data(), n * rows, kWidth, kWidth},
                        .n_heads = kHeads,
                        .scale = 0.0883883476F,
                        .spans = s.spans,
                        .cache = s.cache,
                        .out = {out.data(), n * rows, kWidth, kWidth}});
  }
  state.SetLabel(std::string(isa_name(isa)) + " " + std::string(format_info(format).name));
  const int64_t pairs = n * (rows * past + rows * (rows + 1) / 2);  // (row, visible token)
  const int64_t bytes = n * (past + rows) * s.cache.block_bytes() * 2 / kKvBlockTokens;
  bench::report(state, bytes, 4 * pairs * kWidth);
}

void arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"isa", "threads", "format", "seqs", "rows", "past"});
  for (int64_t isa = 1; isa <= static_cast<int64_t>(detect_isa()); ++isa) {
    for (const int64_t threads : {1, 2}) {
      for (const Format format : {Format::bf16, Format::int8, Format::f32}) {
        const auto f = static_cast<int64_t>(format);
        for (const int64_t past : {512, 4096, 16384}) b->Args({isa, threads, f, 1, 1, past});
        b->Args({isa, threads, f, 16, 1, 4096});
        for (const int64_t past : {0, 4096}) b->Args({isa, threads, f, 1, 512, past});
      }
    }
  }
}

BENCHMARK(attention_bench)
    ->Apply(arguments)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dbrx
