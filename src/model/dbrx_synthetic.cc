#include <algorithm>
#include <random>
#include <utility>

#include "base/error.h"
#include "kernels/matmul/random_linear.h"
#include "model/dbrx.h"
#include "model/synthetic.h"

namespace dbrx {
namespace {

// The embedding's size beside what the layers add to it, at most some hundred.
constexpr float kEmbeddingScale = 16384;

// Numbers the matrices, so that each has random bits of its own.
class Maker {
 public:
  explicit Maker(const SyntheticOptions& options) : config_(options.config), options_(options) {}

  DbrxLayer layer(Context& context, int64_t index) {
    const int64_t d = config_.d_model, f = config_.ffn_hidden;
    DbrxLayer out;
    out.norm_1.assign(static_cast<size_t>(d), 1.0F);
    out.norm_2 = out.norm_1;
    out.wqkv = dense(config_.q_dim() + 2 * config_.kv_dim(), d);
    out.out_proj = dense(d, config_.q_dim());
    out.router = router(index);
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
  // Expert e of layer i looks at dimension i * n_experts + e only.
  Linear router(int64_t layer) {
    const int64_t n = config_.n_experts, d = config_.d_model;
    std::vector<float> values(static_cast<size_t>(n * d));
    for (int64_t e = 0; e < n; ++e) values[static_cast<size_t>(e * d + layer * n + e)] = 1;
    return pack_linear({.data = reinterpret_cast<const std::byte*>(values.data()),
                        .format = Format::f32,
                        .out_features = n,
                        .in_features = d,
                        .out_stride = d});
  }

  const ModelConfig& config_;
  const SyntheticOptions& options_;
  uint64_t seed_ = 1;
};

// Rows of bf16, whatever the other formats: a step reads one row of it per token. First the
// dimensions that the routers look at, then random values in [-1, 1].
void make_embedding(const SyntheticOptions& options, DbrxWeights& weights) {
  const ModelConfig& config = options.config;
  const auto n_routes = static_cast<size_t>(config.n_layers * config.n_experts);
  const auto n_ids = static_cast<size_t>(config.n_layers * config.top_k);
  const auto d = static_cast<size_t>(config.d_model);
  const auto vocab = static_cast<size_t>(config.vocab_size);
  weights.wte_owned = Block(vocab * d * sizeof(uint16_t));
  auto* bits = reinterpret_cast<uint16_t*>(weights.wte_owned.data());
  std::minstd_rand random(1);
  std::vector<float> row(d);
  for (size_t token = 0; token < vocab; ++token) {
    std::fill_n(row.begin(), n_routes, -1.0F);
    for (size_t i = 0; i < n_ids; ++i) {
      const size_t layer = i / static_cast<size_t>(config.top_k);
      const int32_t expert = options.routing[token * n_ids + i];
      row[layer * static_cast<size_t>(config.n_experts) + static_cast<size_t>(expert)] = 1;
    }
    for (size_t i = n_routes; i < d; ++i) {
      row[i] = static_cast<float>(random() % 2001) * 1e-3F - 1;
    }
    for (const float value : row) *bits++ = float_to_bf16(value * kEmbeddingScale);
  }
  weights.wte.name = "transformer.wte.weight";
  weights.wte.format = Format::bf16;
  weights.wte.shape = {config.vocab_size, config.d_model};
  weights.wte.bytes = {weights.wte_owned.data(), weights.wte_owned.size()};
}

}  // namespace

ModelConfig dbrx_geometry(int64_t n_layers, int64_t vocab_size) {
  ModelConfig config;
  config.family = "dbrx";
  config.d_model = 6144;
  config.n_layers = n_layers;
  config.n_heads = 48;
  config.n_kv_heads = 8;
  config.head_dim = 128;
  config.ffn_hidden = 10752;
  config.n_experts = 16;
  config.top_k = 4;
  config.vocab_size = vocab_size;
  config.max_seq_len = 32768;
  config.clip_qkv = 8.0F;
  config.rope_theta = 500000;
  config.norm_eps = 1e-5F;
  config.router_norm_p = 1;
  return config;
}

int64_t synthetic_bytes(const ModelConfig& config) {
  const SyntheticOptions formats;
  const int64_t d = config.d_model, f = config.ffn_hidden;
  const int64_t expert =
      2 * linear_bytes(formats.experts, f, d) + linear_bytes(formats.experts, d, f);
  const int64_t layer = config.n_experts * expert + linear_bytes(Format::f32, config.n_experts, d) +
                        linear_bytes(formats.dense, config.q_dim() + 2 * config.kv_dim(), d) +
                        linear_bytes(formats.dense, d, config.q_dim());
  return config.n_layers * layer + linear_bytes(formats.dense, config.vocab_size, d) +
         format_bytes(Format::bf16, config.vocab_size * d);
}

std::unique_ptr<Model> synthetic_dbrx(Context& context, const SyntheticOptions& options) {
  const ModelConfig& config = options.config;
  CHECK_LE(config.n_layers * config.n_experts, config.d_model);
  CHECK_EQ(std::ssize(options.routing), config.vocab_size * config.n_layers * config.top_k);
  Maker maker(options);
  DbrxWeights weights;
  make_embedding(options, weights);
  for (int64_t i = 0; i < config.n_layers; ++i) weights.layers.push_back(maker.layer(context, i));
  weights.norm_f.assign(static_cast<size_t>(config.d_model), 1.0F);
  weights.lm_head = maker.dense(config.vocab_size, config.d_model);
  return make_dbrx(config, std::move(weights), options.activations);
}

}  // namespace dbrx
