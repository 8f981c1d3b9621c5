// A model: weights and one forward pass. Each family is one file of straight-line code.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/context.h"
#include "kernels/matmul/matmul.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "tensor/format.h"

namespace dbrx {

// How a step ended. Anything but ok ends the requests of the batch with an error; the process lives
// on.
enum class StepResult { ok, io_error, device_error, peer_lost, out_of_memory };

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;

  // Of the experts, which are most of the weights: f32, bf16, int8 or int4.
  virtual Format weight_format() const = 0;

  // Computes batch.tokens, writes their keys and values to the cache and the logits of
  // batch.logit_rows to output. Does not allocate once it has seen its largest batch.
  virtual StepResult forward(Context& context, const Batch& batch, KvCache& cache,
                             StepOutput& output) = 0;
};

struct LoadOptions {
  Activations activations = Activations::exact;  // of integer weights

  // Called with finished and total bytes while weights are read. May be empty.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;
};

// Loads a Hugging Face checkpoint directory: config, weights (checked, packed). Throws Error.
std::unique_ptr<Model> load_model(const std::filesystem::path& model_dir,
                                  const LoadOptions& options);

}  // namespace dbrx
