// How a step's attention is cut into tasks. The cut follows the number of threads; no bit of a
// result depends on it. Only kernels/attention includes this.
#pragma once

#include <cstdint>
#include <span>

#include "base/memory.h"
#include "kernels/attention/attention.h"

namespace dbrx {

// Some rows of a span, to be attended by each key/value head; of one row perhaps only some splits.
struct AttentionPiece {
  const AttentionSpan* span = nullptr;
  int64_t row = 0;  // first row in the span
  int64_t n_rows = 0;
  int64_t first_split = 0;
  int64_t end_split = 0;
  float* partials = nullptr;  // of the row: [splits][n_heads][partial_floats]; null: not cut
};

// A row that was cut: its splits must be merged.
struct AttentionMerge {
  int64_t row = 0;  // of q and out
  int64_t n_splits = 0;
  const float* partials = nullptr;
};

struct AttentionPlan {
  std::span<AttentionPiece> pieces;
  std::span<AttentionMerge> merges;
};

// Rows of a sequence share a pass over its cache, as many as leave enough tasks for all threads. A
// row by itself whose context is more than its share of the step's work is cut by position.
AttentionPlan plan_attention(Arena& arena, const AttentionArgs& args, int n_threads);

}  // namespace dbrx
