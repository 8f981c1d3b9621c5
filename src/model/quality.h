// How well a model predicts a text, and how far it is from a reference: the numbers by which
// formats, activations and caches are judged.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/context.h"
#include "model/batch.h"
#include "model/model.h"

namespace dbrx {

struct QualityOptions {
  int64_t window = 2048;  // tokens that see each other; at most the model's longest sequence
  Format kv_format = Format::bf16;
  // Called after each step of the model with its rows' routing (expert_ids). May be empty.
  std::function<void(const StepOutput& output, int64_t n_rows)> on_step = nullptr;
  std::function<void(int64_t done, int64_t total)> progress = nullptr;  // tokens. May be empty
};

// Of the predictions of a model from those of a reference. KL is sum_v r_v log(r_v / m_v), in nats,
// r the reference's probabilities and m the model's, over the whole vocabulary.
struct Divergence {
  double reference_perplexity = 0;
  double mean_kl = 0;
  double p99_kl = 0;  // 99 of 100 positions have at most this
  double max_kl = 0;
  double top1_agreement = 0;             // share of positions with the same most probable token
  std::vector<double> router_agreement;  // per layer, the share of tokens with the same experts
};

struct Quality {
  int64_t n_positions = 0;               // all tokens: each has logits
  int64_t n_predicted = 0;               // tokens with one before them in their window
  double perplexity = 0;                 // exp(mean of -log p(next token))
  std::optional<Divergence> divergence;  // with a reference
};

// The texts do not see each other. Each is cut into windows side by side, the last one maybe
// shorter, and each window is computed from an empty cache. All sums are in double. Throws
// Error(invalid_argument) for texts without a token to predict, a window that the model has no
// positions for, or a reference of another geometry; Error(internal) if a step fails or a logit is
// not a number.
Quality measure_quality(Context& context, Model& model, Model* reference,
                        std::span<const std::vector<int32_t>> texts, const QualityOptions& options);

// log(softmax(logits))[i] for all i, in double.
void log_softmax(std::span<const float> logits, std::span<double> out);

// sum_i exp(p_i) (p_i - q_i) of two rows of log-probabilities.
double kl_divergence(std::span<const double> log_p, std::span<const double> log_q);

}  // namespace dbrx
