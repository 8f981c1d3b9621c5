// The steps that `dbrx bench` times, with the bytes and operations that each must move and do.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "base/context.h"
#include "kernels/roof/roof.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace dbrx {

// The rows of a step and where they lie: `sequences` of `tokens` new tokens each, behind `context`
// tokens in the cache.
struct StepShape {
  int64_t sequences = 1;
  int64_t tokens = 1;
  int64_t context = 0;
};

struct StepTime {
  double seconds = 0;        // the whole step
  double layer_seconds = 0;  // one layer on average, embedding and head left out
  Work work;                 // of the whole step
  Work layer_work;           // of one layer on average
};

// Bytes of every weight of a model, embedding included. dense: the format of attention and head.
int64_t weight_bytes(const ModelConfig& config, Format experts, Format dense, Format embedding);

class BenchSteps {
 public:
  // The cache holds what the largest shape needs, full of random keys and values. Throws
  // Error(resource_exhausted).
  BenchSteps(Context& context, Model& model, Format dense, Activations activations,
             Format kv_format, const std::vector<StepShape>& shapes);

  // One step with new random tokens.
  StepTime run(const StepShape& shape);

  int64_t cache_bytes() const;

  // What a cache for these shapes takes.
  static int64_t cache_bytes(const ModelConfig& config, Format kv_format,
                             const std::vector<StepShape>& shapes);

 private:
  Batch make_batch(const StepShape& shape);
  void count(const StepShape& shape, StepTime& time) const;

  Context& context_;
  Model& model_;
  Format dense_;
  Activations activations_;
  KvCache cache_;
  StepOutput output_;
  std::mt19937 random_{1};
};

// Adds a product with this many multiplications and additions for one digit of the input.
void add_product(Format format, Activations activations, double ops, Work& work);

}  // namespace dbrx
