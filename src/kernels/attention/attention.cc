#include "kernels/attention/attention.h"

#include <array>

#include "base/error.h"
#include "kernels/attention/attention_kernels.h"
#include "kernels/attention/attention_plan.h"

namespace dbrx {
namespace {

constexpr std::array kKernels = {
    &attention_bf16_amx,    &attention_bf16_avx512, &attention_bf16_avx2,   &attention_bf16_scalar,
    &attention_int8_avx512, &attention_int8_avx2,   &attention_int8_scalar, &attention_f32_avx512,
    &attention_f32_avx2,    &attention_f32_scalar,
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

// A piece of the plan and one key/value head.
void attend(const AttentionKernel& kernel, const AttentionArgs& args, const AttentionPiece& piece,
            int64_t kv_head) {
  const KvLayer& cache = args.cache;
  const int64_t group = args.n_heads / cache.n_kv_heads;
  const int64_t column = kv_head * group * cache.head_dim;
  const int64_t offset = kv_head * cache.head_bytes();
  const int64_t row = piece.span->first_row + piece.row;
  AttentionTask task = {.q = args.q.row(row) + column,
                        .q_stride = args.q.stride,
                        .n_rows = piece.n_rows,
                        .n_heads = group,
                        .head_dim = cache.head_dim,
                        .scale = args.scale,
                        .keys = cache.keys + offset,
                        .values = cache.values + offset,
                        .block_bytes = cache.block_bytes(),
                        .blocks = piece.span->blocks.data(),
                        .n_past = piece.span->n_past + piece.row,
                        .first_split = piece.first_split,
                        .end_split = piece.end_split,
                        .out = args.out.row(row) + column,
                        .out_stride = args.out.stride};
  if (piece.partials != nullptr) {
    const int64_t record = partial_floats(cache.head_dim);
    task.partial_stride = args.n_heads * record;
    task.partials =
        piece.partials + piece.first_split * task.partial_stride + kv_head * group * record;
  }
  kernel.run(task);
}

// One query head of a row that was cut.
void merge(const AttentionKernel& kernel, const AttentionArgs& args, const AttentionMerge& row,
           int64_t head) {
  const int64_t record = partial_floats(args.cache.head_dim);
  kernel.merge({.partials = row.partials + head * record,
                .partial_stride = args.n_heads * record,
                .n_splits = row.n_splits,
                .head_dim = args.cache.head_dim,
                .out = args.out.row(row.row) + head * args.cache.head_dim});
}

}  // namespace

void attention(Context& context, const AttentionArgs& args) {
  check(args);
  const AttentionKernel& kernel = pick(context.isa, args.cache.format);
  const Arena::Mark mark(context.arena);
  const AttentionPlan plan = plan_attention(context.arena, args, context.pool.n_threads());
  // Head by head: pieces of one head share its keys and values.
  const size_t n_pieces = plan.pieces.size();
  const auto n_kv_heads = static_cast<size_t>(args.cache.n_kv_heads);
  context.pool.run(n_pieces * n_kv_heads, [&](size_t task) {
    attend(kernel, args, plan.pieces[task % n_pieces], static_cast<int64_t>(task / n_pieces));
  });
  if (plan.merges.empty()) return;
  const auto n_heads = static_cast<size_t>(args.n_heads);
  context.pool.run(plan.merges.size() * n_heads, [&](size_t task) {
    merge(kernel, args, plan.merges[task / n_heads], static_cast<int64_t>(task % n_heads));
  });
}

}  // namespace dbrx
