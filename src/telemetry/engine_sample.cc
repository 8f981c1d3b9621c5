#include "telemetry/engine_sample.h"

#include <cmath>
#include <numeric>
#include <span>

namespace dbrx {
namespace {

double balance_of(std::span<const int64_t> tokens) {
  const auto all = static_cast<double>(std::accumulate(tokens.begin(), tokens.end(), int64_t{0}));
  if (all == 0 || tokens.size() < 2) return 1;
  double entropy = 0;
  for (const int64_t n : tokens) {
    const double share = static_cast<double>(n) / all;
    if (n > 0) entropy -= share * std::log(share);
  }
  return entropy / std::log(static_cast<double>(tokens.size()));
}

}  // namespace

std::vector<double> expert_balance(const EngineSample& sample) {
  std::vector<double> balance;
  const auto n = static_cast<size_t>(sample.n_experts);
  for (int64_t layer = 0; layer < sample.n_layers(); ++layer) {
    const std::span<const int64_t> all = sample.expert_tokens;
    balance.push_back(balance_of(all.subspan(static_cast<size_t>(layer) * n, n)));
  }
  return balance;
}

}  // namespace dbrx
