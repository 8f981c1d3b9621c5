#include "model/dbrx_source.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "kernels/matmul/packed_tensor.h"
#include "model/dbrx.h"

namespace dbrx {
namespace {

// Between "transformer.blocks.i." and "e.w1.weight". The first is the "converted-v2" family, the
// second "quantization-fixed", the third MLX's.
constexpr std::array<const char*, 3> kUnfusedPrefixes = {
    "ffn.experts.mlp.", "ffn.experts.mlp_experts.", "ffn.experts."};

// Rows [first_row, first_row + out) of a stored [., in] matrix.
LinearSource rows(const Tensor& tensor, int64_t first_row, int64_t out, int64_t in) {
  return {.data = tensor.bytes.data() + format_bytes(*tensor.format, first_row * in),
          .format = *tensor.format,
          .out_features = out,
          .in_features = in,
          .out_stride = in,
          .in_stride = 1};
}

// The same bytes read as the transposed matrix: stored [in, out] rows.
LinearSource transposed_rows(const Tensor& tensor, int64_t first_row, int64_t out, int64_t in) {
  return {.data = tensor.bytes.data() + format_bytes(*tensor.format, first_row * out),
          .format = *tensor.format,
          .out_features = out,
          .in_features = in,
          .out_stride = 1,
          .in_stride = out};
}

// Community quantizers store several tensors where we expect one.
void refuse_foreign(const Checkpoint& checkpoint, const std::string& name) {
  for (const char* suffix : {".qweight", ".qzeros", ".g_idx", ".scales", ".biases"}) {
    if (name.ends_with(suffix)) {
      throw Error(Code::unsupported,
                  checkpoint.dir().string() + ": tensor '" + name +
                      "' belongs to a quantized checkpoint (GPTQ, AWQ or MLX), which is not "
                      "supported yet: use the bf16 checkpoint");
    }
  }
}

}  // namespace

DbrxSource::DbrxSource(const ModelConfig& config, const Checkpoint& checkpoint,
                       const LoadOptions& options)
    : config_(config), checkpoint_(checkpoint), options_(options), specs_(dbrx_tensors(config)) {
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    refuse_foreign(checkpoint, name);
    total_bytes_ += static_cast<int64_t>(tensor.bytes.size());
  }
}

std::string DbrxSource::block(int64_t layer) {
  return "transformer.blocks." + std::to_string(layer) + ".";
}

std::string DbrxSource::expert_matrix(int64_t layer, int64_t expert, const char* matrix) {
  return block(layer) + "ffn.experts.mlp." + std::to_string(expert) + "." + matrix;
}

const Tensor& DbrxSource::tensor(const std::string& name) {
  const auto spec = std::find_if(specs_.begin(), specs_.end(),
                                 [&](const TensorSpec& s) { return s.name == name; });
  CHECK(spec != specs_.end());
  return take(name, spec->shape);
}

const Tensor& DbrxSource::take(const std::string& name, const std::vector<int64_t>& shape) {
  const Tensor* tensor = checkpoint_.find(name);
  if (tensor == nullptr) {
    throw Error(Code::not_found, checkpoint_.dir().string() + ": tensor '" + name +
                                     "' expected with shape " + shape_text(shape) +
                                     ", not found in any file");
  }
  const std::string where = tensor->file->path().string() + ": tensor '" + tensor->name + "': ";
  if (tensor->shape != shape) {
    throw Error(Code::corrupt, where + "expected shape " + shape_text(shape) + ", found " +
                                   shape_text(tensor->shape));
  }
  if (!tensor->format) {
    throw Error(Code::unsupported,
                where + "expected dtype BF16, F16 or F32, found " + tensor->dtype);
  }
  if (const std::optional<int64_t> index = find_non_finite(*tensor)) {
    throw Error(Code::corrupt, where + "expected finite values, found NaN or infinity at index " +
                                   std::to_string(*index));
  }
  count(*tensor);
  return *tensor;
}

void DbrxSource::count(const Tensor& tensor) {
  taken_.insert(tensor.name);
  done_bytes_ += static_cast<int64_t>(tensor.bytes.size());
  if (options_.progress) options_.progress(done_bytes_, total_bytes_);
}

