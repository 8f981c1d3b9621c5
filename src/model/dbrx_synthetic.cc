#include <cmath>
#include <cstring>
#include <random>
#include <utility>

#include "kernels/matmul/random_linear.h"
#include "model/dbrx.h"
#include "model/synthetic.h"

namespace dbrx {
namespace {

ModelConfig released_config(const SyntheticOptions& options) {
  ModelConfig config;
  config.family = "dbrx";
  config.d_model = 6144;
  config.n_layers = options.n_layers;
  config.n_heads = 48;
  config.n_kv_heads = 8;
  config.head_dim = 128;
  config.ffn_hidden = 10752;
  config.n_experts = 16;
  config.top_k = 4;
  config.vocab_size = options.vocab_size;
  config.max_seq_len = 32768;
  config.clip_qkv = 8.0F;
  config.rope_theta = 500000;
  config.norm_eps = 1e-5F;
  config.router_norm_p = 1;
  return config;
}

// Numbers the matrices, so that each has random bits of its own.
class Maker {
 public:
  Maker(const ModelConfig& config, const SyntheticOptions& options)
      : config_(config), options_(options) {}

  DbrxLayer layer(Context& context) {
    const int64_t d = config_.d_model, f = config_.ffn_hidden;
    DbrxLayer out;
    out.norm_1.assign(static_cast<size_t>(d), 1.0F);
    out.norm_2 = out.norm_1;
    out.wqkv = dense(config_.q_dim() + 2 * config_.kv_dim(), d);
    out.out_proj = dense(d, config_.q_dim());
    out.router = router();
    out.experts.resize(static_cast<size_t>(config_.n_experts));
    const uint64_t first = seed_;
    seed_ += 3 * out.experts.size();
    context.pool.run(out.experts.size(), [&](size_t e) {
      const uint64_t seed = first + 3 * e;
      out.experts[e] = {.gate = random_linear(options_.experts, f, d, seed),
                        .up = random_linear(options_.experts, f, d, seed + 1),
                        .down = random_linear(options_.experts, d, f, seed + 2)};
    });
    return out;
  }

  Linear dense(int64_t out, int64_t in) { return random_linear(options_.dense, out, in, seed_++); }

 private:
  Linear router() {
    const int64_t n = config_.n_experts * config_.d_model;
    std::vector<float> values(static_cast<size_t>(n));
    std::mt19937 random(static_cast<uint32_t>(seed_++));
    std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(config_.d_model)));
    for (float& value : values) value = normal(random);
    return pack_linear({.data = reinterpret_cast<const std::byte*>(values.data()),
                        .format = Format::f32,
                        .out_features = config_.n_experts,
                        .in_features = config_.d_model,
                        .out_stride = config_.d_model});
  }

  const ModelConfig& config_;
  const SyntheticOptions& options_;
  uint64_t seed_ = 1;
};

// Rows of bf16, whatever the other formats: a step reads one row of it per token.
void make_embedding(const ModelConfig& config, DbrxWeights& weights) {
  const int64_t n = config.vocab_size * config.d_model;
  weights.wte_owned = Block(static_cast<size_t>(format_bytes(Format::bf16, n)));
  std::minstd_rand random(1);
  for (int64_t i = 0; i < n; ++i) {
    const float value = static_cast<float>(random() % 2001) * 1e-3F - 1;
    const uint16_t bits = float_to_bf16(value);
    std::memcpy(weights.wte_owned.data() + 2 * i, &bits, sizeof bits);
  }
  weights.wte.name = "transformer.wte.weight";
  weights.wte.format = Format::bf16;
  weights.wte.shape = {config.vocab_size, config.d_model};
  weights.wte.bytes = {weights.wte_owned.data(), weights.wte_owned.size()};
}

}  // namespace

std::unique_ptr<Model> synthetic_dbrx(Context& context, const SyntheticOptions& options) {
  const ModelConfig config = released_config(options);
  Maker maker(config, options);
  DbrxWeights weights;
  make_embedding(config, weights);
  for (int64_t i = 0; i < config.n_layers; ++i) weights.layers.push_back(maker.layer(context));
  weights.norm_f.assign(static_cast<size_t>(config.d_model), 1.0F);
  weights.lm_head = maker.dense(config.vocab_size, config.d_model);
  return make_dbrx(config, std::move(weights), options.activations);
}

}  // namespace dbrx
