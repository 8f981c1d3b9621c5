#include "model/step_memory.h"

#include <algorithm>

#include "base/memory.h"
#include "kernels/attention/attention.h"
#include "kernels/matmul/matmul_table.h"
#include "model/batch.h"

namespace dbrx {
namespace {

constexpr int64_t kFloat = sizeof(float);

// Of the packed x of a product: floats at most, where weights are no integers.
int64_t packed_bytes(const StepLimits& limits, int64_t rows, int64_t in_features) {
  const auto padded = static_cast<int64_t>(round_up(static_cast<size_t>(rows), kPackRows));
  const auto steps = [&](int64_t k) { return (in_features + k - 1) / k; };
  if (limits.integer_weights)
    return padded * IntRow(steps(kIntStepK), n_digits(Activations::exact)).bytes();
  return padded * steps(kBf16StepK) * kBf16StepK * kFloat;
}

int64_t attend_bytes(const ModelConfig& config, const StepLimits& limits) {
  const int64_t d = config.d_model, q = config.q_dim();
  const int64_t values = limits.rows * (d + q + 2 * config.kv_dim() + q);
  const int64_t products =
      std::max(packed_bytes(limits, limits.rows, d), packed_bytes(limits, limits.rows, q));
  const int64_t attention = attention_scratch_bytes({.rows = limits.rows,
                                                     .sequences = limits.sequences,
                                                     .context = limits.context,
                                                     .n_heads = config.n_heads,
                                                     .n_kv_heads = config.n_kv_heads,
                                                     .head_dim = config.head_dim},
                                                    limits.n_threads);
  return values * kFloat + std::max(products, attention);
}

int64_t mix_bytes(const ModelConfig& config, const StepLimits& limits) {
  const int64_t d = config.d_model, f = config.ffn_hidden;
  const int64_t slots = limits.rows * config.top_k;
  // Each expert's rows are padded for themselves.
  const int64_t padded = slots + std::min(slots, config.n_experts) * (kPackRows - 1);
  const int64_t routing = limits.rows * 2 * config.n_experts * kFloat + slots * (2 * kFloat + 8);
  const int64_t values = (2 * limits.rows * d + slots * d + slots * f) * kFloat;
  return routing + values + packed_bytes(limits, padded, d) + packed_bytes(limits, padded, f);
}

}  // namespace

int64_t step_scratch_bytes(const ModelConfig& config, const StepLimits& limits) {
  constexpr int64_t kLists = int64_t{1}
                             << 20;  // of spans, groups and pieces; and rounding to lines
  const int64_t head = packed_bytes(limits, std::min(limits.rows, kMaxLogitRows), config.d_model) +
                       std::min(limits.rows, kMaxLogitRows) * config.d_model * kFloat;
  const int64_t x = limits.rows * (config.d_model * kFloat + 8);
  return kLists + x + std::max({attend_bytes(config, limits), mix_bytes(config, limits), head});
}

int64_t step_logits_bytes(const ModelConfig& config, const StepLimits& limits) {
  constexpr int64_t kSamplingBytes = 8 + 4 + 1 + 3 * 16;  // of an id: see SampleScratch
  // Tokens that follow a grammar are chosen by further threads, and the last ones late
  // (engine/grammar_choices.h).
  const int64_t n_choosing = limits.n_threads * 9 / 4;
  const int64_t n_rows = kMaxLogitRows + limits.sequences;
  return config.vocab_size * (n_rows * kFloat + n_choosing * kSamplingBytes);
}

}  // namespace dbrx
