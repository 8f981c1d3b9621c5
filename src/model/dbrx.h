// DBRX: LayerNorm without bias, one fused and clipped query-key-value projection, rotary positions,
// grouped-query attention, and a dropless mixture of experts in every layer.
#pragma once

#include <memory>
#include <vector>

#include "kernels/matmul/linear.h"
#include "kernels/moe/experts.h"
#include "kernels/rope/rope.h"
#include "model/config.h"
#include "model/config_reader.h"
#include "model/model.h"
#include "model/quantize.h"
#include "model/tensor_spec.h"
#include "tensor/checkpoint.h"
#include "tensor/tensor.h"

namespace dbrx {

struct DbrxLayer {
  std::vector<float> norm_1;    // [d]
  Linear wqkv;                  // [d + 2 * kv_dim, d]: rows of Q, then K, then V
  Linear out_proj;              // [d, d]
  std::vector<float> norm_2;    // [d]
  Linear router;                // [n_experts, d], always f32
  std::vector<Expert> experts;  // [n_experts]
};

struct DbrxWeights {
  Tensor wte;       // [vocab, d], used where it lies in the mapped file
  Block wte_owned;  // or here: synthetic weights have no file
  std::vector<DbrxLayer> layers;
  std::vector<float> norm_f;  // [d]
  Linear lm_head;             // [vocab, d]
};

std::vector<PackedPart> dbrx_packed_parts(const ModelConfig& config, const Checkpoint& checkpoint,
                                          const QuantizeOptions& options);
ModelConfig parse_dbrx_config(const ConfigReader& reader);
std::vector<TensorSpec> dbrx_tensors(const ModelConfig& config);
DbrxWeights load_dbrx_weights(const ModelConfig& config, const Checkpoint& checkpoint,
                              const LoadOptions& options);
std::unique_ptr<Model> make_dbrx(const ModelConfig& config, DbrxWeights weights,
                                 Activations activations);
std::unique_ptr<Model> load_dbrx(const ModelConfig& config, const Checkpoint& checkpoint,
                                 const LoadOptions& options);

}  // namespace dbrx
