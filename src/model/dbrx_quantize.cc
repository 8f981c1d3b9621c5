// Which of DBRX's matrices go into which packed file.
#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "base/error.h"
#include "kernels/matmul/packed_tensor.h"
#include "model/dbrx.h"
#include "model/dbrx_source.h"
#include "tensor/quantized_row.h"

namespace dbrx {
namespace {

// A matrix that is to be written: its place in the file is known before its bytes are made.
struct Job {
  std::string name;
  LinearSource source;
  Format format;

  Linear sizes() const {
    Linear linear;
    linear.out_features = source.out_features;
    linear.in_features = source.in_features;
    linear.format = format;
    return linear;
  }

  int64_t n_weights() const { return source.out_features * source.in_features; }
};

using Wrote = std::function<void(int64_t n_weights)>;

void write_jobs(Context& context, std::span<const Job> jobs, SafetensorsWriter& writer,
                const Wrote& wrote) {
  for (const Job& job : jobs) {
    writer.write(quantize_linear(context, job.source, job.format).bytes);
    wrote(job.n_weights());
  }
}

std::span<const std::byte> bytes_of(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

StoredTensor stored_floats(std::string name, std::vector<int64_t> shape,
                           const std::vector<float>& values) {
  return {.name = std::move(name),
          .dtype = "F32",
          .shape = std::move(shape),
          .n_bytes = static_cast<int64_t>(bytes_of(values).size()),
          .note = ""};
}

void write_layer(Context& context, DbrxSource& source, const ModelConfig& config, int64_t layer,
                 const QuantizeOptions& options, const std::filesystem::path& path,
                 const Wrote& wrote) {
  const std::string block = DbrxSource::block(layer);
  std::vector<Job> jobs;
  for (const char* name :
       {"norm_attn_norm.attn.Wqkv.weight", "norm_attn_norm.attn.out_proj.weight"}) {
    jobs.push_back({block + name, source.matrix(block + name), options.dense});
  }
  const auto experts = source.experts(layer);
  for (size_t e = 0; e < experts.size(); ++e) {
    for (size_t m = 0; m < kExpertMatrices.size(); ++m) {
      jobs.push_back({DbrxSource::expert_matrix(layer, static_cast<int64_t>(e), kExpertMatrices[m]),
                      experts[e][m], options.experts});
    }
  }
  std::vector<StoredTensor> tensors;
  for (const Job& job : jobs) tensors.push_back(stored_linear(job.name, job.sizes()));
  std::vector<std::vector<float>> floats;
  const auto add_floats = [&](const std::string& name, std::vector<int64_t> shape) {
    floats.push_back(source.vector(name));
    tensors.push_back(stored_floats(name, std::move(shape), floats.back()));
  };
  add_floats(block + "norm_attn_norm.norm_1.weight", {config.d_model});
  add_floats(block + "norm_attn_norm.norm_2.weight", {config.d_model});
  add_floats(block + "ffn.router.layer.weight", {config.n_experts, config.d_model});
  SafetensorsWriter writer(path, tensors);
  write_jobs(context, jobs, writer, wrote);
  for (const std::vector<float>& values : floats) writer.write(bytes_of(values));
  writer.finish();
}

// A table of rows that stand by themselves; many rows to a write.
void write_embedding(const Tensor& table, const ModelConfig& config, Format format,
                     SafetensorsWriter& writer) {
  constexpr int64_t kRowsAtOnce = 256;
  const int64_t d = config.d_model;
  const int64_t bytes = row_bytes(format, d);
  std::vector<float> values(static_cast<size_t>(d));
  std::vector<std::byte> rows(static_cast<size_t>(kRowsAtOnce * bytes));
  QuantizedRow quantized;
  for (int64_t first = 0; first < config.vocab_size; first += kRowsAtOnce) {
    const int64_t n = std::min(kRowsAtOnce, config.vocab_size - first);
    for (int64_t r = 0; r < n; ++r) {
      decode_row(*table.format, table.bytes.data() + (first + r) * row_bytes(*table.format, d), d,
                 values.data());
      quantize_row(format, values, quantized);
      std::byte* row = rows.data() + r * bytes;
      std::memcpy(row, &quantized.scale, sizeof quantized.scale);
      std::memcpy(row + sizeof quantized.scale, quantized.q.data(), quantized.q.size());
    }
    writer.write({rows.data(), static_cast<size_t>(n * bytes)});
  }
}

// What stands outside the layers.
void write_ends(Context& context, DbrxSource& source, const ModelConfig& config,
                const QuantizeOptions& options, const std::filesystem::path& path,
                const Wrote& wrote) {
  const Tensor table = source.embedding("transformer.wte.weight");
  const Job head = {"lm_head.weight", source.matrix("lm_head.weight"), options.dense};
  const std::vector<float> norm = source.vector("transformer.norm_f.weight");
  SafetensorsWriter writer(
      path, {stored_linear(head.name, head.sizes()),
             stored_rows(table.name, options.dense, config.vocab_size, config.d_model),
             stored_floats("transformer.norm_f.weight", {config.d_model}, norm)});
  write_jobs(context, {&head, 1}, writer, wrote);
  write_embedding(table, config, options.dense, writer);
  wrote(config.vocab_size * config.d_model);
  writer.write(bytes_of(norm));
  writer.finish();
}

std::string layer_file(int64_t layer) {
  char name[32];
  std::snprintf(name, sizeof name, "layer-%04d.safetensors", static_cast<int>(layer));
  return name;
}

}  // namespace

std::vector<PackedPart> dbrx_packed_parts(const ModelConfig& config, const Checkpoint& checkpoint,
                                          const QuantizeOptions& options) {
  const auto source = std::make_shared<DbrxSource>(config, checkpoint, LoadOptions{});
  const int64_t d = config.d_model;
  const int64_t in_layer = (config.q_dim() + 2 * config.kv_dim()) * d + d * config.q_dim() +
                           config.n_experts * 3 * d * config.ffn_hidden;
  std::vector<PackedPart> parts;
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const auto write = [=](Context& context, const std::filesystem::path& path,
                           const Wrote& wrote) {
      write_layer(context, *source, config, i, options, path, wrote);
    };
    parts.push_back({layer_file(i), in_layer, write});
  }
  const auto write = [=](Context& context, const std::filesystem::path& path, const Wrote& wrote) {
    write_ends(context, *source, config, options, path, wrote);
  };
  parts.push_back({"ends.safetensors", 2 * config.vocab_size * d, write});
  return parts;
}

}  // namespace dbrx
