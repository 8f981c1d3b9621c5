// From the tensors of a checkpoint to the weights that the forward pass multiplies with.
#include <string>
#include <utility>

#include "base/error.h"
#include "model/dbrx.h"
#include "model/dbrx_source.h"

namespace dbrx {
namespace {

class Loader {
 public:
  Loader(const ModelConfig& config, const Checkpoint& checkpoint, const LoadOptions& options)
      : config_(config), checkpoint_(checkpoint), source_(config, checkpoint, options) {}

  DbrxWeights load() {
    DbrxWeights weights;
    weights.wte = source_.embedding("transformer.wte.weight");
    for (int64_t i = 0; i < config_.n_layers; ++i) weights.layers.push_back(layer(i));
    weights.norm_f = source_.vector("transformer.norm_f.weight");
    weights.lm_head = linear("lm_head.weight", config_.vocab_size, config_.d_model);
    source_.refuse_unread();
    return weights;
  }

 private:
  Linear linear(const std::string& name, int64_t out, int64_t in) {
    if (source_.is_packed(name)) return source_.packed(name, out, in);
    return pack_linear(source_.matrix(name));
  }

  // Routing decides which experts run: it stays in full precision.
  Linear router(const std::string& name) {
    const std::vector<float> values = source_.vector(name);
    return pack_linear({.data = reinterpret_cast<const std::byte*>(values.data()),
                        .format = Format::f32,
                        .out_features = config_.n_experts,
                        .in_features = config_.d_model,
                        .out_stride = config_.d_model,
                        .in_stride = 1});
  }

  DbrxLayer layer(int64_t i) {
    const std::string block = DbrxSource::block(i);
    const int64_t d = config_.d_model, q = config_.q_dim();
    DbrxLayer out;
    out.norm_1 = source_.vector(block + "norm_attn_norm.norm_1.weight");
    out.wqkv = linear(block + "norm_attn_norm.attn.Wqkv.weight", q + 2 * config_.kv_dim(), d);
    out.out_proj = linear(block + "norm_attn_norm.attn.out_proj.weight", d, q);
    out.norm_2 = source_.vector(block + "norm_attn_norm.norm_2.weight");
    out.router = router(block + "ffn.router.layer.weight");
    out.experts = experts(i);
    return out;
  }

  // The experts of a layer are multiplied as one batch, so they share one format.
  std::vector<Expert> experts(int64_t layer) {
    const bool packed = source_.is_packed(DbrxSource::expert_matrix(layer, 0, "w1"));
    std::vector<Expert> out = packed ? packed_experts(layer) : fresh_experts(layer);
    for (const Expert& expert : out) {
      for (const Linear* linear : {&expert.gate, &expert.up, &expert.down}) {
        if (linear->format == out[0].gate.format) continue;
        throw Error(Code::unsupported, checkpoint_.dir().string() + ": the experts of '" +
                                           DbrxSource::block(layer) +
                                           "' are stored in several dtypes: expected one");
      }
    }
    return out;
  }

  std::vector<Expert> fresh_experts(int64_t layer) {
    std::vector<Expert> out;
    for (const auto& [gate, up, down] : source_.experts(layer)) {
      out.push_back({.gate = pack_linear(gate), .up = pack_linear(up), .down = pack_linear(down)});
    }
    return out;
  }

  std::vector<Expert> packed_experts(int64_t layer) {
    const int64_t d = config_.d_model, f = config_.ffn_hidden;
    std::vector<Expert> out;
    for (int64_t e = 0; e < config_.n_experts; ++e) {
      out.push_back({.gate = source_.packed(DbrxSource::expert_matrix(layer, e, "w1"), f, d),
                     .up = source_.packed(DbrxSource::expert_matrix(layer, e, "v1"), f, d),
                     .down = source_.packed(DbrxSource::expert_matrix(layer, e, "w2"), d, f)});
    }
    return out;
  }

  const ModelConfig& config_;
  const Checkpoint& checkpoint_;
  DbrxSource source_;
};

}  // namespace

DbrxWeights load_dbrx_weights(const ModelConfig& config, const Checkpoint& checkpoint,
                              const LoadOptions& options) {
  return Loader(config, checkpoint, options).load();
}

}  // namespace dbrx
