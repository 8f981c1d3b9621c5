#include "apps/bench_steps.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

#include "base/error.h"

namespace dbrx {
namespace {

using Clock = std::chrono::steady_clock;

int64_t most_blocks(const std::vector<StepShape>& shapes) {
  int64_t most = 1;
  for (const StepShape& s : shapes) {
    const int64_t blocks = (s.context + s.tokens + kKvBlockTokens - 1) / kKvBlockTokens;
    most = std::max(most, s.sequences * blocks);
  }
  return most;
}

int64_t qkv_dim(const ModelConfig& config) { return config.q_dim() + 2 * config.kv_dim(); }

int64_t attention_bytes(const ModelConfig& config, Format dense) {
  return linear_bytes(dense, qkv_dim(config), config.d_model) +
         linear_bytes(dense, config.d_model, config.q_dim());
}

int64_t expert_bytes(const ModelConfig& config, Format experts) {
  return 2 * linear_bytes(experts, config.ffn_hidden, config.d_model) +
         linear_bytes(experts, config.d_model, config.ffn_hidden);
}

int64_t router_bytes(const ModelConfig& config) {
  return format_bytes(Format::f32, config.n_experts * config.d_model);
}

// bf16 numbers of size 0.5 to 1 and either sign; read as another cache format, finite numbers that
// it may hold.
void fill_random(std::byte* data, int64_t bytes, uint64_t seed) {
  uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
  for (int64_t i = 0; i + 8 <= bytes; i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const uint64_t word = (state & 0x807f807f807f807fU) | 0x3f003f003f003f00U;
    std::memcpy(data + i, &word, sizeof word);
  }
}

Work scaled(const Work& work, double factor) {
  return {.bytes = work.bytes * factor,
          .int8_ops = work.int8_ops * factor,
          .bf16_ops = work.bf16_ops * factor,
          .f32_ops = work.f32_ops * factor};
}

}  // namespace

int64_t weight_bytes(const ModelConfig& config, Format experts, Format dense, Format embedding) {
  const int64_t norms = format_bytes(Format::f32, 2 * config.d_model);
  const int64_t layer = attention_bytes(config, dense) + router_bytes(config) + norms +
                        config.n_experts * expert_bytes(config, experts);
  return config.n_layers * layer + linear_bytes(dense, config.vocab_size, config.d_model) +
         config.vocab_size * row_bytes(embedding, config.d_model);
}

void add_product(Format format, Activations activations, double ops, Work& work) {
  if (is_integer(format)) {
    work.int8_ops += ops * static_cast<double>(n_digits(activations));
  } else if (format == Format::bf16) {
    work.bf16_ops += ops;
  } else {
    work.f32_ops += ops;
  }
}

BenchSteps::BenchSteps(Context& context, Model& model, Format dense, Activations activations,
                       Format kv_format, const std::vector<StepShape>& shapes)
    : context_(context),
      model_(model),
      dense_(dense),
      activations_(activations),
      cache_(model.config(), kv_format, most_blocks(shapes)) {
  output_.want_routing = true;
  const int64_t layer_bytes = cache_bytes() / model.config().n_layers / 2;
  context.pool.run(static_cast<size_t>(model.config().n_layers), [&](size_t i) {
    const KvLayer layer = cache_.layer(static_cast<int64_t>(i));
    fill_random(layer.keys, layer_bytes, 2 * i);
    fill_random(layer.values, layer_bytes, 2 * i + 1);
  });
}

int64_t BenchSteps::cache_bytes() const {
  return cache_.n_blocks() * kKvBlockTokens *
         KvCache::bytes_per_token(model_.config(), cache_.format());
}

int64_t BenchSteps::cache_bytes(const ModelConfig& config, Format kv_format,
                                const std::vector<StepShape>& shapes) {
  return most_blocks(shapes) * kKvBlockTokens * KvCache::bytes_per_token(config, kv_format);
}

Batch BenchSteps::make_batch(const StepShape& shape) {
  Batch batch;
  int32_t block = 0;
  for (int64_t s = 0; s < shape.sequences; ++s) {
    BatchSpan span{.first_row = s * shape.tokens,
                   .n_rows = shape.tokens,
                   .n_past = shape.context,
                   .blocks = {}};
    for (int64_t t = 0; t < shape.context + shape.tokens; t += kKvBlockTokens) {
      span.blocks.push_back(block++);
    }
    for (int64_t i = 0; i < shape.tokens; ++i) {
      // Different tokens, so that sequences do not all go to the same experts.
      const auto vocab = static_cast<uint32_t>(model_.config().vocab_size);
      batch.tokens.push_back(static_cast<int32_t>(random_() % vocab));
      batch.positions.push_back(static_cast<int32_t>(shape.context + i));
    }
    batch.logit_rows.push_back(static_cast<int32_t>((s + 1) * shape.tokens - 1));
    batch.spans.push_back(std::move(span));
  }
  return batch;
}

// Weights: the dense ones once, each expert once that was hit. Cache: the context once. Products:
// those with weights, and of queries with the keys and values that they see.
void BenchSteps::count(const StepShape& shape, StepTime& time) const {
  const ModelConfig& config = model_.config();
  const int64_t d = config.d_model, q = config.q_dim();
  const int64_t rows = shape.sequences * shape.tokens;
  const Format experts = model_.weight_format();
  Work layers;
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const auto begin = output_.expert_ids.begin() + i * rows * config.top_k;
    const std::set<int32_t> hit(begin, begin + rows * config.top_k);
    layers.bytes += static_cast<double>(attention_bytes(config, dense_) + router_bytes(config) +
                                        std::ssize(hit) * expert_bytes(config, experts));
  }
  layers.bytes += static_cast<double>(shape.sequences * shape.context *
                                      KvCache::bytes_per_token(config, cache_.format()));
  const int64_t seen = shape.tokens * shape.context + shape.tokens * (shape.tokens + 1) / 2;
  const auto n_layers = static_cast<double>(config.n_layers);
  const auto layer_rows = n_layers * static_cast<double>(rows);
  add_product(dense_, activations_, 2 * layer_rows * static_cast<double>((qkv_dim(config) + q) * d),
              layers);
  add_product(experts, activations_,
              2 * layer_rows * static_cast<double>(config.top_k * 3 * d * config.ffn_hidden),
              layers);
  layers.f32_ops += 2 * layer_rows * static_cast<double>(config.n_experts * d);
  // With an int8 cache, queries and weights of tokens have 16 bits: two digits.
  add_product(cache_.format(), Activations::exact,
              4 * n_layers * static_cast<double>(shape.sequences * seen * q), layers);
  time.layer_work = scaled(layers, 1 / n_layers);
  time.work = layers;
  time.work.bytes += static_cast<double>(linear_bytes(dense_, config.vocab_size, d));
  add_product(dense_, activations_,
              2 * static_cast<double>(shape.sequences * config.vocab_size * d), time.work);
}

StepTime BenchSteps::run(const StepShape& shape) {
  const Batch batch = make_batch(shape);
  Clock::time_point layers_end;
  output_.tap = [&](int64_t, std::string_view name, MatrixView<const float>) {
    if (name == "block_out") layers_end = Clock::now();
  };
  const Clock::time_point start = Clock::now();
  const StepResult result = model_.forward(context_, batch, cache_, output_);
  const Clock::time_point end = Clock::now();
  output_.tap = {};
  if (result != StepResult::ok) throw Error(Code::internal, "a step failed");
  StepTime time;
  time.seconds = std::chrono::duration<double>(end - start).count();
  time.layer_seconds = std::chrono::duration<double>(layers_end - start).count() /
                       static_cast<double>(model_.config().n_layers);
  count(shape, time);
  return time;
}

}  // namespace dbrx
