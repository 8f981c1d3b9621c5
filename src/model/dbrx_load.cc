// From the tensors of a checkpoint to packed weights. Experts come fused (the official form) or as
// one tensor per expert, under the names that converters gave them.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "model/dbrx.h"

namespace dbrx {
namespace {

// Between "transformer.blocks.i." and "e.w1.weight". The first is the "converted-v2" family, the
// second "quantization-fixed", the third MLX's.
constexpr std::array<const char*, 3> kUnfusedPrefixes = {
    "ffn.experts.mlp.", "ffn.experts.mlp_experts.", "ffn.experts."};

class Loader {
 public:
  Loader(const ModelConfig& config, const Checkpoint& checkpoint, const LoadOptions& options)
      : config_(config), checkpoint_(checkpoint), options_(options) {
    for (const auto& [name, tensor] : checkpoint.tensors()) {
      refuse_packed(name);
      total_bytes_ += static_cast<int64_t>(tensor.bytes.size());
    }
  }

  DbrxWeights load() {
    DbrxWeights weights;
    specs_ = dbrx_tensors(config_);
    weights.wte = take("transformer.wte.weight");
    for (int64_t i = 0; i < config_.n_layers; ++i) weights.layers.push_back(layer(i));
    weights.norm_f = vector("transformer.norm_f.weight");
    weights.lm_head = linear("lm_head.weight");
    refuse_unread();
    return weights;
  }

 private:
  // Community quantizers store several tensors where we expect one.
  void refuse_packed(const std::string& name) const {
    for (const char* suffix : {".qweight", ".qzeros", ".g_idx", ".scales", ".biases"}) {
      if (name.ends_with(suffix)) {
        throw Error(Code::unsupported,
                    checkpoint_.dir().string() + ": tensor '" + name +
                        "' belongs to a quantized checkpoint (GPTQ, AWQ or MLX), which is not "
                        "supported yet: use the bf16 checkpoint");
      }
    }
  }

  // A tensor that nobody asked for means another architecture or another number of layers; only
  // the rotary frequencies that old exporters wrote out follow from the configuration.
  void refuse_unread() const {
    for (const auto& [name, tensor] : checkpoint_.tensors()) {
      if (read_.contains(name) || name.ends_with(".inv_freq")) continue;
      throw Error(Code::corrupt, tensor.file->path().string() + ": tensor '" + name +
                                     "' has no place in the model that config.json describes (" +
                                     std::to_string(config_.n_layers) + " layers)");
    }
  }

  // The tensor as the list of the family describes it.
  const Tensor& take(const std::string& name) {
    const auto spec = std::find_if(specs_.begin(), specs_.end(),
                                   [&](const TensorSpec& s) { return s.name == name; });
    CHECK(spec != specs_.end());
    const Tensor* tensor = checkpoint_.find(name);
    if (tensor == nullptr) {
      throw Error(Code::not_found, checkpoint_.dir().string() + ": tensor '" + name +
                                       "' expected with shape " + shape_text(spec->shape) +
                                       ", not found in any file");
    }
    check(*tensor, spec->shape);
    return *tensor;
  }

  void check(const Tensor& tensor, const std::vector<int64_t>& shape) {
    const std::string where = tensor.file->path().string() + ": tensor '" + tensor.name + "': ";
    if (tensor.shape != shape) {
      throw Error(Code::corrupt, where + "expected shape " + shape_text(shape) + ", found " +
                                     shape_text(tensor.shape));
    }
    if (!tensor.format) {
      throw Error(Code::unsupported,
                  where + "expected dtype BF16, F16 or F32, found " + tensor.dtype);
    }
    if (const std::optional<int64_t> index = find_non_finite(tensor)) {
      throw Error(Code::corrupt, where + "expected finite values, found NaN or infinity at index " +
                                     std::to_string(*index));
    }
    read_.insert(tensor.name);
    done_bytes_ += static_cast<int64_t>(tensor.bytes.size());
    if (options_.progress) options_.progress(done_bytes_, total_bytes_);
  }

  std::vector<float> vector(const std::string& name) {
    const Tensor& tensor = take(name);
    std::vector<float> values(static_cast<size_t>(tensor.n_values()));
    decode_row(*tensor.format, tensor.bytes.data(), tensor.n_values(), values.data());
    return values;
  }

  // Rows [first_row, first_row + out) of a stored [., in] matrix.
  static LinearSource rows(const Tensor& tensor, int64_t first_row, int64_t out, int64_t in) {
    return {.data = tensor.bytes.data() + format_bytes(*tensor.format, first_row * in),
            .format = *tensor.format,
            .out_features = out,
            .in_features = in,
            .out_stride = in,
            .in_stride = 1};
  }

  // The same bytes read as the transposed matrix: stored [in, out] rows.
  static LinearSource transposed_rows(const Tensor& tensor, int64_t first_row, int64_t out,
                                      int64_t in) {
    return {.data = tensor.bytes.data() + format_bytes(*tensor.format, first_row * out),
            .format = *tensor.format,
            .out_features = out,
            .in_features = in,
            .out_stride = 1,
            .in_stride = out};
  }

  Linear linear(const std::string& name) {
    const Tensor& tensor = take(name);
    return pack_linear(rows(tensor, 0, tensor.shape[0], tensor.shape[1]));
  }

