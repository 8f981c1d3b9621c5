// What the steps had to do, counted since the start: where the router sent the tokens, and which
// weights that made them read.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "model/model.h"

namespace dbrx {

class StepCounters {
 public:
  explicit StepCounters(const Model& model);

  // Counts a step of n_rows rows, with their routing in `output` where the model has experts.
  // Returns the bytes of weights that it read: each expert that any row went to, and what every
  // step reads. One thread; does not allocate.
  int64_t add(const StepOutput& output, int64_t n_rows, bool with_logits);

  // [layers, n_experts] tokens that each expert computed. Any thread.
  std::vector<int64_t> expert_tokens() const;

 private:
  int64_t n_layers_;
  int64_t n_experts_;
  int64_t top_k_;
  WeightBytes bytes_;
  std::vector<int64_t> of_layer_;                    // [n_experts], of the step
  std::vector<std::atomic<int64_t>> expert_tokens_;  // [layers * n_experts]; one thread writes
};

}  // namespace dbrx
