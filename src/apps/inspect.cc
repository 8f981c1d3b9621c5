// `dbrx inspect`: what a model is made of. Needs config.json only.
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/parameters.h"

namespace dbrx {
namespace {

struct Precision {
  const char* name;
  double bits;  // per weight, scales included
};

// int4: groups of 32 with 4-bit scales.
constexpr Precision kPrecisions[] = {{"f32", 32}, {"bf16", 16}, {"int8", 8}, {"int4", 4.125}};

// 131596523520 -> "131,596,523,520"
std::string grouped(int64_t value) {
  std::string digits = std::to_string(value);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) {
    digits.insert(static_cast<size_t>(i), ",");
  }
  return digits;
}

std::string gibibytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, bytes < 0x1p30 ? "%.1f MiB" : "%.1f GiB",
                bytes < 0x1p30 ? bytes / 0x1p20 : bytes / 0x1p30);
  return text;
}

void print_config(const ModelConfig& config) {
  std::printf("family            %s\n", config.family.c_str());
  std::printf("layers            %ld\n", config.n_layers);
  std::printf("d_model           %ld\n", config.d_model);
  std::printf("heads             %ld query, %ld key/value, %ld wide\n", config.n_heads,
              config.n_kv_heads, config.head_dim);
  std::printf("experts           %ld, %ld per token, each %ld wide\n", config.n_experts,
              config.top_k, config.ffn_hidden);
  std::printf("expert sets       C(%ld, %ld) = %s\n", config.n_experts, config.top_k,
              grouped(n_expert_sets(config)).c_str());
  std::printf("vocabulary        %s\n", grouped(config.vocab_size).c_str());
  std::printf("context           %s tokens\n", grouped(config.max_seq_len).c_str());
  std::printf("rope theta        %g\n", config.rope_theta);
  if (config.clip_qkv) {
    std::printf("clip qkv          %g\n", static_cast<double>(*config.clip_qkv));
  } else {
    std::printf("clip qkv          none\n");
  }
  if (config.router_norm_p == 0) {
    std::printf("router weights    not normalised\n");
  } else {
    std::printf("router weights    divided by their %g-norm\n",
                static_cast<double>(config.router_norm_p));
  }
}

void print_parameters(const ParameterCount& count) {
  std::printf("\n%-10s %18s %20s %8s %20s\n", "component", "per layer", "total", "share",
              "active per token");
  for (const ComponentCount& c : count.components) {
    std::printf("%-10s %18s %20s %7.2f%% %20s\n", std::string(component_name(c.component)).c_str(),
                c.per_layer == 0 ? "-" : grouped(c.per_layer).c_str(), grouped(c.total).c_str(),
                100.0 * static_cast<double>(c.total) / static_cast<double>(count.total),
                grouped(c.active).c_str());
  }
  std::printf("%-10s %18s %20s %7.2f%% %20s\n", "all", "", grouped(count.total).c_str(), 100.0,
              grouped(count.active).c_str());
  const int64_t embedding = count.components[0].total;
  std::printf(
      "\n%s tensors. Active without the embedding table, of which a token reads one row: %s\n",
      grouped(count.n_tensors).c_str(), grouped(count.active - embedding).c_str());
}

void print_memory(const ModelConfig& config, const ParameterCount& count) {
  std::printf("\n%-10s %14s %22s\n", "weights", "memory", "read per token");
  const auto read = static_cast<double>(count.active - count.components[0].total);
  for (const Precision& p : kPrecisions) {
    std::printf("%-10s %14s %22s\n", p.name,
                gibibytes(static_cast<double>(count.total) * p.bits / 8).c_str(),
                gibibytes(read * p.bits / 8).c_str());
  }
  std::printf("\n%-10s %14s %22s\n", "KV cache", "per token", "a whole context");
  for (const Format format : {Format::f32, Format::bf16, Format::int8}) {
    const int64_t bytes = KvCache::bytes_per_token(config, format);
    std::printf("%-10s %12s B %22s\n", std::string(format_info(format).name).c_str(),
                grouped(bytes).c_str(),
                gibibytes(static_cast<double>(bytes * config.max_seq_len)).c_str());
  }
}

int inspect(const std::string& model_dir) {
  const ModelConfig config = load_config(model_dir);
  const ParameterCount count = count_parameters(config);
  print_config(config);
  print_parameters(count);
  print_memory(config, count);
  return 0;
}

}  // namespace

CommandMain setup_inspect(CLI::App& app) {
  auto model_dir = std::make_shared<std::string>();
  app.add_option("-m,--model", *model_dir, "model directory (its config.json is enough)")
      ->required();
  return [model_dir] { return inspect(*model_dir); };
}

}  // namespace dbrx