  // Routing decides which experts run: it stays in full precision.
  Linear router(const std::string& name) {
    const std::vector<float> values = vector(name);
    return pack_linear({.data = reinterpret_cast<const std::byte*>(values.data()),
                        .format = Format::f32,
                        .out_features = config_.n_experts,
                        .in_features = config_.d_model,
                        .out_stride = config_.d_model,
                        .in_stride = 1});
  }

  DbrxLayer layer(int64_t i) {
    const std::string block = "transformer.blocks." + std::to_string(i) + ".";
    DbrxLayer out;
    out.norm_1 = vector(block + "norm_attn_norm.norm_1.weight");
    out.wqkv = linear(block + "norm_attn_norm.attn.Wqkv.weight");
    out.out_proj = linear(block + "norm_attn_norm.attn.out_proj.weight");
    out.norm_2 = vector(block + "norm_attn_norm.norm_2.weight");
    out.router = router(block + "ffn.router.layer.weight");
    out.experts = experts(block);
    return out;
  }

  // The experts of a layer are multiplied as one batch, so they share one format.
  std::vector<Expert> experts(const std::string& block) {
    std::vector<Expert> out = experts_in_any_form(block);
    for (const Expert& expert : out) {
      for (const Linear* linear : {&expert.gate, &expert.up, &expert.down}) {
        if (linear->format == out[0].gate.format) continue;
        throw Error(Code::unsupported, checkpoint_.dir().string() + ": the experts of '" + block +
                                           "' are stored in several dtypes: expected one");
      }
    }
    return out;
  }

  std::vector<Expert> experts_in_any_form(const std::string& block) {
    if (checkpoint_.find(block + "ffn.experts.mlp.w1") == nullptr) {
      for (const char* prefix : kUnfusedPrefixes) {
        if (checkpoint_.find(block + prefix + "0.w1.weight") != nullptr) {
          return unfused_experts(block + prefix);
        }
      }
    }
    return fused_experts(block);
  }

  // w1 and v1 rows are outputs; w2 is stored [experts * ffn, d], inputs by outputs.
  std::vector<Expert> fused_experts(const std::string& block) {
    const Tensor& w1 = take(block + "ffn.experts.mlp.w1");
    const Tensor& v1 = take(block + "ffn.experts.mlp.v1");
    const Tensor& w2 = take(block + "ffn.experts.mlp.w2");
    const int64_t d = config_.d_model, f = config_.ffn_hidden;
    std::vector<Expert> out;
    out.reserve(static_cast<size_t>(config_.n_experts));
    for (int64_t e = 0; e < config_.n_experts; ++e) {
      out.push_back({.gate = pack_linear(rows(w1, e * f, f, d)),
                     .up = pack_linear(rows(v1, e * f, f, d)),
                     .down = pack_linear(transposed_rows(w2, e * f, d, f))});
    }
    return out;
  }

  std::vector<Expert> unfused_experts(const std::string& prefix) {
    const int64_t d = config_.d_model, f = config_.ffn_hidden;
    std::vector<Expert> out;
    out.reserve(static_cast<size_t>(config_.n_experts));
    for (int64_t e = 0; e < config_.n_experts; ++e) {
      const std::string expert = prefix + std::to_string(e) + ".";
      out.push_back({.gate = pack_linear(rows(part(expert + "w1.weight", {f, d}), 0, f, d)),
                     .up = pack_linear(rows(part(expert + "v1.weight", {f, d}), 0, f, d)),
                     .down = down(expert + "w2.weight")});
    }
    return out;
  }

  const Tensor& part(const std::string& name, const std::vector<int64_t>& shape) {
    const Tensor* tensor = checkpoint_.find(name);
    if (tensor == nullptr) {
      throw Error(Code::not_found, checkpoint_.dir().string() + ": tensor '" + name +
                                       "' expected with shape " + shape_text(shape) +
                                       ", not found in any file");
    }
    check(*tensor, shape);
    return *tensor;
  }

  // Converters store w2 either way round; the shape tells, unless it is square.
  Linear down(const std::string& name) {
    const int64_t d = config_.d_model, f = config_.ffn_hidden;
    const Tensor* tensor = checkpoint_.find(name);
    if (d == f) {
      throw Error(Code::unsupported, checkpoint_.dir().string() + ": tensor '" + name +
                                         "' is square: whether it is stored transposed can't be "
                                         "known; use the official fused form");
    }
    if (tensor != nullptr && tensor->shape == std::vector<int64_t>{f, d}) {
      return pack_linear(transposed_rows(part(name, {f, d}), 0, d, f));
    }
    return pack_linear(rows(part(name, {d, f}), 0, d, f));
  }

  const ModelConfig& config_;
  const Checkpoint& checkpoint_;
  const LoadOptions& options_;
  std::vector<TensorSpec> specs_;
  std::set<std::string> read_;
  int64_t done_bytes_ = 0;
  int64_t total_bytes_ = 0;
};

}  // namespace

DbrxWeights load_dbrx_weights(const ModelConfig& config, const Checkpoint& checkpoint,
                              const LoadOptions& options) {
  return Loader(config, checkpoint, options).load();
}

}  // namespace dbrx