// A tensor that nobody asked for means another architecture or another number of layers; only the
// rotary frequencies that old exporters wrote out follow from the configuration.
void DbrxSource::refuse_unread() const {
  for (const auto& [name, tensor] : checkpoint_.tensors()) {
    if (taken_.contains(name) || name.ends_with(".inv_freq")) continue;
    throw Error(Code::corrupt, tensor.file->path().string() + ": tensor '" + name +
                                   "' has no place in the model that config.json describes (" +
                                   std::to_string(config_.n_layers) + " layers)");
  }
}

std::vector<float> DbrxSource::vector(const std::string& name) {
  const Tensor& stored = tensor(name);
  std::vector<float> values(static_cast<size_t>(stored.n_values()));
  decode_row(*stored.format, stored.bytes.data(), stored.n_values(), values.data());
  return values;
}

Tensor DbrxSource::embedding(const std::string& name) {
  const Tensor* stored = checkpoint_.find(name);
  if (stored == nullptr || !note_word(stored->note, kRowsNote)) return tensor(name);
  Tensor table = packed_rows(*stored, config_.vocab_size, config_.d_model);
  count(*stored);
  return table;
}

LinearSource DbrxSource::matrix(const std::string& name) {
  const Tensor& stored = tensor(name);
  return rows(stored, 0, stored.shape[0], stored.shape[1]);
}

bool DbrxSource::is_packed(const std::string& name) const {
  const Tensor* tensor = checkpoint_.find(name);
  return tensor != nullptr && dbrx::is_packed(*tensor);
}

Linear DbrxSource::packed(const std::string& name, int64_t out_features, int64_t in_features) {
  const Tensor* tensor = checkpoint_.find(name);
  if (tensor == nullptr) {
    throw Error(Code::not_found, checkpoint_.dir().string() + ": packed tensor '" + name +
                                     "' not found in any file");
  }
  Linear linear = packed_linear(*tensor, out_features, in_features);
  count(*tensor);
  return linear;
}

std::vector<std::array<LinearSource, 3>> DbrxSource::experts(int64_t layer) {
  const std::string name = block(layer);
  if (checkpoint_.find(name + "ffn.experts.mlp.w1") == nullptr) {
    for (const char* prefix : kUnfusedPrefixes) {
      if (checkpoint_.find(name + prefix + "0.w1.weight") != nullptr) {
        return unfused_experts(name + prefix);
      }
    }
  }
  return fused_experts(name);
}

// w1 and v1 rows are outputs; w2 is stored [experts * ffn, d], inputs by outputs.
std::vector<std::array<LinearSource, 3>> DbrxSource::fused_experts(const std::string& block) {
  const Tensor& w1 = tensor(block + "ffn.experts.mlp.w1");
  const Tensor& v1 = tensor(block + "ffn.experts.mlp.v1");
  const Tensor& w2 = tensor(block + "ffn.experts.mlp.w2");
  const int64_t d = config_.d_model, f = config_.ffn_hidden;
  std::vector<std::array<LinearSource, 3>> out;
  for (int64_t e = 0; e < config_.n_experts; ++e) {
    out.push_back({rows(w1, e * f, f, d), rows(v1, e * f, f, d), transposed_rows(w2, e * f, d, f)});
  }
  return out;
}

std::vector<std::array<LinearSource, 3>> DbrxSource::unfused_experts(const std::string& prefix) {
  const int64_t d = config_.d_model, f = config_.ffn_hidden;
  std::vector<std::array<LinearSource, 3>> out;
  for (int64_t e = 0; e < config_.n_experts; ++e) {
    const std::string expert = prefix + std::to_string(e) + ".";
    out.push_back({rows(take(expert + "w1.weight", {f, d}), 0, f, d),
                   rows(take(expert + "v1.weight", {f, d}), 0, f, d),
                   unfused_down(expert + "w2.weight")});
  }
  return out;
}

// Converters store w2 either way round; the shape tells, unless it is square.
LinearSource DbrxSource::unfused_down(const std::string& name) {
  const int64_t d = config_.d_model, f = config_.ffn_hidden;
  const Tensor* tensor = checkpoint_.find(name);
  if (d == f) {
    throw Error(Code::unsupported, checkpoint_.dir().string() + ": tensor '" + name +
                                       "' is square: whether it is stored transposed can't be "
                                       "known; use the official fused form");
  }
  if (tensor != nullptr && tensor->shape == std::vector<int64_t>{f, d}) {
    return transposed_rows(take(name, {f, d}), 0, d, f);
  }
  return rows(take(name, {d, f}), 0, d, f);
}

}  // namespace dbrx
