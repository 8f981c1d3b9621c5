#include "kernels/attention/attention.h"

#include <array>

#include "base/error.h"
#include "kernels/attention/attention_kernels.h"

namespace dbrx {
namespace {

constexpr std::array kKernels = {
    &attention_bf16_avx512, &attention_bf16_avx2, &attention_bf16_scalar,
    &attention_f32_avx512,  &attention_f32_avx2,  &attention_f32_scalar,
};

const AttentionKernel& pick(Isa best, Format format) {
  for (const AttentionKernel* kernel : kKernels) {
    if (kernel->format == format && kernel->isa <= best) return *kernel;
  }
  CHECK(!"an attention kernel for this cache format");
  __builtin_unreachable();
}

void check(const AttentionArgs& args) {
  const KvLayer& cache = args.cache;
  CHECK_LT(0, cache.n_kv_heads);
  CHECK_LT(0, cache.head_dim);
  CHECK_EQ(cache.head_dim % 2, 0);
  CHECK_LE(cache.head_dim, kMaxHeadDim);
  CHECK_LT(0, args.n_heads);
  CHECK_EQ(args.n_heads % cache.n_kv_heads, 0);
  CHECK_EQ(args.q.cols, args.n_heads * cache.head_dim);
  CHECK_EQ(args.out.cols, args.q.cols);
  CHECK_EQ(args.out.rows, args.q.rows);
  for (const AttentionSpan& span : args.spans) {
    CHECK_LE(0, span.first_row);
    CHECK_LE(0, span.n_past);
    CHECK_LE(span.first_row + span.n_rows, args.q.rows);
    CHECK_LE(span.n_past + span.n_rows, static_cast<int64_t>(span.blocks.size()) * kKvBlockTokens);
  }
}

// Row `row` of a span and one key/value head.
void attend(const AttentionKernel& kernel, const AttentionArgs& args, const AttentionSpan& span,
            int64_t row, int64_t kv_head) {
  const KvLayer& cache = args.cache;
  const int64_t group = args.n_heads / cache.n_kv_heads;
  const int64_t column = kv_head * group * cache.head_dim;
  const int64_t offset = format_bytes(cache.format, kv_head * cache.head_dim * kKvBlockTokens);
  kernel.run({.q = args.q.row(span.first_row + row) + column,
              .n_heads = group,
              .head_dim = cache.head_dim,
              .scale = args.scale,
              .keys = cache.keys + offset,
              .values = cache.values + offset,
              .block_bytes = format_bytes(cache.format, cache.block_values()),
              .blocks = span.blocks.data(),
              .n_tokens = span.n_past + row + 1,
              .out = args.out.row(span.first_row + row) + column});
}

}  // namespace

std::span<const AttentionKernel* const> attention_kernels() { return kKernels; }

void attention(Context& context, const AttentionArgs& args) {
  check(args);
  const AttentionKernel& kernel = pick(context.isa, args.cache.format);
  const int64_t n_kv_heads = args.cache.n_kv_heads;
  int64_t n_rows = 0;
  for (const AttentionSpan& span : args.spans) n_rows += span.n_rows;
  context.pool.run(static_cast<size_t>(n_rows * n_kv_heads), [&](size_t task) {
    int64_t row = static_cast<int64_t>(task) / n_kv_heads;
    const AttentionSpan* span = args.spans.data();
    for (; row >= span->n_rows; ++span) row -= span->n_rows;
    attend(kernel, args, *span, row, static_cast<int64_t>(task) % n_kv_heads);
  });
}

}  // namespace dbrx
