// A model: weights and one forward pass. Each family is one file of straight-line code.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/context.h"
#include "kernels/matmul/matmul.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "tensor/checkpoint.h"
#include "tensor/checkpoint_load.h"
#include "tensor/format.h"

namespace dbrx {

// How a step ended. Anything but ok ends the requests of the batch with an error; the process lives
// on.
enum class StepResult { ok, io_error, out_of_memory };

// Bytes of weights as they lie in memory, read by a step. The few rows of the embedding and the
// norms are left out.
struct WeightBytes {
  int64_t dense = 0;   // attention and routers of all layers: by every step
  int64_t head = 0;    // by a step with logits
  int64_t expert = 0;  // one expert of one layer: by a step that sends it a row
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;

  // Of the experts, which are most of the weights: f32, bf16, int8 or int4.
  virtual Format weight_format() const = 0;
  virtual WeightBytes weight_bytes() const = 0;

  // Computes batch.tokens, writes their keys and values to the cache and the logits of
  // batch.logit_rows to output. Does not allocate once it has seen its largest batch.
  virtual StepResult forward(Context& context, const Batch& batch, KvCache& cache,
                             StepOutput& output) = 0;
};

struct LoadOptions {
  Activations activations = Activations::exact;  // of integer weights

  // Called with finished and total bytes while weights are read. May be empty.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;

  // How the files of a packed checkpoint come into memory, and who will read them. Others are
  // packed while they are read: `load` must be "auto".
  std::string load = "auto";  // see choose_load_mode
  ThreadPlan threads = ThreadPlan::unbound(1);
};

struct OpenedModel {
  std::unique_ptr<Model> model;
  Checkpoint checkpoint;             // of a packed one: the bytes that the model computes with
  std::optional<LoadReport> report;  // of a packed one
};

// Loads a Hugging Face checkpoint directory: config, weights (checked, packed). Throws Error.
OpenedModel open_model(const std::filesystem::path& model_dir, const LoadOptions& options);

// The same without the rest.
std::unique_ptr<Model> load_model(const std::filesystem::path& model_dir,
                                  const LoadOptions& options);

}  // namespace dbrx
