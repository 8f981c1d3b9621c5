// DBRX's config.json in both published forms, and the list of its tensors.
#include <cmath>
#include <optional>
#include <string>

#include "base/error.h"
#include "kernels/attention/attention.h"
#include "model/dbrx.h"

namespace dbrx {
namespace {

// Hard-coded in the released model: torch's LayerNorm default, in no config file.
constexpr float kNormEps = 1e-5F;

// Far above every model there is: a nonsensical file must not fill the memory with a list of
// tensors.
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxExperts = 1024;

// The first of rope_parameters.rope_theta, rope_theta and attn_config.rope_theta that is there; two
// that differ are an error, since readers of the old and the new form would disagree.
double parse_theta(const ConfigReader& root, const ConfigReader& attention,
                   const ConfigReader& rope) {
  constexpr double kReleasedCodeDefault = 10000;
  const std::optional<double> found[] = {rope.number("rope_theta"), root.number("rope_theta"),
                                         attention.number("rope_theta")};
  std::optional<double> theta;
  for (const std::optional<double>& candidate : found) {
    if (!candidate) continue;
    if (theta && *theta != *candidate) {
      attention.fail("rope_theta", "the file gives two different values, " +
                                       std::to_string(*theta) + " and " +
                                       std::to_string(*candidate));
    }
    theta = candidate;
  }
  const double value = theta.value_or(kReleasedCodeDefault);
  if (!(value > 0) || !std::isfinite(value)) attention.fail("rope_theta", "must be positive");
  return value;
}

void refuse_rope_scaling(const ConfigReader& rope) {
  for (const std::string_view key : {"rope_type", "type"}) {
    const std::optional<std::string> type = rope.optional_text(key);
    if (type && *type != "default") rope.fail(key, "expected 'default', found '" + *type + "'");
  }
}

// Null and 0 both switch the normalisation off; absent means the released code's default, 1.
float parse_norm_p(const ConfigReader& ffn, const boost::json::object& raw) {
  constexpr std::string_view kKey = "moe_normalize_expert_weights";
  const boost::json::value* value = raw.if_contains(kKey);
  if (value == nullptr) return 1;
  const double p = ffn.number(kKey).value_or(0);
  if (p != 0 && p != 1 && p != 2) ffn.fail(kKey, "expected 1, 2, 0 or null");
  return static_cast<float>(p);
}

void check_activation(const ConfigReader& ffn) {
  const ConfigReader act = ffn.child("ffn_act_fn");
  const std::optional<std::string> name = act.optional_text("name");
  if (name && *name != "silu") act.fail("name", "expected 'silu', found '" + *name + "'");
}

void check_sizes(const ConfigReader& root, const ConfigReader& attention, const ConfigReader& ffn,
                 const ModelConfig& config) {
  const auto text = [](int64_t value) { return std::to_string(value); };
  if (config.d_model % config.n_heads != 0) {
    root.fail("n_heads", "d_model " + text(config.d_model) + " is no multiple of n_heads " +
                             text(config.n_heads));
  }
  if (config.d_model / config.n_heads % 2 != 0) {
    root.fail("n_heads", "the head dimension d_model / n_heads = " +
                             text(config.d_model / config.n_heads) + " must be even");
  }
  if (config.d_model / config.n_heads > kMaxHeadDim) {
    root.fail("n_heads",
              "the head dimension d_model / n_heads = " + text(config.d_model / config.n_heads) +
                  " is more than " + text(kMaxHeadDim));
  }
  if (config.n_layers > kMaxLayers) {
    root.fail("n_layers", text(config.n_layers) + " is more than " + text(kMaxLayers));
  }
  if (config.n_experts > kMaxExperts) {
    ffn.fail("moe_num_experts", text(config.n_experts) + " is more than " + text(kMaxExperts));
  }
  if (config.vocab_size > kMaxVocab) {
    root.fail("vocab_size", text(config.vocab_size) + " is more than " + text(kMaxVocab));
  }
  if (config.d_model > kMaxInFeatures) {
    root.fail("d_model", text(config.d_model) + " is more than " + text(kMaxInFeatures));
  }
  if (config.ffn_hidden > kMaxInFeatures) {
    ffn.fail("ffn_hidden_size", text(config.ffn_hidden) + " is more than " + text(kMaxInFeatures));
  }
  if (config.n_heads % config.n_kv_heads != 0) {
    attention.fail("kv_n_heads", "n_heads " + text(config.n_heads) +
                                     " is no multiple of kv_n_heads " + text(config.n_kv_heads));
  }
  if (config.top_k > config.n_experts) {
    ffn.fail("moe_top_k", text(config.top_k) + " experts per token, but there are only " +
                              text(config.n_experts));
  }
  const int64_t width = ffn.size_or("hidden_size", config.d_model);
  if (width != config.d_model) {
    ffn.fail("hidden_size", text(width) + " differs from d_model " + text(config.d_model));
  }
}

}  // namespace

ModelConfig parse_dbrx_config(const ConfigReader& reader) {
  const ConfigReader attention = reader.child("attn_config");
  const ConfigReader ffn = reader.child("ffn_config");
  const ConfigReader rope = reader.child("rope_parameters");
  ModelConfig config;
  config.d_model = reader.size({"d_model", "hidden_size"});
  config.n_heads = reader.size({"n_heads", "num_attention_heads"});
  config.n_layers = reader.size({"n_layers", "num_hidden_layers"});
  config.vocab_size = reader.size({"vocab_size"});
  config.max_seq_len = reader.size({"max_seq_len", "max_position_embeddings"});
  config.n_kv_heads = attention.size_or("kv_n_heads", 1);  // 1: the released code's default
  config.ffn_hidden = ffn.size({"ffn_hidden_size"});
  config.n_experts = ffn.size({"moe_num_experts"});
  config.top_k = ffn.size({"moe_top_k"});
  check_sizes(reader, attention, ffn, config);
  config.head_dim = config.d_model / config.n_heads;
  if (const std::optional<double> clip = attention.number("clip_qkv")) {
    if (!(*clip > 0)) attention.fail("clip_qkv", "must be positive or null");
    config.clip_qkv = static_cast<float>(*clip);
  }
  refuse_rope_scaling(rope);
  refuse_rope_scaling(reader.child("rope_scaling"));
  config.rope_theta = parse_theta(reader, attention, rope);
  config.norm_eps = kNormEps;
  config.router_norm_p = parse_norm_p(ffn, ffn.object());
  check_activation(ffn);
  if (reader.boolean("tie_word_embeddings").value_or(false)) {
    reader.fail("tie_word_embeddings", "true is not possible for dbrx");
  }
  if (ffn.boolean("uniform_expert_assignment").value_or(false)) {
    ffn.fail("uniform_expert_assignment", "true is a benchmarking mode without a meaning here");
  }
  return config;
}

std::vector<TensorSpec> dbrx_tensors(const ModelConfig& config) {
  const int64_t d = config.d_model;
  const int64_t expert_rows = config.n_experts * config.ffn_hidden;
  std::vector<TensorSpec> specs;
  specs.push_back({"transformer.wte.weight", {config.vocab_size, d}, Component::embedding, -1});
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string block = "transformer.blocks." + std::to_string(i) + ".";
    const auto add = [&](const char* name, std::vector<int64_t> shape, Component component) {
      specs.push_back({block + name, std::move(shape), component, i});
    };
    add("norm_attn_norm.norm_1.weight", {d}, Component::norms);
    add("norm_attn_norm.attn.Wqkv.weight", {config.q_dim() + 2 * config.kv_dim(), d},
        Component::attention);
    add("norm_attn_norm.attn.out_proj.weight", {d, config.q_dim()}, Component::attention);
    add("norm_attn_norm.norm_2.weight", {d}, Component::norms);
    add("ffn.router.layer.weight", {config.n_experts, d}, Component::router);
    for (const char* name : {"ffn.experts.mlp.w1", "ffn.experts.mlp.v1", "ffn.experts.mlp.w2"}) {
      add(name, {expert_rows, d}, Component::experts);
    }
  }
  specs.push_back({"transformer.norm_f.weight", {d}, Component::norms, -1});
  specs.push_back({"lm_head.weight", {config.vocab_size, d}, Component::head, -1});
  return specs;
}

}  // namespace dbrx
