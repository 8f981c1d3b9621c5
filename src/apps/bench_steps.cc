#include "apps/bench_steps.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <set>

#include "base/error.h"

namespace dbrx {
namespace {

constexpr Format kKvFormat = Format::bf16;

int64_t blocks_of(const BenchCase& c) {
  const int64_t tokens = c.context + (c.prefill ? c.tokens : 1);
  return c.sequences * ((tokens + kKvBlockTokens - 1) / kKvBlockTokens);
}

int64_t most_blocks(const std::vector<BenchCase>& cases) {
  int64_t most = 1;
  for (const BenchCase& c : cases) most = std::max(most, blocks_of(c));
  return most;
}

int64_t linear_bytes(Format format, int64_t out, int64_t in) {
  Linear linear;
  linear.out_features = out;
  linear.in_features = in;
  linear.format = format;
  return linear.n_panels() * linear.panel_bytes();
}

}  // namespace

BenchSteps::BenchSteps(Context& context, Model& model, Format dense, Activations activations,
                       const std::vector<BenchCase>& cases)
    : context_(context),
      model_(model),
      dense_(dense),
      activations_(activations),
      cache_(model.config(), kKvFormat, most_blocks(cases)) {
  output_.want_routing = true;
}

Batch BenchSteps::make_batch(const BenchCase& c) {
  Batch batch;
  const int64_t n_rows = c.prefill ? c.tokens : 1;
  int32_t block = 0;
  for (int64_t s = 0; s < c.sequences; ++s) {
    BatchSpan span{.first_row = s * n_rows, .n_rows = n_rows, .n_past = c.context, .blocks = {}};
    for (int64_t t = 0; t < c.context + n_rows; t += kKvBlockTokens) span.blocks.push_back(block++);
    for (int64_t i = 0; i < n_rows; ++i) {
      // Different tokens, so that sequences do not all go to the same experts.
      const auto vocab = static_cast<uint32_t>(model_.config().vocab_size);
      batch.tokens.push_back(static_cast<int32_t>(random_() % vocab));
      batch.positions.push_back(static_cast<int32_t>(c.context + i));
    }
    batch.logit_rows.push_back((s + 1) * n_rows - 1);
    batch.spans.push_back(std::move(span));
  }
  return batch;
}

void BenchSteps::count(const BenchCase& c, StepTime& time) const {
  const ModelConfig& config = model_.config();
  const int64_t d = config.d_model, f = config.ffn_hidden, q = config.q_dim();
  const int64_t qkv = q + 2 * config.kv_dim();
  const int64_t rows = c.sequences * (c.prefill ? c.tokens : 1);
  const Format experts = model_.weight_format();
  const int64_t expert_bytes = 2 * linear_bytes(experts, f, d) + linear_bytes(experts, d, f);
  const int64_t attention_bytes = linear_bytes(dense_, qkv, d) + linear_bytes(dense_, d, q);
  time.weight_bytes = linear_bytes(dense_, config.vocab_size, d);
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    const auto begin = output_.expert_ids.begin() + layer * rows * config.top_k;
    const std::set<int32_t> hit(begin, begin + rows * config.top_k);
    time.weight_bytes += attention_bytes + static_cast<int64_t>(hit.size()) * expert_bytes;
  }
  time.kv_bytes =
      c.prefill ? 0 : c.sequences * c.context * KvCache::bytes_per_token(config, kKvFormat);
  const int64_t digits =
      experts == Format::int8 || experts == Format::int4 ? n_digits(activations_) : 1;
  const int64_t per_row = qkv * d + d * q + config.top_k * 3 * d * f;
  time.products =
      2 * digits * (config.n_layers * rows * per_row + c.sequences * config.vocab_size * d);
}

StepTime BenchSteps::run(const BenchCase& c) {
  const Batch batch = make_batch(c);
  const auto start = std::chrono::steady_clock::now();
  const StepResult result = model_.forward(context_, batch, cache_, output_);
  StepTime time;
  time.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (result != StepResult::ok) throw Error(Code::internal, "a step failed");
  count(c, time);
  return time;
}

}  // namespace dbrx
