// The hyper-parameters of a model, read from its config.json. Each family parses and validates its
// own file; nothing architectural is defaulted silently unless the released code defines that
// default.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace dbrx {

// Sums of the weights of so many ids fit 64 bits when a token is sampled (engine/sampler.h).
constexpr int64_t kMaxVocab = int64_t{1} << 18;

struct ModelConfig {
  std::string family;      // "dbrx"
  bool is_packed = false;  // written by dbrx quantize
  int64_t d_model = 0;
  int64_t n_layers = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;    // d_model / n_heads
  int64_t ffn_hidden = 0;  // width of one expert
  int64_t n_experts = 0;
  int64_t top_k = 0;
  int64_t vocab_size = 0;  // rows of the embedding and of the head, padding included
  int64_t max_seq_len = 0;
  std::optional<float> clip_qkv;  // symmetric clamp of the fused query-key-value output
  double rope_theta = 0;
  float norm_eps = 0;
  float router_norm_p = 0;  // 0: the selected weights are not normalised

  int64_t q_dim() const { return n_heads * head_dim; }
  int64_t kv_dim() const { return n_kv_heads * head_dim; }
};

// Parses config.json text of any known family; `where` names the file in errors. Throws Error.
ModelConfig parse_config(const std::string& json, const std::string& where);

// Reads DIR/config.json. Throws Error.
ModelConfig load_config(const std::filesystem::path& model_dir);

// What generation_config.json says, as far as we follow it.
struct GenerationConfig {
  std::vector<int32_t> eos_token_ids;  // generation stops at any of these
};

// Reads DIR/generation_config.json, or eos_token_id of config.json where that file is absent.
// Throws Error when a file is malformed or an id is outside the vocabulary.
GenerationConfig load_generation_config(const std::filesystem::path& model_dir,
                                        const ModelConfig& config);

}  // namespace dbrx
