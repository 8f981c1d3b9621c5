#include "engine/step_counters.h"

#include <algorithm>
#include <span>

namespace dbrx {

StepCounters::StepCounters(const Model& model)
    : n_layers_(model.config().n_layers),
      n_experts_(model.config().n_experts),
      top_k_(model.config().top_k),
      bytes_(model.weight_bytes()),
      of_layer_(static_cast<size_t>(n_experts_)),
      expert_tokens_(static_cast<size_t>(n_layers_ * n_experts_)) {}

int64_t StepCounters::add(const StepOutput& output, int64_t n_rows, bool with_logits) {
  int64_t n_hit = 0;
  const auto n_ids = static_cast<size_t>(n_rows * top_k_);
  for (int64_t layer = 0; n_experts_ > 0 && layer < n_layers_; ++layer) {
    std::fill(of_layer_.begin(), of_layer_.end(), 0);
    const auto ids =
        std::span(output.expert_ids).subspan(static_cast<size_t>(layer) * n_ids, n_ids);
    for (const int32_t id : ids) ++of_layer_[static_cast<size_t>(id)];
    for (int64_t expert = 0; expert < n_experts_; ++expert) {
      const int64_t n = of_layer_[static_cast<size_t>(expert)];
      if (n == 0) continue;
      ++n_hit;
      // Nobody else writes: no need to lock the bus.
      std::atomic<int64_t>& total =
          expert_tokens_[static_cast<size_t>(layer * n_experts_ + expert)];
      total.store(total.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
  }
  return bytes_.dense + n_hit * bytes_.expert + (with_logits ? bytes_.head : 0);
}

std::vector<int64_t> StepCounters::expert_tokens() const {
  std::vector<int64_t> tokens;
  tokens.reserve(expert_tokens_.size());
  for (const auto& n : expert_tokens_) tokens.push_back(n.load(std::memory_order_relaxed));
  return tokens;
}

}  // namespace dbrx
