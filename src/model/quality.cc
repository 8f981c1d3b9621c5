#include "model/quality.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "base/error.h"
#include "model/kv_cache.h"

namespace dbrx {
namespace {

// One sequence in steps of rows that all have logits.
class WindowRunner {
 public:
  WindowRunner(Model& model, int64_t window, Format kv_format)
      : model_(model),
        cache_(model.config(), kv_format, (window + kKvBlockTokens - 1) / kKvBlockTokens) {
    output_.want_routing = true;
    blocks_.resize(static_cast<size_t>(cache_.n_blocks()));
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  const StepOutput& step(Context& context, std::span<const int32_t> tokens, int64_t n_past) {
    const auto n = std::ssize(tokens);
    Batch batch;
    batch.tokens.assign(tokens.begin(), tokens.end());
    batch.positions.resize(tokens.size());
    batch.logit_rows.resize(tokens.size());
    std::iota(batch.positions.begin(), batch.positions.end(), static_cast<int32_t>(n_past));
    std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
    batch.spans = {{.first_row = 0, .n_rows = n, .n_past = n_past, .blocks = blocks_}};
    if (model_.forward(context, batch, cache_, output_) != StepResult::ok) {
      throw Error(Code::internal, "a step of the model failed");
    }
    return output_;
  }

 private:
  Model& model_;
  KvCache cache_;
  std::vector<int32_t> blocks_;
  StepOutput output_;
};

struct Scores {
  std::vector<double> nll;            // of each predicted token
  std::vector<double> reference_nll;  // the same by the reference
  std::vector<double> kl;             // of each position
  int64_t n_same_top1 = 0;
  std::vector<int64_t> n_same_experts;  // per layer
};

std::span<const float> logits_of(const StepOutput& output, size_t row, size_t vocab) {
  return std::span(output.logits).subspan(row * vocab, vocab);
}

size_t most_probable(std::span<const double> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

// Scores the rows of a step. next: the tokens that follow them, one fewer at the end of a window.
void score_step(Context& context, const StepOutput& model, const StepOutput* reference,
                size_t n_rows, std::span<const int32_t> next, size_t vocab, Scores& scores) {
  std::vector<double> nll(n_rows), reference_nll(n_rows), kl(n_rows);
  std::vector<char> same(n_rows);
  context.pool.run(n_rows, [&](size_t i) {
    std::vector<double> log_m(vocab);
    log_softmax(logits_of(model, i, vocab), log_m);
    if (i < next.size()) nll[i] = -log_m[static_cast<size_t>(next[i])];
    if (reference == nullptr) return;
    std::vector<double> log_r(vocab);
    log_softmax(logits_of(*reference, i, vocab), log_r);
    if (i < next.size()) reference_nll[i] = -log_r[static_cast<size_t>(next[i])];
    kl[i] = kl_divergence(log_r, log_m);
    same[i] = most_probable(log_r) == most_probable(log_m) ? 1 : 0;
  });
  const auto n_next = static_cast<std::ptrdiff_t>(next.size());
  scores.nll.insert(scores.nll.end(), nll.begin(), nll.begin() + n_next);
  if (reference == nullptr) return;
  scores.reference_nll.insert(scores.reference_nll.end(), reference_nll.begin(),
                              reference_nll.begin() + n_next);
  scores.kl.insert(scores.kl.end(), kl.begin(), kl.end());
  scores.n_same_top1 += std::count(same.begin(), same.end(), 1);
}

// expert_ids are ascending in a row, so equal sets are equal lists.
void compare_routing(const ModelConfig& config, const StepOutput& model,
                     const StepOutput& reference, int64_t n_rows, Scores& scores) {
  scores.n_same_experts.resize(static_cast<size_t>(config.n_layers));
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    for (int64_t row = 0; row < n_rows; ++row) {
      const int64_t at = (layer * n_rows + row) * config.top_k;
      const auto begin = model.expert_ids.begin() + at;
      if (std::equal(begin, begin + config.top_k, reference.expert_ids.begin() + at)) {
        ++scores.n_same_experts[static_cast<size_t>(layer)];
      }
    }
  }
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Divergence divergence_of(Scores& scores) {
  std::vector<double>& kl = scores.kl;
  const auto n = static_cast<double>(kl.size());
  Divergence out;
  out.reference_perplexity = std::exp(mean(scores.reference_nll));
  out.mean_kl = mean(kl);
  std::sort(kl.begin(), kl.end());
  out.p99_kl = kl[static_cast<size_t>(std::ceil(0.99 * n)) - 1];
  out.max_kl = kl.back();
  out.top1_agreement = static_cast<double>(scores.n_same_top1) / n;
  for (const int64_t same : scores.n_same_experts) {
    out.router_agreement.push_back(static_cast<double>(same) / n);
  }
  return out;
}

void check_request(const ModelConfig& config, const Model* reference, int64_t window) {
  const auto fail = [](const std::string& what) { throw Error(Code::invalid_argument, what); };
  if (window < 2 || window > config.max_seq_len) {
    fail("a window of " + std::to_string(window) + " tokens: expected 2 to " +
         std::to_string(config.max_seq_len) + ", the model's longest sequence");
  }
  if (reference == nullptr) return;
  const ModelConfig& other = reference->config();
  if (other.vocab_size != config.vocab_size || other.n_layers != config.n_layers ||
      other.n_experts != config.n_experts || other.top_k != config.top_k) {
    fail("the reference has another vocabulary, depth or number of experts than the model");
  }
  if (window > other.max_seq_len) fail("the window is longer than the reference's sequences");
}

}  // namespace

void log_softmax(std::span<const float> logits, std::span<double> out) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - max);
  const double log_sum = max + std::log(sum);
  for (size_t i = 0; i < logits.size(); ++i) out[i] = double{logits[i]} - log_sum;
}

double kl_divergence(std::span<const double> log_p, std::span<const double> log_q) {
  double sum = 0;
  for (size_t i = 0; i < log_p.size(); ++i) sum += std::exp(log_p[i]) * (log_p[i] - log_q[i]);
  return sum;
}

Quality measure_quality(Context& context, Model& model, Model* reference,
                        std::span<const std::vector<int32_t>> texts,
                        const QualityOptions& options) {
  check_request(model.config(), reference, options.window);
  const auto vocab = static_cast<size_t>(model.config().vocab_size);
  const auto window = static_cast<size_t>(options.window);
  WindowRunner runner(model, options.window, options.kv_format);
  std::optional<WindowRunner> reference_runner;
  if (reference != nullptr) {
    reference_runner.emplace(*reference, options.window, options.kv_format);
  }
  int64_t n_tokens = 0;
  for (const std::vector<int32_t>& text : texts) n_tokens += std::ssize(text);
  Scores scores;
  int64_t done = 0;
  const auto step = [&](std::span<const int32_t> whole, size_t past) {
    const size_t n = std::min<size_t>(kMaxLogitRows, whole.size() - past);
    const std::span<const int32_t> rows = whole.subspan(past, n);
    const std::span<const int32_t> next =
        whole.subspan(past + 1, std::min(n, whole.size() - past - 1));
    const StepOutput& output = runner.step(context, rows, static_cast<int64_t>(past));
    if (options.on_step) options.on_step(output, std::ssize(rows));
    const StepOutput* other = nullptr;
    if (reference_runner) {
      other = &reference_runner->step(context, rows, static_cast<int64_t>(past));
      compare_routing(model.config(), output, *other, std::ssize(rows), scores);
    }
    score_step(context, output, other, n, next, vocab, scores);
    done += std::ssize(rows);
    if (options.progress) options.progress(done, n_tokens);
  };
  for (const std::vector<int32_t>& text : texts) {
    for (size_t begin = 0; begin < text.size(); begin += window) {
      const auto whole = std::span(text).subspan(begin, std::min(window, text.size() - begin));
      for (size_t past = 0; past < whole.size(); past += kMaxLogitRows) step(whole, past);
    }
  }
  if (scores.nll.empty()) {
    throw Error(Code::invalid_argument, "the text has less than two tokens: nothing to predict");
  }
  Quality quality;
  quality.n_positions = n_tokens;
  quality.n_predicted = std::ssize(scores.nll);
  quality.perplexity = std::exp(mean(scores.nll));
  if (reference != nullptr) quality.divergence = divergence_of(scores);
  if (!std::isfinite(quality.perplexity)) {
    throw Error(Code::internal, "the model's logits are not numbers, or too far apart to measure");
  }
  return quality;
}

}  // namespace dbrx
