// What one step computes, and what comes out. Filled by the engine; the model never sees a request.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "tensor/view.h"

namespace dbrx {

// The rows of one sequence: new tokens n_past .. n_past + n_rows - 1 of it.
struct BatchSpan {
  int64_t first_row = 0;
  int64_t n_rows = 0;
  int64_t n_past = 0;           // tokens already in the cache
  std::vector<int32_t> blocks;  // cache blocks of the sequence, room for all n_past + n_rows tokens
};

// Prefill chunks and decode rows of many sequences, side by side.
struct Batch {
  std::vector<int32_t> tokens;     // [rows]
  std::vector<int32_t> positions;  // [rows], for RoPE; independent of the cache slot
  std::vector<BatchSpan> spans;    // cover all rows, in order
  std::vector<int32_t>
      logit_rows;  // rows whose logits are wanted, ascending; at most kMaxLogitRows

  int64_t n_rows() const { return static_cast<int64_t>(tokens.size()); }
};

constexpr int64_t kMaxLogitRows = 256;  // bounds the memory of logits in a step

// Called with every intermediate result that has a name (goldens, pictures). layer is -1 outside
// the layers. The view is valid during the call only.
using Tap =
    std::function<void(int64_t layer, std::string_view name, MatrixView<const float> value)>;

struct StepOutput {
  std::vector<float> logits;        // [logit_rows, vocab]
  bool want_routing = false;        // in: fill expert_ids
  std::vector<int32_t> expert_ids;  // [layers, rows, k], ascending in a row
  Tap tap;                          // in: may be empty
};

}  // namespace dbrx
