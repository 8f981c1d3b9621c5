// The steps that `dbrx bench` times, with the bytes and operations that each must move and do.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "base/context.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace dbrx {

// What is to be measured: rows of a step and where they lie.
struct BenchCase {
  bool prefill = false;
  int64_t sequences = 1;  // of decode: one row each
  int64_t tokens = 1;     // of prefill: rows of one sequence
  int64_t context = 0;    // tokens in the cache before
};

struct StepTime {
  double seconds = 0;
  int64_t weight_bytes = 0;  // of what the step touched: dense matrices once, each expert hit once
  int64_t kv_bytes = 0;      // keys and values read
  int64_t products =
      0;  // multiply and add counted as two, of the matrices with weights; digits counted
};

class BenchSteps {
 public:
  // dense: the format of attention and head. The cache holds what the largest case needs.
  BenchSteps(Context& context, Model& model, Format dense, Activations activations,
             const std::vector<BenchCase>& cases);

  // One step of the case with new random tokens.
  StepTime run(const BenchCase& bench_case);

 private:
  Batch make_batch(const BenchCase& bench_case);
  void count(const BenchCase& bench_case, StepTime& time) const;

  Context& context_;
  Model& model_;
  Format dense_;
  Activations activations_;
  KvCache cache_;
  StepOutput output_;
  std::mt19937 random_{1};
};

}  // namespace dbrx
