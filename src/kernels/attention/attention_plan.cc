#include "kernels/attention/attention_plan.h"

#include <algorithm>

#include "kernels/attention/attention_kernels.h"

namespace dbrx {
namespace {

constexpr int64_t kTasksPerThread = 4;  // so that no thread waits long for the last one

struct Cut {
  int64_t tile_rows = 0;   // most rows of a piece
  int64_t max_splits = 0;  // of a piece of one row
};

int64_t n_tasks(int n_threads) { return n_threads == 1 ? 1 : kTasksPerThread * n_threads; }

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Splits that the row sees.
int64_t splits_of(const AttentionSpan& span, int64_t row) {
  return ceil_div(span.n_past + row + 1, kAttentionSplit);
}

Cut choose_cut(const AttentionArgs& args, int n_threads) {
  int64_t rows = 0;
  int64_t splits = 0;
  for (const AttentionSpan& span : args.spans) {
    rows += span.n_rows;
    for (int64_t row = 0; row < span.n_rows; ++row) splits += splits_of(span, row);
  }
  const int64_t kv_heads = args.cache.n_kv_heads;
  const int64_t tasks = n_tasks(n_threads);
  const int64_t most_rows = std::max<int64_t>(1, kTileQueries * kv_heads / args.n_heads);
  return {.tile_rows = std::clamp<int64_t>(rows * kv_heads / tasks, 1, most_rows),
          .max_splits = std::max<int64_t>(1, splits * kv_heads / tasks)};
}

// Calls visit(span, first row, rows, pieces) for each tile of rows.
template <typename Visit>
void for_each_tile(const AttentionArgs& args, const Cut& cut, const Visit& visit) {
  for (const AttentionSpan& span : args.spans) {
    for (int64_t row = 0; row < span.n_rows; row += cut.tile_rows) {
      const int64_t n_rows = std::min(cut.tile_rows, span.n_rows - row);
      const int64_t n_pieces = n_rows > 1 ? 1 : ceil_div(splits_of(span, row), cut.max_splits);
      visit(span, row, n_rows, n_pieces);
    }
  }
}

}  // namespace

AttentionPlan plan_attention(Arena& arena, const AttentionArgs& args, int n_threads) {
  const Cut cut = choose_cut(args, n_threads);
  size_t n_pieces = 0;
  size_t n_merges = 0;
  for_each_tile(args, cut, [&](const AttentionSpan&, int64_t, int64_t, int64_t pieces) {
    n_pieces += static_cast<size_t>(pieces);
    n_merges += pieces > 1 ? 1 : 0;
  });
  const AttentionPlan plan = {.pieces = arena.take<AttentionPiece>(n_pieces),
                              .merges = arena.take<AttentionMerge>(n_merges)};
  const int64_t split_floats = args.n_heads * partial_floats(args.cache.head_dim);
  AttentionPiece* piece = plan.pieces.data();
  AttentionMerge* merge = plan.merges.data();
  for_each_tile(
      args, cut, [&](const AttentionSpan& span, int64_t row, int64_t n_rows, int64_t pieces) {
        const int64_t splits = splits_of(span, row + n_rows - 1);
        float* partials = nullptr;
        if (pieces > 1) {
          partials = arena.take<float>(static_cast<size_t>(splits * split_floats)).data();
          *merge++ = {.row = span.first_row + row, .n_splits = splits, .partials = partials};
        }
        for (int64_t i = 0; i < pieces; ++i) {
          *piece++ = {.span = &span,
                      .row = row,
                      .n_rows = n_rows,
                      .first_split = splits * i / pieces,
                      .end_split = splits * (i + 1) / pieces,
                      .partials = partials};
        }
      });
  return plan;
}

// Only tiles of one row are cut. Where all tiles are that small there are few rows; else a sequence
// has one at most, its last. Together the pieces of cut rows are no more than the tasks, and one a
// row.
int64_t attention_scratch_bytes(const AttentionLimits& limits, int n_threads) {
  const int64_t few = ceil_div(2 * n_tasks(n_threads), limits.n_kv_heads);
  const int64_t n_cut = std::min(limits.rows, std::max(limits.sequences, few));
  const int64_t splits = ceil_div(limits.context, kAttentionSplit);
  const int64_t partials = splits * limits.n_heads * partial_floats(limits.head_dim);
  const int64_t n_pieces = limits.rows + ceil_div(n_tasks(n_threads), limits.n_kv_heads);
  return n_cut * partials * static_cast<int64_t>(sizeof(float)) +
         n_pieces * static_cast<int64_t>(sizeof(AttentionPiece) + sizeof(AttentionMerge));
}

}  // namespace dbrx
