// Which of DBRX's matrices go into which packed file.
#include <algorithm>
#include <cstring>
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
};

// Makes as many matrices at a time as there are threads, and writes them in order.
void write_jobs(Context& context, std::span<const Job> jobs, SafetensorsWriter& writer) {
  const auto n_threads = static_cast<size_t>(context.pool.n_threads());
  for (size_t first = 0; first < jobs.size(); first += n_threads) {
    const size_t n = std::min(n_threads, jobs.size() - first);
    std::vector<Linear> made(n);
    context.pool.run(n, [&](size_t i) {
      made[i] = quantize_linear(jobs[first + i].source, jobs[first + i].format);
    });
    for (const Linear& linear : made) writer.write(linear.bytes);
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
                 const QuantizeOptions& options, const std::filesystem::path& path) {
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
  write_jobs(context, jobs, writer);
  for (const std::vector<float>& values : floats) writer.write(bytes_of(values));
  writer.finish();
}

// A table of rows that stand by themselves, row by row.
void write_embedding(const Tensor& table, const ModelConfig& config, Format format,
                     SafetensorsWriter& writer) {
  const int64_t d = config.d_model;
  const auto bytes = static_cast<size_t>(row_bytes(format, d));
  std::vector<float> values(static_cast<size_t>(d));
  std::vector<std::byte> row(bytes);
  QuantizedRow quantized;
  for (int64_t r = 0; r < config.vocab_size; ++r) {
    decode_row(*table.format, table.bytes.data() + r * row_bytes(*table.format, d), d,
               values.data());
    quantize_row(format, values, quantized);
    std::memcpy(row.data(), &quantized.scale, sizeof quantized.scale);
    std::memcpy(row.data() + sizeof quantized.scale, quantized.q.data(), quantized.q.size());
    writer.write(row);
  }
}

// What stands outside the layers.
void write_ends(Context& context, DbrxSource& source, const ModelConfig& config,
                const QuantizeOptions& options, const std::filesystem::path& path) {
  const Tensor table = source.embedding("transformer.wte.weight");
  const Job head = {"lm_head.weight", source.matrix("lm_head.weight"), options.dense};
  const std::vector<float> norm = source.vector("transformer.norm_f.weight");
  SafetensorsWriter writer(
      path, {stored_linear(head.name, head.sizes()),
             stored_rows(table.name, options.dense, config.vocab_size, config.d_model),
             stored_floats("transformer.norm_f.weight", {config.d_model}, norm)});
  write_jobs(context, {&head, 1}, writer);
  write_embedding(table, config, options.dense, writer);
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
  std::vector<PackedPart> parts;
  for (int64_t i = 0; i < config.n_layers; ++i) {
    parts.push_back({layer_file(i), [=](Context& context, const std::filesystem::path& path) {
                       write_layer(context, *source, config, i, options, path);
                     }});
  }
  parts.push_back({"ends.safetensors", [=](Context& context, const std::filesystem::path& path) {
                     write_ends(context, *source, config, options, path);
                   }});
  return parts;
}

}  // namespace dbrx
